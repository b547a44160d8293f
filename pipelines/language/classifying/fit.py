"""fit, validate and test of a classifier of texts, beside a bag of words and the most frequent class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from data_prep.text.labelled import LabelledDataModule
from modules.language.bag_of_words import PENALTIES, BagOfWords
from modules.language.classifier import TextClassifier
from modules.metrics.classification import confusion_matrix, macro_f1
from pipelines.cli import RunCLI
from pipelines.findings import Findings
from pipelines.language.classifying.systems import confusion_tables, remarks, scores_of, systems_table


class ClassifierCLI(RunCLI):
    """Texts are scored by macro-F1, beside systems that know nothing of the order of words."""

    task = "text"
    model_class, datamodule_class = TextClassifier, LabelledDataModule
    monitor = "val/macro_f1"
    monitors = ("val/macro_f1", "val/accuracy", "val/loss")
    shown = ("train/loss", "val/loss", "val/macro_f1")
    first = ("data.file", "data.text", "data.label", "data.level", "model.training.learning_rate")
    following = ("classify --file texts.csv --output labels.csv",)
    model: TextClassifier
    datamodule: LabelledDataModule

    def adjust_model(self) -> None:
        """Has the texts read in the units and classes of the model."""
        self.datamodule.max_length = self.model.max_length
        self.datamodule.read(self.model.codec, self.model.classes)

    def find(self, split: str, folder: Path) -> Findings:
        """Returns the model's scores and those of its controls."""
        classes, confusion = self.model.classes, self.model.confusion
        systems = {"this one": scores_of(confusion)} | {
            name: scores_of(own) for name, own in self._controls(split).items()
        }
        own, *controls = systems
        items = int(confusion.sum())
        return Findings(
            f"{items:,} texts that were not trained on",
            {
                "scores": systems[own],
                "baselines": {name: systems[name] for name in controls},
                "classes": classes,
                "confusion": confusion.tolist(),
            },
            [systems_table(f"Classes, {split}", systems), *confusion_tables(classes, confusion, "texts")],
            {},
            remarks(systems),
        )

    def _controls(self, split: str) -> dict[str, np.ndarray]:
        """Returns the confusion matrices of what knows less; none where no text is trained on."""
        number = {name: at for at, name in enumerate(self.model.classes)}
        texts, labels = {}, {}
        for part in ("train", "val", split):
            rows = self.datamodule.of(part)
            texts[part] = [row.text for row in rows]
            labels[part] = [number[row.label] for row in rows]
        if not texts["train"]:
            return {}

        def confusion(said: list[int], part: str) -> np.ndarray:
            return confusion_matrix(labels[part], said, len(number))

        bags = [BagOfWords(len(number), p).fit(texts["train"], labels["train"]) for p in PENALTIES]
        best = max(bags, key=lambda bag: float(macro_f1(confusion(bag(texts["val"]), "val"))))
        most_frequent = Counter(labels["train"]).most_common(1)[0][0]
        return {
            "bag of words": confusion(best(texts[split]), split),
            "most frequent class": confusion([most_frequent] * len(labels[split]), split),
        }
