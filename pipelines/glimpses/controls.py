"""What the reader is set beside: a CNN, a reader whose window cannot move, and the most frequent number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.house_numbers.datamodule import NumberDataModule
from modules.house_numbers.number_reader import NumberReader
from pipelines.running.controls import evaluate_control, train_control

CONTROLS = ("cnn", "centre")  # their checkpoints lie beside the reader's


def most_frequent(numbers: Sequence[str]) -> str:
    """Returns the number that most pictures show; of several the smallest."""
    counts = Counter(numbers)
    return min(counts, key=lambda number: (-counts[number], len(number), number)) if counts else "1"


def train_controls(
    model: NumberReader, data: NumberDataModule, config: Any, steps: int, folder: Path
) -> None:
    """Trains the controls that have no checkpoint yet, on the reader's batches, for as many steps.

    Args:
        model: The reader.
        data: Its data.
        config: Of the fit.
        steps: Of the reader.
        folder: Gets NAME.ckpt of each control, of the epoch with the most numbers read right in validation.
    """
    for name in CONTROLS:
        if (folder / f"{name}.ckpt").is_file():
            continue
        print(f"control: {name}, {steps:,} steps", flush=True)
        shown = ("train/loss", "val/accuracy")
        path = folder / f"{name}.ckpt"
        train_control(model.control(name), data, config, steps, path, "val/accuracy", "max", shown)


def control_rows(
    checkpoint: Path, data: NumberDataModule, split: str, config: Any
) -> dict[str, list[dict[str, Any]]]:
    """Returns what the controls beside a checkpoint read of a split, by their names."""
    rows = {}
    for name in CONTROLS:
        path = checkpoint.with_name(f"{name}.ckpt")
        if not path.is_file():
            continue
        control = NumberReader.load(path)
        evaluate_control(control, data, split, config)
        rows[name] = control.rows
    return rows
