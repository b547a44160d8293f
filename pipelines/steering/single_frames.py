"""Models of single frames: the first stage of a two-stage fit, and so or by itself the control beside it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback, EarlyStopping, Timer

from data_prep.driving.datamodule import SteerDataModule
from modules.decoders.steering import SteeringDecoderOptions
from modules.steering.free_running import DrivesPredicted
from modules.steering.steerer import Steerer
from pipelines.checkpoint_callbacks import BestCheckpoint, LastCheckpoint, keep_checkpoints
from pipelines.endings import Ending
from pipelines.progress_lines import EpochLines, LogLines
from pipelines.running.controls import evaluate_control
from pipelines.running.plain_trainer import plain_trainer

CONTROL = "single_frame"  # its checkpoint lies beside that of the model
FIRST_STAGE_OF = "first_stage_of"  # in its checkpoints: options of the whole model
_PATIENCE = 3


def frame_by_frame(data: SteerDataModule) -> SteerDataModule:
    """Returns the same drives as shuffled single frames."""
    frames = copy.copy(data)
    frames.sequence_length, frames.stride, frames.stateful, frames.batch_size = 1, 1, False, 32
    frames.left_context = None
    return frames


def control_of(model: Steerer) -> Steerer:
    """Returns a new model like this one, but for all that would look back: it sees one frame at a time."""
    encoder = replace(model.encoder_options, flow=None, time_kernels=(1, 1, 1, 1))
    decoder = SteeringDecoderOptions(kind="frame")
    options = replace(model.training_options, pretrain_epochs=0)
    control = Steerer(model.preprocessing, encoder, decoder, options)
    control.ridges = model.ridges
    return control


class FirstStage(Callback):
    """Writes into checkpoints of a first stage which model it is the first stage of, so that it can go on.

    Args:
        model: The whole one.
    """

    def __init__(self, model: Steerer) -> None:
        self.options = {name: dict(group) for name, group in model.hparams.items()}

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint[FIRST_STAGE_OF] = self.options

    @staticmethod
    def last_checkpoints(folder: Path, minutes: float) -> list[Callback]:
        """Returns what keeps last.ckpt, after every epoch and every so many minutes."""
        kept = [LastCheckpoint(), LastCheckpoint(timedelta(minutes=minutes))]
        for callback in kept:
            callback.dirpath = str(folder)
        return list(kept)


def learn_single_frames(
    single: Steerer,
    data: SteerDataModule,
    config: Any,
    epochs: int,
    folder: Path,
    ending: Ending,
    callbacks: Sequence[Callback] = (),
    resumed: str | None = None,
) -> Steerer:
    """Returns a model of single frames trained until validation gets no better, as it was at its best.

    Of `max_time` it takes half at most; the fit's other limits hold for it as well.

    Args:
        single: to be trained.
        data: drives of the recurrent model beside it, whose frames it learns from.
        config: of the fit.
        epochs: at most.
        folder: gets single_frame.ckpt, of the epoch with the least error on the validation drives.
        ending: says what ended it.
        callbacks: more of them.
        resumed: checkpoint to go on from.
    """
    best = BestCheckpoint(
        folder, CONTROL, "val/rmse_rad", enable_version_counter=False, save_on_train_epoch_end=False
    )
    patience = EarlyStopping(
        "val/rmse_rad", patience=_PATIENCE, check_finite=False, check_on_train_epoch_end=False
    )
    limit = config.trainer.max_time
    seconds = None if limit is None else Timer(limit).time_remaining()
    same = (
        "gradient_clip_val gradient_clip_algorithm accumulate_grad_batches max_steps limit_train_batches "
        "limit_val_batches overfit_batches fast_dev_run enable_progress_bar"
    )
    trainer = plain_trainer(
        config,
        max_epochs=epochs,
        max_time=None if seconds is None else timedelta(seconds=seconds / 2),
        enable_checkpointing=True,
        callbacks=[
            ending,
            EpochLines(("train/loss", "val/rmse_rad")),
            LogLines(),
            patience,
            best,
            *callbacks,
        ],
        **{name: config.trainer[name] for name in same.split()},
    )
    keep_checkpoints(trainer)
    trainer.fit(single, frame_by_frame(data), ckpt_path=resumed)
    trainer.strategy.barrier()  # one process writes, all read
    return Steerer.load(best.best_model_path) if best.best_model_path else single


def control_said(
    checkpoint: Path, model: Steerer, data: SteerDataModule, split: str, config: Any
) -> DrivesPredicted | None:
    """Returns what the control of a checkpoint says of a model's split, or None where none was trained."""
    if not checkpoint.exists():
        return None
    control = Steerer.load(checkpoint)
    control.drives = model.drives  # its checkpoint may be of an earlier version
    evaluate_control(control, data, split, config)
    return control.evaluation
