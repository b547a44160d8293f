"""How a fit ends, whatever ends it: the newest weights are validated, and it says what ended it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback, Timer
from pytorch_lightning.loops.loop import _Loop
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from data_prep.terminal import saying_how_to_resume
from modules.errors import InputError

POLITE = b"\nstopping after this step: validation, test and report follow; Ctrl-C again stops at once\n"

# what PyTorch says to a process that waits for another one: of Gloo, and of NCCL
_GONE = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "remote process exited",
    "ncclRemoteError",
)


class Ending(Callback):
    """Ends a fit so that its last weights are validated and kept, and prints what ended it.

    The first Ctrl-C asks for the end, the second one stops at once.

    Attributes:
        reason: What ended training; None before that, and where there was nothing left to train.
        diverged: Whether it was that gradients were no longer finite.
        asked: Whether Ctrl-C was pressed.
        ends: Whether training ends after this step.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.diverged = self.asked = self.ends = False
        self._handler: Any = None  # of Ctrl-C, before training
        self._process = os.getpid()

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        # max_time is the time of this call, not of all together
        checkpoint["callbacks"].pop("Timer", None)

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        self.reason = None
        if _no_longer_better(trainer):  # a resumed run would train on until the next validation
            trainer.should_stop = True

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        _begin_next_epoch(trainer.fit_loop)
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGINT, self._ask)

    def _ask(self, *_: Any) -> None:
        if os.getpid() != self._process:  # a worker; a terminal tells all
            return
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        os.write(2, POLITE)  # print is not made to be interrupted by itself

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # with several processes Ctrl-C reaches each at another moment
        self.asked = bool(trainer.strategy.reduce_boolean_decision(self.asked, all=False))
        self.ends = bool(self.ends or self.asked or trainer.should_stop or _limit_reached(trainer))
        trainer.should_stop = self.ends and not is_amid_step(trainer)
        if trainer.should_stop:
            self.reason = self._why(trainer, pl_module)
            # Lightning validates where training is asked to stop, but for epochs that it would not validate
            if trainer.check_val_every_n_epoch is not None:
                trainer.check_val_every_n_epoch = 1

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._restore()
        self.reason = self.reason or self._why(trainer, pl_module)
        if trainer.is_global_zero and not self.diverged:
            print(f"training ended after {trainer.global_step:,} steps: {self.reason}", flush=True)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None

    def _why(self, trainer: Any, model: Any) -> str:
        if model.divergence is not None:
            self.diverged = True
            return str(model.divergence)
        if self.asked:
            return "Ctrl-C"
        reasons = (getattr(callback, "stop_reason", None) for callback in trainer.callbacks)
        return next(filter(None, reasons), None) or end_of(trainer) or "a callback asked for it"


def is_amid_step(trainer: Any) -> bool:
    """Returns whether gradients of further batches belong to this step, which no checkpoint keeps."""
    batches = trainer.fit_loop.epoch_loop.batch_progress
    return not batches.is_last_batch and bool(batches.current.ready % trainer.accumulate_grad_batches)


def _begin_next_epoch(loop: Any) -> None:
    """Lets a run that is resumed after an epoch begin the next one, also where max_steps is set."""
    progress = loop.epoch_progress.current
    if progress.processed and progress.ready == progress.started == progress.processed:
        progress.completed = progress.processed
        loop.reset_restart_stage()
        _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]  # its own setter would set it again


def end_of(trainer: Any) -> str | None:
    """Returns which limit, or which lack of progress, ends training; None where nothing does."""
    return _time_is_over(trainer) or _no_longer_better(trainer) or _limit_reached(trainer)


def _limit_reached(trainer: Any) -> str | None:
    if trainer.fast_dev_run:
        return "--trainer.fast_dev_run" if trainer.global_step >= trainer.max_steps else None
    if 0 <= trainer.max_steps <= trainer.global_step:
        return f"--trainer.max_steps {trainer.max_steps}"
    epochs, batches = trainer.fit_loop.epoch_progress.current, trainer.fit_loop.epoch_loop.batch_progress
    # after its last batch an epoch is not yet among those processed
    done = epochs.processed + (batches.is_last_batch and epochs.ready > epochs.processed)
    return f"--trainer.max_epochs {trainer.max_epochs}" if 0 <= trainer.max_epochs <= done else None


def _time_is_over(trainer: Any) -> str | None:
    left = [callback.time_remaining() for callback in trainer.callbacks if isinstance(callback, Timer)]
    return "--trainer.max_time" if any(seconds is not None and seconds <= 0 for seconds in left) else None


def _no_longer_better(trainer: Any) -> str | None:
    for stopping in trainer.early_stopping_callbacks:
        if stopping.wait_count >= stopping.patience:
            return (
                f"{stopping.monitor} is no better than {float(stopping.best_score):.3f} since "
                f"{stopping.wait_count} validations (--early_stopping.patience)"
            )
        if stopping.stopping_reason_message:
            return str(stopping.stopping_reason_message).removesuffix(" Signaling Trainer to stop.")
    return None


@contextmanager
def plain_ending(run_folder: Path | None = None) -> Iterator[None]:
    """Turns what only data and other processes show to be wrong into an InputError; Ctrl-C stays what it is.

    Args:
        run_folder: Of a fit.
    """

    def resumed_by() -> str:
        last = None if run_folder is None else run_folder / "checkpoints" / "last.ckpt"
        return f"go on with --ckpt_path {last}" if last is not None and last.is_file() else ""

    try:
        with saying_how_to_resume(resumed_by):
            yield
    except MisconfigurationException as error:
        raise InputError(f"trainer: {' '.join(str(error).split())}") from error
    except ValueError as error:
        if "`val_check_interval`" not in str(error):  # which the data are too few for
            raise
        raise InputError(f"trainer: {' '.join(str(error).split())}") from error
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _GONE):
            raise
        remedy = resumed_by() or "no checkpoint was kept yet, so begin again"
        raise InputError(f"another process has ended, and all with it; {remedy}") from error


@contextmanager
def blaming(option: str) -> Iterator[None]:
    """Turns what a library says of an option's value into one line that names the option."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
        raise InputError(f"{option}: {' '.join(str(error).split())}") from error
