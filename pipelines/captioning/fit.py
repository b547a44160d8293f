"""fit, validate and test of the captioner, and what they leave behind: predictions, scores, a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback
from pytorch_lightning.cli import LightningArgumentParser
from torch import Tensor

from data_prep.captions.datamodule import CaptionDataModule
from data_prep.captions.inputs import plain_inputs
from modules.captioning.agreement import MOST, Judge, measure_agreement
from modules.captioning.captioner import Captioner
from modules.captioning.preprocessing import EvalTransform
from modules.captioning.pretrained import pretrained_path
from modules.checkpoints import add_to_checkpoint
from modules.decoding import DecodingOptions
from modules.metrics.captions import METRICS, CaptionScorer
from modules.vocabulary import Vocabulary
from modules.whole_files import ESCAPED, write_whole
from pipelines.captioning.collapse_watch import CollapseWatch
from pipelines.captioning.photographs.agreement import Summary, summarised
from pipelines.captioning.report import choose_examples, write_report
from pipelines.captioning.score import controls_as_dict, remarks, scores_table
from pipelines.findings import Findings
from pipelines.init_option import InitCLI

UNSURE = 0.1  # share of captions of unseen photographs that count as unsure
INIT_HELP = (
    "fit: captioner that training begins with: pretrained, the ready-made one, or a checkpoint. Its encoder "
    "and decoder are taken; words that it lacks are added."
)


@torch.no_grad()
def keep_what_judges(model: Captioner, data: CaptionDataModule, checkpoint: Path) -> None:
    """Adds to a checkpoint what captions are judged with: measured on training photographs, and scores.

    Args:
        model: Of the checkpoint, which has just been evaluated on photographs that it was not trained on.
        data: Where the training photographs are.
        checkpoint: The file, which is replaced.
    """
    assert model.decoder is not None and model.vocabulary is not None
    model.eval()
    images = range(0, len(data.splits["train"]), max(1, len(data.splits["train"]) // MOST))[:MOST]

    inputs = plain_inputs(data.inputs["train"], EvalTransform(model.encoder.image_size, model.resize))

    def annotate(numbers: list[int]) -> Tensor:
        return model.annotate(inputs([images[number] for number in numbers]).to(model.device))

    captions = [data.splits["train"][image].captions for image in images]
    model.agreement = measure_agreement(model.decoder, model.vocabulary, annotate, captions)
    scores = [row["score"] for row in model.evaluation.rows]
    model.unsure_below = float(np.quantile(scores, UNSURE))
    add_to_checkpoint(checkpoint, {"unsure_below": model.unsure_below} | model.agreement.stored())


@torch.no_grad()
def own_agreement(
    model: Captioner, data: CaptionDataModule, split: str, cider: Mapping[str, float]
) -> Summary:
    """Returns how well the model's own captions fit their photographs; nothing where it has no mean image.

    Args:
        model: Which has just been evaluated.
        data: Where the photographs are.
        split: Of theirs.
        cider: CIDEr-D of each caption.
    """
    if model.agreement is None:
        return {}, {}, {}
    model.eval()
    assert model.decoder is not None and model.vocabulary is not None
    judge = Judge(model.decoder, model.vocabulary, model.agreement.mean_image)
    captions = {row["image"]: row["caption"] for row in model.evaluation.rows}
    images = [n for n, record in enumerate(data.splits[split]) if record.image in captions]
    inputs = plain_inputs(data.inputs[split], EvalTransform(model.encoder.image_size, model.resize))
    g: dict[str, float] = {}
    for first in range(0, len(images), data.eval_batch_size):
        batch = images[first : first + data.eval_batch_size]
        names = [data.splits[split][n].image for n in batch]
        annotations = model.annotate(inputs(batch).to(model.device))
        values = judge.of_pairs(annotations, [captions[name] for name in names])
        g |= dict(zip(names, values, strict=True))
    return summarised(g, model.agreement, cider)


class CaptionCLI(InitCLI):
    """Images are captioned free-running, and their captions scored beside two controls."""

    task = "caption"
    model_class, datamodule_class = Captioner, CaptionDataModule
    init_help, inherited = INIT_HELP, ("encoder", "decoder")
    monitor = "val/cider_d"
    monitors = tuple(f"val/{name}" for name in (*METRICS, "loss", "perplexity"))
    shown = ("train/loss", "train/reward", "val/loss", "val/bleu4", "val/cider_d")
    first = ("data.root", "data.batch_size", "model.decoder.cell", "model.training.learning_rate")
    following = ("predict --images DIR",)
    model: Captioner
    datamodule: CaptionDataModule

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_class_arguments(DecodingOptions, "decoding")

    def init_path(self, name: str) -> Path:
        return pretrained_path() if name == "pretrained" else Path(name)

    def adjust_data(self, checkpoint: dict[str, Any]) -> None:
        """Gives the words of the checkpoint that training begins or began with their numbers."""
        inherited = (
            self.init.get("words") or checkpoint.get("words", [])[: checkpoint.get("inherited_words", 0)]
        )
        if inherited:
            words = self.datamodule.training_words()
            self.datamodule.vocabulary = Vocabulary(inherited).with_words_of(words)

    def fit_callbacks(self) -> list[Callback]:
        return [CollapseWatch()]

    def adjust_model(self) -> None:
        super().adjust_model()
        self.model.decoding = self.config_init[self.subcommand].decoding

    def compare(self, split: str, checkpoint: Path) -> None:
        """Keeps in the checkpoint of a fit what it judges captions with."""
        if self.config.subcommand == "fit" and self.trainer.is_global_zero:
            keep_what_judges(self.model, self.datamodule, checkpoint)

    def find(self, split: str, folder: Path) -> Findings:
        """Writes predictions.jsonl; returns scores with their intervals, and those of the controls."""
        rows = self.model.evaluation.rows
        hypotheses = {row["image"]: row["caption"] for row in rows}
        scorer = CaptionScorer({row["image"]: row["references"] for row in rows})
        scores, intervals = scorer.score(hypotheses), scorer.bootstrap(hypotheses)
        controls = scorer.controls(hypotheses)
        per_image = {image: values["cider_d"] for image, values in scorer.per_image(hypotheses).items()}
        judged = own_agreement(self.model, self.datamodule, split, per_image)
        shown = {image for images in choose_examples(per_image).values() for image in images}
        files = {record.image: record.path for record in self.datamodule.splits[split]}
        grid, resize = list(self.model.encoder.grid), self.model.resize

        lines = []
        for row in rows:
            line = {key: row[key] for key in ("image", "caption", "score", "references")}
            line |= judged[2].get(row["image"], {})
            line |= {"file": str(Path(files[row["image"]]).resolve()), "split": split}
            if row["image"] in shown and "alpha" in row:
                alpha = [[round(float(weight), 5) for weight in weights] for weights in row["alpha"]]
                line |= {"words": row["words"], "attention": {"grid": grid, "alpha": alpha, "resize": resize}}
            if self.model.has_sentinel and "alpha" in row:
                weights = (1 - row["alpha"].float().sum(1)).clamp(0, 1).tolist()
                line |= {"words": row["words"], "sentinel": [round(weight, 3) for weight in weights]}
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        predictions = write_whole(folder / "predictions.jsonl", "".join(lines).encode(errors=ESCAPED))
        blind = controls_as_dict(controls)
        metrics = {
            "scores": scores.as_dict() | {"perplexity": self.model.evaluation.perplexity} | judged[0],
            "intervals": intervals | judged[1],
            "controls": blind,
            "decoding": asdict(self.model.decoding),
        }
        return Findings(
            f"{len(rows)} images, free-running, {self.model.decoding.method} decoding",
            metrics,
            [scores_table(scores, controls, intervals)],
            {"predictions": predictions},
            remarks(len(rows), scores.as_dict(), intervals, blind),
        )

    def write_page(self, folder: Path) -> Path:
        return write_report(folder)
