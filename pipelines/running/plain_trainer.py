"""A trainer for what is trained or scored beside the model of a run."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


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
