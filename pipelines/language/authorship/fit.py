"""fit, validate and test of a model of authors, beside a 5-gram an author."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from rich.table import Table

from data_prep.text.authors import AuthorDataModule
from modules.language.author_model import AuthorModel
from modules.metrics.classification import confusion_matrix
from modules.metrics.ngrams import NGramModel
from modules.vocabulary import Vocabulary
from pipelines.cli import RunCLI
from pipelines.findings import Findings
from pipelines.language.authorship.report import write_report
from pipelines.language.classifying.systems import confusion_tables, remarks, scores_of, systems_table

ORDER = 5
PARTS = (1.0, 0.5, 0.25)  # of a passage: shorter texts are harder


class AuthorCLI(RunCLI):
    """Passages that were not trained on are told apart, and so by models that only count."""

    task = "text"
    model_class, datamodule_class = AuthorModel, AuthorDataModule
    monitor = "val/bits_per_char"
    monitors = ("val/bits_per_char", "val/macro_f1", "val/accuracy", "val/loss")
    shown = ("train/loss", "val/bits_per_char", "val/accuracy")
    first = ("data.root", "data.passage", "model.training.learning_rate", "model.heads.learning_rate")
    following = ("author --file FILE",)
    model: AuthorModel
    datamodule: AuthorDataModule

    def adjust_model(self) -> None:
        """Has the texts read in the characters of the model."""
        self.datamodule.read(self.model.codec, self.model.authors)

    def find(self, split: str, folder: Path) -> Findings:
        """Returns the model's scores and those of its controls."""
        model = self.model
        systems = {"this one": scores_of(model.confusion)} | {
            name: scores_of(confusion) for name, confusion in self._controls(split).items()
        }
        own, *controls = systems
        passages = len(model.labels)
        chances = model.calibration.probabilities(model.bits, model.lengths)
        sure = {
            "mean_probability": float(chances.max(1).mean()),
            "scale": model.calibration.scale,
            "power": model.calibration.power,
        }
        found: dict[str, Any] = {
            "scores": systems[own],
            "baselines": {name: systems[name] for name in controls},
            "calibration": sure,
            "authors": model.authors,
            "confusion": model.confusion.tolist(),
        }
        what = f"passages of {self.datamodule.passage} characters"
        tables = [systems_table(f"Authors of {what}, {split}", systems), _sureness(sure, systems[own])]
        tables += confusion_tables(model.authors, model.confusion, "passages")
        return Findings(f"{passages:,} {what} that were not trained on", found, tables, {}, remarks(systems))

    def _controls(self, split: str) -> dict[str, Int[np.ndarray, "K K"]]:
        """Returns the confusion matrices of a 5-gram an author, and of taking all for one author's."""
        data, count = self.datamodule, len(self.model.authors)
        size = len(self.model.codec.vocabulary)
        models = [NGramModel(ORDER, size).fit(data.tokens(author)) for author in data.authors]
        passages = data.passages(split)
        said = []
        for ids in passages.texts:
            tokens = np.array([Vocabulary.BOS, *ids[1:]])
            known = tokens[1:] != Vocabulary.UNK  # as the model has it
            said.append(int(np.argmin([model.bits(tokens)[known].sum() for model in models])))
        most = int(np.bincount(passages.labels).argmax())
        return {
            f"{ORDER}-gram an author": confusion_matrix(passages.labels, said, count),
            "most frequent author": confusion_matrix(passages.labels, [most] * len(said), count),
        }

    def write_page(self, folder: Path) -> Path | None:
        return write_report(folder)


def _sureness(sure: dict[str, float], scores: dict[str, Any]) -> Table:
    """Returns how sure the model was beside how often it was right: alike where it is calibrated."""
    table = Table(title="How sure it is")
    table.add_column("mean probability of the author said", justify="right")
    table.add_column("share that was right", justify="right")
    table.add_row(f"{sure['mean_probability']:.3f}", f"{scores['accuracy']:.3f}")
    return table
