"""What a fit keeps: the checkpoint of the best score, the one that a stopped run goes on from, its time."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, Timer
from pytorch_lightning.plugins.io import TorchCheckpointIO

from data_prep.terminal import Terminated
from modules.checkpoints import stored_in, write_checkpoint
from pipelines.endings import is_amid_step

STOPPING = b"\nstopping after this step, with a checkpoint; SIGTERM again stops at once\n"
_ONE_STOP_S = 1.0  # `timeout` sends SIGTERM twice


class AveragedWeights(EMAWeightAveraging):
    """Validates and keeps the moving average of the weights (EMA), or the weights until the average begins.

    Lightning's own gives the initial weights until then: a fit that ends early would keep those. And its sum
    of two rounded products lets weights drift that no training changes, as those of a frozen encoder.

    Args:
        decay: What an average keeps of itself at a step, 0..1.
        update_starting_at_step: The first step that is averaged; by default the first of all.
    """

    def __init__(self, decay: float = 0.999, update_starting_at_step: int | None = None) -> None:
        super().__init__(decay=decay, update_starting_at_step=update_starting_at_step)
        self.decay = decay

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage != "fit":  # or a validation after training would be of the average, whatever it is given
            self._average_model = None
        elif self._average_model is not None:
            self._average_model.avg_fn = self._averaged

    def _averaged(self, average: torch.Tensor, current: torch.Tensor, _: Any) -> torch.Tensor:
        """Returns the average after a step: what is equal stays exactly as it is."""
        return torch.lerp(average, current, 1 - self.decay) if average.is_floating_point() else current

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        assert self._average_model is not None
        averaged = self._average_model.n_averaged
        if not averaged:
            self._average_model.update_parameters(pl_module)  # the first update copies
            averaged.zero_()


class FitClock(Callback):
    """Knows how long a fit took. A part before a stop counts up to the checkpoint from which it went on."""

    def __init__(self) -> None:
        self.started, self.earlier = time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        """Since this part began, and of the parts before."""
        return self.earlier + time.monotonic() - self.started

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.earlier = state_dict["seconds"]


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint of the best score.

    What is no number is no score. A resumed run knows the best score from the file that holds its weights,
    wherever the run folder lies by now.
    """

    @property
    def state_key(self) -> str:
        # as in checkpoints from before this class
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def check_monitor_top_k(self, trainer: Any, current: torch.Tensor | None = None) -> bool:
        is_number = current is not None and bool(torch.isfinite(current))
        return is_number and super().check_monitor_top_k(trainer, current)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert self.dirpath is not None
        folder = Path(self.dirpath)

        def here(path: str) -> str:
            return str(folder / Path(path).name)

        # last.ckpt of a run that ended amid its first epoch is older than best.ckpt, and names none
        best = folder / (Path(state_dict["best_model_path"]).name or f"{self.filename}{self.FILE_EXTENSION}")
        if not best.is_file():
            return  # a run in a new folder has no best score yet
        if self.save_top_k == 1:
            # or an older one is named than the folder has
            stored = stored_in(best)
            state_dict = stored.get("callbacks", {}).get(self.state_key, state_dict)
        scores = {here(path): score for path, score in state_dict["best_k_models"].items()}
        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(path) if (path := state_dict[name]) else "" for name in names}
        super().load_state_dict(state_dict | moved | {"dirpath": self.dirpath, "best_k_models": scores})


class LastCheckpoint(ModelCheckpoint):
    """Keeps last.ckpt, from which a stopped run goes on: after every epoch, or every so often within one.

    A run that ends amid an epoch keeps one too. SIGTERM ends a run so: after the step, or the validation
    that follows. ModelCheckpoint's own `save_last` is written only together with a new best checkpoint.
    """

    def __init__(self, interval: timedelta | None = None) -> None:
        super().__init__(
            filename="last",
            save_top_k=1,
            enable_version_counter=False,
            train_time_interval=interval,
            save_on_train_epoch_end=interval is None,
        )
        self.every_epoch = interval is None
        self._before: Any = None  # what SIGTERM did before training
        self._came_s: float | None = None  # when it came

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Has nothing to remember: there is one file, wherever the run folder lies by now."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        super().on_train_start(trainer, pl_module)
        before, process = signal.getsignal(signal.SIGTERM), os.getpid()
        is_main = threading.current_thread() is threading.main_thread()
        if not self.every_epoch or trainer.fast_dev_run or not is_main or not callable(before):
            return

        def hear(number: int, frame: Any) -> None:
            now, came = time.monotonic(), self._came_s
            if os.getpid() != process or (came is not None and now - came > _ONE_STOP_S):
                before(number, frame)
            elif came is None:
                self._came_s = now
                os.write(2, STOPPING)  # print is not made to be interrupted by itself
                batches = trainer.fit_loop.epoch_loop.batch_progress.current
                # workers may have heard it too: amid a step nobody waits for them any more
                if batches.ready > batches.completed and hasattr(signal, "SIGCHLD"):
                    signal.signal(signal.SIGCHLD, lambda *_: None)

        self._before = before
        signal.signal(signal.SIGTERM, hear)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # between a step and the validation after it a resumed run would skip that validation
        if _is_last_of_epoch(trainer) or _validates_by_schedule(trainer) or is_amid_step(trainer):
            return
        if not self.every_epoch:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            return
        is_terminated = self._is_terminated(trainer)
        if trainer.should_stop or is_terminated:
            self._save_now(trainer)
        if is_terminated:
            raise Terminated

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not self.every_epoch or _is_last_of_epoch(trainer):
            return
        is_terminated = not is_amid_step(trainer) and self._is_terminated(trainer)
        if (trainer.should_stop or is_terminated) and _validates_by_schedule(trainer):
            self._save_now(trainer)
        if is_terminated:
            raise Terminated

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if _is_last_of_epoch(trainer):  # or an epoch that was left early would count as done
            super().on_train_epoch_end(trainer, pl_module)
        if self.every_epoch and self._is_terminated(trainer):
            raise Terminated

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        super().on_train_end(trainer, pl_module)
        self._restore()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        super().on_exception(trainer, pl_module, exception)
        self._restore()

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def _is_terminated(self, trainer: Any) -> bool:
        # with several processes SIGTERM may reach one of them alone
        return bool(trainer.strategy.reduce_boolean_decision(self._came_s is not None, all=False))

    def _save_now(self, trainer: Any) -> None:
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_none_monitor_checkpoint(trainer, self._monitor_candidates(trainer))


def _is_last_of_epoch(trainer: Any) -> bool:
    return bool(trainer.fit_loop.epoch_loop.batch_progress.is_last_batch)


def _validates_by_schedule(trainer: Any) -> bool:
    loop, every = trainer.fit_loop, trainer.val_check_batch
    across_epochs = trainer.check_val_every_n_epoch is None
    done = (loop.total_batch_idx if across_epochs else loop.epoch_loop.batch_idx) + 1
    return every is not None and done % every == 0


class WholeCheckpoints(TorchCheckpointIO):
    """Writes each checkpoint whole, or leaves the one before it.

    Lightning writes to the folder of temporary files. Where that is on another disk, a copy follows, which a
    kill or a full disk cuts short.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        write_checkpoint(Path(path), checkpoint)


def keep_checkpoints(trainer: Any) -> None:
    """Prepares a trainer that keeps checkpoints, each of them whole.

    It looks at the time before what ends a fit, and writes last.ckpt after all that goes into it.
    """
    # a strategy that knows better keeps its own way
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeCheckpoints()
    trainer.callbacks.sort(
        key=lambda callback: (isinstance(callback, LastCheckpoint), not isinstance(callback, Timer))
    )
