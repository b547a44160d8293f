"""fit, validate and test of the painter of house numbers, beside an autoencoder, read by a reader."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.cli import LightningArgumentParser
from rich.table import Table

from data_prep.house_numbers.datamodule import NumberDataModule
from modules.house_numbers.number_reader import NumberReader
from modules.house_numbers.painter import Painter
from modules.house_numbers.vae import control_options
from modules.parameters import parameters_of
from modules.whole_files import write_whole
from pipelines.cli import RunCLI
from pipelines.findings import Findings
from pipelines.glimpses.painter_report import write_painter_report
from pipelines.glimpses.painter_runs import newest_checkpoint
from pipelines.glimpses.paintings import animation, as_bytes, png, sheet
from pipelines.glimpses.score import interval
from pipelines.running.controls import evaluate_control, train_control

CONTROL = "vae"  # its checkpoint lies beside the painter's
READ, SHOWN = 200, 16  # paintings of numbers that no training picture shows: read, and shown in the report


class PainterCLI(RunCLI):
    """Pictures cost bits, beside those of an autoencoder; what is painted is read by a reader."""

    task = "house_numbers"
    model_class, datamodule_class = Painter, NumberDataModule
    monitor = "val/bits_per_pixel"
    monitors = ("val/bits_per_pixel", "val/pixel_bits", "val/kl_bits")
    shown = ("train/bits_per_pixel", "val/bits_per_pixel", "val/kl_bits")
    first = (
        *("data.format", "data.batch_size", "model.painter.conditional", "model.painter.steps"),
        "model.training.learning_rate",
    )
    following = ("paint --number 1247 --output sheet.png --animation paint.gif",)
    beside = (CONTROL,)
    model: Painter
    datamodule: NumberDataModule
    control: float | None  # bits per pixel of the autoencoder

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--control", type=bool, default=True, help="Whether a fit also trains the autoencoder beside it."
        )
        parser.add_argument(
            "--reader_ckpt",
            type=Path | None,
            default=None,
            help="Reader that says what was painted; by default the best of the newest reader's run.",
        )

    def compare(self, split: str, checkpoint: Path) -> None:
        """Measures the autoencoder, which a fit has to train first."""
        config = self.config_init[self.subcommand]
        path = checkpoint.with_name(f"{CONTROL}.ckpt")
        is_painter = self.model.options.kind == "draw"
        if self.subcommand == "fit" and is_painter and config.control and not self.ending.asked:
            if self.ending.reason is not None:  # that of a resumed fit had fewer steps
                path.unlink(missing_ok=True)
            self._train_control(config, path)
        self.control = None
        if is_painter and path.is_file():
            trainer = evaluate_control(Painter.load(path), self.datamodule, split, config)
            stage = "test" if split == self.datamodule.test_split else "val"
            self.control = float(trainer.callback_metrics[f"{stage}/bits_per_pixel"])

    def _train_control(self, config: Any, path: Path) -> None:
        """Trains the autoencoder for as many steps, on the same batches."""
        if path.is_file():
            return
        model, steps = self.model, max(1, self.trainer.global_step)
        options = control_options(model.options, parameters_of(model.network))
        print(f"control: an autoencoder without recurrence, {steps:,} steps", flush=True)
        control = Painter(model.pictures, options, model.training_options)
        train_control(control, self.datamodule, config, steps, path, self.monitor, "min", self.shown[:2])

    def find(self, split: str, folder: Path) -> Findings:
        """Paints numbers that were never trained on and has them read; returns bits and what was read."""
        logged = self.trainer.callback_metrics
        stage = "val" if self.subcommand == "validate" else "test"
        names = ("bits_per_pixel", "pixel_bits", "kl_bits")
        scores = {name: float(logged[f"{stage}/{name}"]) for name in names}
        controls = {} if self.control is None else {"autoencoder without recurrence": self.control}
        numbers = self._unseen_numbers(split)
        rows, files = self._paint(numbers, folder)
        metrics: dict[str, Any] = {
            "scores": scores,
            "controls": controls,
            "kl_bits": self.model.kl_bits,
            "parameters": parameters_of(self.model.network),
        }
        read = [str(row["read"]) for row in rows if "read" in row]
        if read:
            true = [row["number"] for row in rows]
            share = float(np.mean([a == b for a, b in zip(read, true, strict=True)]))
            metrics["read"] = {
                "numbers": len(rows),
                "accuracy": share,
                "interval": interval(read, true),
                "reader": str(self.reader),
            }
        return Findings(
            f"{len(self.datamodule.arrays[split]):,} pictures",
            metrics,
            [bits_table(split, scores, controls), *reading_table(metrics.get("read"))],
            files,
            _remarks(scores, controls),
        )

    def write_page(self, folder: Path) -> Path:
        return write_painter_report(folder)

    def _unseen_numbers(self, split: str) -> list[str]:
        """Returns numbers of the split that are not among those trained on, one for each painting."""
        known = set(self.datamodule.training_numbers())
        unseen = dict.fromkeys(record.number for record in self.datamodule.splits[split])
        return [number for number in unseen if number not in known][:READ]

    def _paint(self, numbers: Sequence[str], folder: Path) -> tuple[list[dict[str, Any]], dict[str, Path]]:
        """Writes a sheet, an animation and what a reader reads; returns the rows of that and the files."""
        is_told = self.model.options.conditional
        told = numbers if is_told else None
        if is_told and not numbers:
            return [], {}
        strokes = self.model.paint(told, range(len(numbers) if is_told else SHOWN))
        pictures = as_bytes(strokes[-1].picture.cpu().numpy())
        shown = [type(stroke)(*(part[:SHOWN] for part in stroke)) for stroke in strokes]
        files = {
            "paintings": write_whole(folder / "paintings.png", png(sheet(pictures[:SHOWN]))),
            "animation": write_whole(folder / "paintings.gif", animation(shown)),
        }
        rows: list[dict[str, Any]] = [{"number": number} for number in numbers] if is_told else []
        config = self.config_init[self.subcommand]
        self.reader = config.reader_ckpt or newest_checkpoint(config.runs, painter=False)
        if rows and self.reader is not None:
            print(f"the paintings are read by {self.reader}")
            read = NumberReader.load(self.reader).read_images(list(pictures))
            for row, said in zip(rows, read, strict=True):
                row |= {"read": said.number, "probability": said.probability}
        elif rows:
            print("no reader's run, so nobody says what was painted; name one with --reader_ckpt")
        if rows:
            text = "".join(json.dumps(row) + "\n" for row in rows)
            files["read"] = write_whole(folder / "paintings.jsonl", text.encode())
        return rows, files


def bits_table(split: str, scores: dict[str, float], controls: dict[str, float]) -> Table:
    """Returns the bits of the painter and of what it is set beside."""
    table = Table(title=f"Bits per pixel, at most, {split}")
    table.add_column("model")
    table.add_column("bits per pixel", justify="right")
    table.add_column("less than it", justify="right")
    own = scores["bits_per_pixel"]
    table.add_row("painter", f"{own:.3f}", "", style="bold")
    for name, bits in controls.items():
        table.add_row(name, f"{bits:.3f}", f"{1 - own / bits:.1%}")
    return table


def reading_table(read: dict[str, Any] | None) -> list[Table]:
    """Returns how many paintings were read right; nothing where nobody read them."""
    if read is None:
        return []
    table = Table(title="Paintings of unseen numbers that a reader reads right")
    for heading in ("paintings", "read right", "95 % interval"):
        table.add_column(heading, justify="right")
    low, high = read["interval"]
    table.add_row(f"{read['numbers']:,}", f"{read['accuracy']:.3f}", f"{low:.3f} - {high:.3f}")
    return [table]


def _remarks(scores: dict[str, float], controls: dict[str, float]) -> list[str]:
    return [
        f"The painter is no better than the {name}: {scores['bits_per_pixel']:.3f} bits per pixel against "
        f"{bits:.3f}. Try longer training or another --model.training.learning_rate."
        for name, bits in controls.items()
        if scores["bits_per_pixel"] >= bits
    ]
