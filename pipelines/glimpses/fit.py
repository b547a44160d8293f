"""fit, validate and test of the reader of house numbers, and what they leave behind: numbers and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from data_prep.house_numbers.datamodule import NumberDataModule
from modules.errors import InputError
from modules.house_numbers.number_reader import NumberReader
from modules.house_numbers.scoring import number_scores
from modules.parameters import parameters_of
from modules.whole_files import ESCAPED, write_whole
from pipelines.cli import RunCLI
from pipelines.findings import Findings
from pipelines.glimpses.controls import CONTROLS, control_rows, most_frequent, train_controls
from pipelines.glimpses.report import choose_examples, png_text, write_report
from pipelines.glimpses.score import interval, remarks, scores_table
from pipelines.glimpses.sizes import read_by_size

LABELS = {"centre": "window nailed to the centre", "cnn": "CNN of equal parameters"}


class ReaderCLI(RunCLI):
    """Numbers are read whole, beside a CNN, a window that cannot move and the most frequent number."""

    task = "house_numbers"
    model_class, datamodule_class = NumberReader, NumberDataModule
    monitor = "val/accuracy"
    monitors = ("val/accuracy", "val/digit_accuracy", "val/length_accuracy")
    shown = ("train/loss", "val/accuracy", "val/digit_accuracy")
    first = ("data.root", "data.batch_size", "model.reader.kind", "model.training.learning_rate")
    following = ("read --images DIR --output out.csv",)
    beside = CONTROLS
    model: NumberReader
    datamodule: NumberDataModule
    controls: dict[str, list[dict[str, Any]]]  # what each control read

    def before_instantiate_classes(self) -> None:
        super().before_instantiate_classes()
        if self.config[self.subcommand].trainer.sync_batchnorm:
            raise InputError(
                "trainer.sync_batchnorm is true; a reader normalises as often as its longest number has "
                "digits, which differs between processes: leave it out"
            )

    @property
    def is_control(self) -> bool:
        """Whether the model itself is one of those that a reader is set beside."""
        return self.model.reader_options.kind in CONTROLS

    def stored_options(self, checkpoint: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Leaves it to the run's configuration, and to who resumes it, whether controls are trained."""
        stored = super().stored_options(checkpoint)
        training = {name: value for name, value in stored["training"].items() if name != "controls"}
        return {**stored, "training": training}

    def compare(self, split: str, checkpoint: Path) -> None:
        """Lets the controls read, which a fit has to train first."""
        config = self.config_init[self.subcommand]
        is_reader = not self.is_control
        # as configured: the checkpoint that is scored by now may be of a fit that was not to train them
        wanted = is_reader and self.config[self.subcommand].model.training.controls
        if self.subcommand == "fit" and wanted and not self.ending.asked:
            steps = max(1, self.trainer.global_step)
            if self.ending.reason is not None:  # those of a resumed fit had fewer steps
                for name in CONTROLS:
                    checkpoint.with_name(f"{name}.ckpt").unlink(missing_ok=True)
            train_controls(self.model, self.datamodule, config, steps, checkpoint.parent)
        self.controls = control_rows(checkpoint, self.datamodule, split, config) if is_reader else {}

    def find(self, split: str, folder: Path) -> Findings:
        """Writes predictions.jsonl; returns scores with their intervals, and those of the controls."""
        rows = self.model.rows
        true = [row["true"] for row in rows]
        array = self.datamodule.prepare(split, self.model.pictures)
        places = {record.image: place for place, record in enumerate(array.records)}
        shown = {image for images in choose_examples(rows).values() for image in images}
        lines = []
        for row in rows:
            place = places[row["image"]]
            path = array.records[place].path
            line = row | {"file": str(path.resolve()) if path else None, "split": split}
            if row["image"] in shown:
                line["picture"] = png_text(array[[place]][0])
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        predictions = write_whole(folder / "predictions.jsonl", "".join(lines).encode(errors=ESCAPED))
        read = [row["number"] for row in rows]
        scores, low_high = number_scores(read, true), interval(read, true)
        frequent = most_frequent(self.datamodule.training_numbers())
        controls = {
            LABELS[name]: number_scores([row["number"] for row in said], [row["true"] for row in said])
            for name, said in self.controls.items()
        }
        controls[f"most frequent number ({frequent})"] = number_scores([frequent] * len(true), true)
        operations = self._operations()
        by_size = {} if self.is_control else read_by_size(self.model, self.datamodule, split)
        metrics: dict[str, Any] = {
            "scores": scores,
            "intervals": {"accuracy": low_high},
            "controls": controls,
            "by_length": by_length(rows),
            "parameters": parameters_of(self.model),
            "multiply_adds": operations,
            "by_size": by_size,
        }
        table = scores_table(scores, low_high, controls)
        return Findings(
            f"{len(rows):,} pictures",
            metrics,
            [table, sizes_table(operations, by_size)],
            {"predictions": predictions},
            remarks(scores["accuracy"], low_high, controls),
        )

    def write_page(self, folder: Path) -> Path:
        return write_report(folder)

    def _operations(self) -> dict[str, dict[str, int]]:
        """Returns the multiply-adds of one picture by system and by the picture's side in pixels."""
        if self.is_control:
            systems = {"this model": self.model}
        else:
            systems = {"reader": self.model, LABELS["cnn"]: self.model.control("cnn")}
        return {name: model.operations() for name, model in systems.items()}


def sizes_table(operations: dict[str, dict[str, int]], by_size: dict[str, dict[str, Any]]) -> Table:
    """Returns what a larger picture costs, and how well it is read.

    Args:
        operations: Multiply-adds by system and by the picture's side in pixels.
        by_size: What `read_by_size` returns; empty of a control.
    """
    table = Table(title="Million multiply-adds a picture")
    table.add_column("side of the picture (pixels)")
    sizes = list(next(iter(operations.values())))
    for size in sizes:
        table.add_column(size, justify="right")
    for name, counts in operations.items():
        table.add_row(name, *(f"{counts[size] / 1e6:.1f}" for size in sizes))
    if by_size:
        table.add_section()
        shares = (f"{by_size[size]['accuracy']:.3f}" for size in sizes)
        table.add_row(f"read right, of {by_size[sizes[0]]['pictures']:,}", *shares)
    return table


def by_length(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns how many pictures show a number of so many digits, and the share that was read right."""
    lengths = sorted({len(row["true"]) for row in rows})
    groups = {length: [row for row in rows if len(row["true"]) == length] for length in lengths}
    return {
        str(length): {
            "pictures": len(group),
            "accuracy": sum(row["number"] == row["true"] for row in group) / len(group),
        }
        for length, group in groups.items()
    }
