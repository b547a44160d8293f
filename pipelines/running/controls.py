"""Models that are trained and scored beside that of a run, on the same batches, for as many steps."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from pipelines.checkpoint_callbacks import BestCheckpoint, keep_checkpoints
from pipelines.endings import Ending
from pipelines.progress_lines import EpochLines, LogLines, ProgressBar
from pipelines.running.plain_trainer import plain_trainer


def train_control(
    control: Any,
    data: Any,
    config: Any,
    steps: int,
    path: Path,
    monitor: str,
    mode: str,
    shown: Sequence[str],
) -> None:
    """Trains a control and keeps its best checkpoint; without a validation that of its last weights.

    Ctrl-C ends the command, and a control that it cut short is not kept: it would have had fewer steps.

    Args:
        control: The model.
        data: The run's data module.
        config: Of the run's command.
        steps: Of the run.
        path: NAME.ckpt of the best validation.
        monitor: Metric that chooses it.
        mode: min or max.
        shown: Metrics to print after every epoch.
    """
    best = BestCheckpoint(path.parent, path.stem, monitor, mode=mode, enable_version_counter=False)
    ending, shows_bar = Ending(), config.trainer.enable_progress_bar is not False
    validates = config.trainer.limit_val_batches != 0
    bar = [ProgressBar()] if shows_bar else []
    same = (
        "gradient_clip_val gradient_clip_algorithm accumulate_grad_batches limit_train_batches "
        "limit_val_batches"
    )
    trainer = plain_trainer(
        config,
        max_epochs=-1,
        max_steps=steps,
        enable_checkpointing=validates,
        enable_progress_bar=shows_bar,
        callbacks=[ending, EpochLines(shown), LogLines(), *bar, *[best] * validates],
        **{option: config.trainer[option] for option in same.split()},
    )
    keep_checkpoints(trainer)
    trainer.fit(control, copy.copy(data))
    if ending.asked:
        path.unlink(missing_ok=True)
        raise KeyboardInterrupt
    if ending.diverged and trainer.is_global_zero:
        print(f"WARNING: {path.stem}: {ending.reason}")
    elif not best.best_model_path:
        trainer.save_checkpoint(path)
    trainer.strategy.barrier()  # one process writes, all read


def evaluate_control(control: Any, data: Any, split: str, config: Any) -> pl.Trainer:
    """Evaluates a control on a split of the run's data; returns the trainer, which knows what was logged."""
    trainer = plain_trainer(config, enable_progress_bar=False, callbacks=[LogLines()])
    evaluate = trainer.test if split == data.test_split else trainer.validate
    evaluate(control, copy.copy(data), verbose=False)
    return trainer
