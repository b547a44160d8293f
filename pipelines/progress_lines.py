"""What a fit shows of how far it has come: a line after every validation, a bar, in a log file more lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pytorch_lightning.callbacks import Callback, RichProgressBar
from rich.console import Console

from data_prep import progress


class EpochLines(Callback):
    """Prints a line after every validation, which a log file keeps where a bar would be lost.

    Args:
        shown: Names of the metrics to print.
    """

    def __init__(self, shown: Sequence[str]) -> None:
        self.shown, self.begun = shown, time.monotonic()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        values = [f"{name} {float(metrics[name]):.3f}" for name in self.shown if name in metrics]
        if trainer.max_epochs == -1:
            most = f"/{trainer.max_steps:,}" if trainer.max_steps > 0 else ""
            place = f"step {trainer.global_step:,}{most}"
        else:
            place = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        print("  ".join([place, *values, f"{time.monotonic() - self.begun:.0f} s"]), flush=True)
        for name in self.shown:
            if name.startswith("train/"):  # early stopping still waits for what was validated
                metrics.pop(name, None)  # or what later epochs no longer measure would be shown again


class LogLines(Callback):
    """Prints a line every 30 s, within epochs too, where no terminal shows a bar."""

    def __init__(self) -> None:
        self.speaks, self.begun = not Console().is_terminal, time.monotonic()
        self.spoken = self.begun

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        most = f"/{trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
        loss = trainer.callback_metrics.get("train/loss")
        shown = [] if loss is None else [f"train/loss {float(loss):.3f}"]
        self._speak(
            trainer,
            f"epoch {trainer.current_epoch + 1}{most}",
            batch_idx,
            trainer.num_training_batches,
            shown,
        )

    def on_validation_batch_end(
        self,
        trainer: Any,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        what = "test" if trainer.testing else "validation"
        batches = trainer.num_test_batches if trainer.testing else trainer.num_val_batches
        self._speak(trainer, what, batch_idx, batches[dataloader_idx])

    on_test_batch_end = on_validation_batch_end

    def _speak(self, trainer: Any, what: str, batch: int, batches: float, shown: Sequence[str] = ()) -> None:
        now = time.monotonic()
        if self.speaks and trainer.is_global_zero and now - self.spoken >= progress.SPEAKS_EVERY:
            self.spoken = now
            of_all = f"/{batches:,}" if batches != float("inf") else ""
            line = [what, f"batch {batch + 1:,}{of_all}", *shown, f"{now - self.begun:.0f} s"]
            print("  ".join(line), flush=True)


class ProgressBar(RichProgressBar):
    """Lightning's bar, with epochs counted from 1, as the printed lines count them.

    The version number is left out: it is in the run folder's name.
    """

    def _get_train_description(self, current_epoch: int) -> str:
        most = self.trainer.max_epochs
        of_all = f"/{most}" if most is not None and most > 0 else ""  # -1: the steps are limited instead
        # as long as the other description, or the bar would flicker
        return f"Epoch {current_epoch + 1}{of_all}".ljust(len(self.validation_description))

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
