"""When a fit keeps the checkpoint from which a killed run goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """Keeps last.ckpt, from which a killed run goes on: after every epoch, or every so often within one.

    ModelCheckpoint's own `save_last` is written only together with a new best checkpoint.
    """

    def __init__(self, interval: timedelta | None = None) -> None:
        super().__init__(
            filename="last",
            save_top_k=1,
            enable_version_counter=False,
            train_time_interval=interval,
            save_on_train_epoch_end=interval is None,
        )

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # between a step and the validation after it a resumed run would skip that validation
        loop = trainer.fit_loop
        across_epochs = trainer.check_val_every_n_epoch is None
        done = loop.total_batch_idx + 1 if across_epochs else batch_idx + 1
        if not loop.epoch_loop.batch_progress.is_last_batch and done % trainer.val_check_batch:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
