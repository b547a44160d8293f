"""Models of single frames: the first stage of a two-stage fit, and so or by itself the control beside it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from data_prep.driving.datamodule import SteerDataModule
from modules.decoders.steering import SteeringDecoderOptions
from modules.steering.free_running import DrivesPredicted
from modules.steering.steerer import Steerer
from pipelines.progress_lines import EpochLines

CONTROL = "single_frame"  # its checkpoint lies beside that of the model
_PATIENCE = 3


def frame_by_frame(data: SteerDataModule) -> SteerDataModule:
    """Returns the same drives as shuffled single frames."""
    frames = copy.copy(data)
    frames.sequence_length, frames.stride, frames.stateful, frames.batch_size = 1, 1, False, 32
    frames.left_context = None
    return frames


def plain_trainer(config: Any, **options: Any) -> pl.Trainer:
    """Returns a trainer that keeps nothing, on the devices of a command's configuration.

    Args:
        config: the subcommand's.
        options: more of Lightning's, and others than these.
    """
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    return pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=config.trainer.devices,
        strategy=config.trainer.strategy,
        precision=config.trainer.precision,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **quiet | options,
    )


def control_of(model: Steerer) -> Steerer:
    """Returns a new model like this one, but for all that would look back: it sees one frame at a time."""
    encoder = replace(model.encoder_options, flow=None, time_kernels=(1, 1, 1, 1))
    decoder = SteeringDecoderOptions(kind="frame")
    return Steerer(model.preprocessing, encoder, decoder, replace(model.training_options, pretrain_epochs=0))


def learn_single_frames(
    single: Steerer, data: SteerDataModule, config: Any, epochs: int, folder: Path
) -> Steerer:
    """Returns a model of single frames trained until validation gets no better, as it was at its best.

    Args:
        single: to be trained.
        data: drives of the recurrent model beside it, whose frames it learns from.
        config: of the fit.
        epochs: at most.
        folder: gets single_frame.ckpt, of the epoch with the least error on the validation drives.
    """
    shown = EpochLines(("train/loss", "val/rmse_rad"))
    best = ModelCheckpoint(folder, CONTROL, "val/rmse_rad", enable_version_counter=False)
    trainer = plain_trainer(
        config,
        max_epochs=epochs,
        gradient_clip_val=config.trainer.gradient_clip_val,
        limit_train_batches=config.trainer.limit_train_batches,
        enable_progress_bar=config.trainer.enable_progress_bar,
        enable_checkpointing=True,
        callbacks=[best, EarlyStopping("val/rmse_rad", patience=_PATIENCE), shown],
    )
    trainer.fit(single, frame_by_frame(data))
    trainer.strategy.barrier()  # one process writes, all read
    return Steerer.load(best.best_model_path)


def control_said(checkpoint: Path, data: SteerDataModule, split: str, config: Any) -> DrivesPredicted | None:
    """Returns what the control of a checkpoint says of a split, or None where none was trained."""
    if not checkpoint.exists():
        return None
    control = Steerer.load(checkpoint)
    trainer = plain_trainer(config, enable_progress_bar=False)
    evaluate = trainer.test if split == data.test_split else trainer.validate
    evaluate(control, copy.copy(data), verbose=False)
    return control.evaluation
