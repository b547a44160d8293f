"""fit, validate and test of the captioner, and what they leave behind: predictions, scores, a report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytorch_lightning.cli import LightningArgumentParser
from rich.console import Console

from data_prep.captions.datamodule import CaptionDataModule
from data_prep.whole_files import write_whole
from modules.captioning.captioner import Captioner
from modules.checkpoints import read_checkpoint
from modules.decoding import DecodingOptions
from modules.metrics.captions import METRICS, CaptionScorer
from pipelines.arguments import run_folder_of
from pipelines.captioning.report import choose_examples, write_report
from pipelines.captioning.score import controls_as_dict, scores_table
from pipelines.cli import RunCLI, blaming


class CaptionCLI(RunCLI):
    """A fit ends by scoring the test split with its best checkpoint."""

    task = "caption"
    monitor = "val/cider_d"
    monitors = tuple(f"val/{name}" for name in (*METRICS, "loss", "perplexity"))
    shown = ("train/loss", "train/reward", "val/loss", "val/bleu4", "val/cider_d")
    model: Captioner
    datamodule: CaptionDataModule

    def __init__(self, argv: Sequence[str]) -> None:
        self.started = time.monotonic()
        super().__init__(Captioner, CaptionDataModule, argv)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_class_arguments(DecodingOptions, "decoding")

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        config = self.config_init[self.subcommand]
        if self.subcommand == "fit":
            # what is wrong with the data shows before the run folder is made or changed
            words = self.datamodule.training_words()
            with blaming("model"):
                if config.ckpt_path:
                    self.model.on_load_checkpoint(read_checkpoint(config.ckpt_path, self.task))
                self.model.use_vocabulary(words)
        else:
            # the checkpoint alone knows words and weights
            self.model = Captioner.load(config.ckpt_path)
        self.model.decoding = config.decoding

    def after_fit(self) -> None:
        monitored = [c for c in self.trainer.checkpoint_callbacks if getattr(c, "monitor", None)]
        best = getattr(monitored[0], "best_model_path", "") if monitored else ""
        if not best or self.run_folder is None:  # a fast_dev_run keeps nothing
            return
        seconds = {"fit": time.monotonic() - self.started}
        decoding = self.model.decoding
        self.model = Captioner.load(best)
        self.model.decoding = decoding
        self.trainer.test(self.model, self.datamodule, verbose=False)
        self._leave_behind(self.run_folder, self.datamodule.test_split, best, seconds)

    def _evaluate(self, split: str) -> None:
        checkpoint = Path(self.config[self.subcommand].ckpt_path)
        parent = run_folder_of(checkpoint) or checkpoint.resolve().parent
        number = next(n for n in range(10**6) if not (parent / f"{self.subcommand}_{n}").exists())
        self._leave_behind(parent / f"{self.subcommand}_{number}", split, str(checkpoint), {})

    def after_validate(self) -> None:
        self._evaluate("val")

    def after_test(self) -> None:
        self._evaluate(self.datamodule.test_split)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand != "fit":  # loaded already
            kwargs |= {"ckpt_path": None, "verbose": False}
        return kwargs

    def _leave_behind(self, folder: Path, split: str, checkpoint: str, seconds: dict[str, float]) -> None:
        """Writes predictions.jsonl, metrics.json and report.html, and prints scores and where things lie."""
        if not self.trainer.is_global_zero:
            return
        rows = self.model.evaluation.rows
        hypotheses = {row["image"]: row["caption"] for row in rows}
        scorer = CaptionScorer({row["image"]: row["references"] for row in rows})
        scores, intervals = scorer.score(hypotheses), scorer.bootstrap(hypotheses)
        controls = scorer.controls(hypotheses)
        per_image = {image: values["cider_d"] for image, values in scorer.per_image(hypotheses).items()}
        shown = {image for images in choose_examples(per_image).values() for image in images}
        files = {record.image: record.path for record in self.datamodule.splits[split]}
        grid, resize = list(self.model.encoder.grid), self.model.resize

        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for row in rows:
            line = {key: row[key] for key in ("image", "caption", "score", "references")}
            line |= {"file": str(Path(files[row["image"]]).resolve()), "split": split}
            if row["image"] in shown and "alpha" in row:
                alpha = [[round(float(weight), 5) for weight in weights] for weights in row["alpha"]]
                line |= {"words": row["words"], "attention": {"grid": grid, "alpha": alpha, "resize": resize}}
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        write_whole(folder / "predictions.jsonl", "".join(lines).encode())
        seconds = {**seconds, "total": time.monotonic() - self.started}
        metrics = {
            "split": split,
            "checkpoint": checkpoint,
            "scores": scores.as_dict() | {"perplexity": self.model.evaluation.perplexity},
            "intervals": intervals,
            "controls": controls_as_dict(controls),
            "decoding": asdict(self.model.decoding),
            "seconds": {name: round(value, 1) for name, value in seconds.items()},
        }
        text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
        write_whole(folder / "metrics.json", text.encode())

        console = Console()
        console.print(scores_table(scores, controls, intervals))
        for label, path in [
            ("split", f"{split}, {len(rows)} images, free-running, {self.model.decoding.method} decoding"),
            ("checkpoint", checkpoint),
            ("predictions", folder / "predictions.jsonl"),
            ("report", write_report(folder)),
            ("seconds", f"{seconds['total']:.0f}"),
        ]:
            print(f"{label:<12} {path}")
