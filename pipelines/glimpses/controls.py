"""What the reader is set beside: a CNN, a reader whose window cannot move, and the most frequent number."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.house_numbers.datamodule import NumberDataModule
from modules.house_numbers.number_reader import NumberReader
from pipelines.checkpoint_callbacks import BestCheckpoint, sort_callbacks
from pipelines.progress_lines import EpochLines, LogLines
from pipelines.running.plain_trainer import plain_trainer

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
        best = BestCheckpoint(folder, name, "val/accuracy", mode="max", enable_version_counter=False)
        same = "gradient_clip_val gradient_clip_algorithm limit_train_batches limit_val_batches"
        trainer = plain_trainer(
            config,
            max_epochs=-1,
            max_steps=steps,
            enable_checkpointing=True,
            enable_progress_bar=config.trainer.enable_progress_bar,
            callbacks=[EpochLines(("train/loss", "val/accuracy")), LogLines(), best],
            **{option: config.trainer[option] for option in same.split()},
        )
        sort_callbacks(trainer)
        trainer.fit(model.control(name), copy.copy(data))
        trainer.strategy.barrier()  # one process writes, all read


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
        trainer = plain_trainer(config, enable_progress_bar=False, callbacks=[LogLines()])
        evaluate = trainer.test if split == data.test_split else trainer.validate
        evaluate(control, copy.copy(data), verbose=False)
        rows[name] = control.rows
    return rows
