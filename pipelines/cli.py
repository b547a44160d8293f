"""fit, validate and test of every application: one folder a run, and what they print and keep."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from modules.checkpoints import read_checkpoint
from modules.errors import InputError
from modules.precision import fast_dtype
from pipelines.arguments import Parser, run_folder_of
from pipelines.front_door import silence_libraries
from pipelines.memory import keep_freed_memory
from pipelines.unread_options import settle_unread


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


@contextmanager
def blaming(option: str) -> Iterator[None]:
    """Turns what a library says of an option's value into one line that names the option."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
        raise InputError(f"{option}: {' '.join(str(error).split())}") from error


class FitParser(Parser, LightningArgumentParser):
    """One that knows Lightning's classes."""


class SaveConfig(SaveConfigCallback):
    """Writes config.yaml of a run, in fit only."""

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if stage == "fit":
            super().setup(trainer, pl_module, stage)


def fast_precision(accelerator: str) -> str:
    """Returns bf16-mixed where the device that Lightning would choose is fast in it, else 32-true."""
    chosen = None if accelerator == "cpu" else torch.accelerator.current_accelerator(check_available=True)
    return "bf16-mixed" if fast_dtype(chosen or torch.device("cpu")) == torch.bfloat16 else "32-true"


class RunCLI(LightningCLI):
    """fit, validate and test of one application, with one folder a run.

    Subclasses name the task and what follows a fit.
    """

    task: str
    monitor: str  # the metric that chooses a checkpoint
    monitors: tuple[str, ...]  # all that could
    shown: tuple[str, ...]  # metrics to print after every epoch

    def __init__(self, model_class: Any, datamodule_class: Any, argv: Sequence[str]) -> None:
        self.run_folder: Path | None = None
        silence_libraries()  # once more: Lightning chooses its own level when it is imported
        keep_freed_memory()
        super().__init__(
            model_class,
            datamodule_class,
            args=list(argv),
            parser_class=FitParser,
            save_config_callback=SaveConfig,
            save_config_kwargs={"overwrite": True},
            trainer_defaults={
                "use_distributed_sampler": False,
                "num_sanity_val_steps": 0,
                "accelerator": "auto",
            },
            seed_everything_default=0,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {
            "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "weights_only"},
            "validate": {"model", "dataloaders", "datamodule", "verbose", "weights_only"},
            "test": {"model", "dataloaders", "datamodule", "verbose", "weights_only"},
        }

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str, default="run", help="Experiment; runs lie in RUNS/TASK/NAME.")
        parser.add_argument("--runs", type=Path, default=Path("runs"), help="Folder of all runs.")
        parser.add_argument(
            "--save_minutes", type=float, default=10.0, help="Longest time between two last.ckpt."
        )
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.set_defaults(
            {
                "checkpoint.filename": "best",
                "checkpoint.monitor": self.monitor,
                "checkpoint.mode": "max",
                "checkpoint.auto_insert_metric_name": False,
                "early_stopping.monitor": self.monitor,
                "early_stopping.mode": "max",
                "early_stopping.patience": 5,
            }
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Lets a checkpoint decide the model it holds, and says so where the configuration differs."""
        config = self.config[self.config.subcommand]
        path = config.get("ckpt_path")
        if self.config.subcommand != "fit" and not path:
            raise InputError(f"{self.config.subcommand} needs --ckpt_path RUN/checkpoints/best.ckpt")
        if not path:
            return
        if path in ("best", "last", "hpc", "registry"):
            raise InputError(f"--ckpt_path {path}: name the file, such as RUN/checkpoints/{path}.ckpt")
        stored = read_checkpoint(path, self.task)["hyper_parameters"]
        for group, options in stored.items():
            given = config.model[group]
            for name, value in options.items():
                if given.get(name) != value:
                    print(f"note: model.{group}.{name} is {value!r}, as in the checkpoint")
                    given[name] = value

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if config.trainer.precision is None:
            config.trainer.precision = fast_precision(str(config.trainer.accelerator))
        clip = config.trainer.gradient_clip_val
        if clip is not None and clip < 0:
            raise InputError(f"trainer.gradient_clip_val is {clip:g}; it has to be 0 (no clipping) or more")
        if self.subcommand != "fit":
            config.trainer.logger = False
            return
        if not config.ckpt_path:  # a run that is resumed goes on as it began
            settle_unread(config.model, self.model_class, config.config or [])
        if not config.save_minutes > 0:
            raise InputError(f"save_minutes is {config.save_minutes:g}; it has to be above 0")
        if Path(config.name).name != config.name or config.name in ("", ".."):
            raise InputError(f"name is {config.name!r}; it names one folder, without a path: see --runs")
        for option in ("checkpoint.monitor", "early_stopping.monitor"):
            # Lightning would complain at the end of the first epoch
            if config[option] is not None and config[option] not in self.monitors:
                near = get_close_matches(config[option], self.monitors, n=1, cutoff=0.0)[0]
                raise InputError(
                    f"{option} is {config[option]!r}; the nearest is {near!r} of {', '.join(self.monitors)}"
                )
        self.run_folder = self._choose_run_folder(config)
        os.environ["SEQSIGHT_RUN"] = str(self.run_folder)  # for the other processes of this machine

    def _choose_run_folder(self, config: Any) -> Path:
        if "SEQSIGHT_RUN" in os.environ and int(os.environ.get("LOCAL_RANK", "0")) > 0:
            return Path(os.environ["SEQSIGHT_RUN"])
        if config.ckpt_path:  # a resumed run goes on in its own folder
            folder = run_folder_of(Path(config.ckpt_path))
            if folder:
                return folder
        parent = Path(config.runs) / self.task / config.name
        existing = next(folder for folder in (parent, *parent.parents) if folder.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise InputError(f"{existing}: no folder that runs can be written to; choose another --runs")
        taken = [
            int(p.name.split("_")[1]) for p in parent.glob("version_*") if p.name.split("_")[1].isdigit()
        ]
        return parent / f"version_{max(taken, default=-1) + 1}"

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        trainer = dict(self.config_init[self.subcommand].trainer)
        callbacks = list(trainer.get("callbacks") or [])
        if self.subcommand == "fit":
            minutes = self.config_init[self.subcommand].save_minutes
            callbacks += [
                EpochLines(self.shown),
                LastCheckpoint(),
                LastCheckpoint(timedelta(minutes=minutes)),
            ]
        if trainer.get("enable_progress_bar") is not False:
            callbacks.append(ProgressBar())
        if self.run_folder is not None and trainer.get("logger") in (None, True):
            kwargs["logger"] = TensorBoardLogger(
                str(self.run_folder.parent), name="", version=self.run_folder.name, default_hp_metric=False
            )
        with blaming("trainer"):
            return super().instantiate_trainer(callbacks=callbacks, **kwargs)
