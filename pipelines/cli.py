"""fit, validate and test of every application: one folder a run, and what they print and keep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import TensorBoardLogger

from modules.checkpoints import read_checkpoint
from modules.errors import InputError
from modules.training import TrainedModule
from modules.whole_files import write_whole
from pipelines.arguments import Parser, check_trainer, run_folder_of, take_options, take_seed
from pipelines.checkpoint_callbacks import BestCheckpoint, FitClock, LastCheckpoint, keep_checkpoints
from pipelines.devices import TRAINER_HELP, check_strategy, fast_precision, take_device
from pipelines.endings import Ending, blaming, end_of, plain_ending
from pipelines.findings import Findings, print_findings, print_next, write_metrics
from pipelines.front_door import silence_libraries
from pipelines.memory import keep_freed_memory
from pipelines.options.unread_options import settle_unread
from pipelines.progress_lines import EpochLines, LogLines, ProgressBar
from pipelines.run_folders import UNTOLD, given_back_without_checkpoint, is_first_process, reserve_run_folder
from pipelines.running.monitored import mode_of, settle_monitors
from pipelines.running.resuming import check_resumable, named_checkpoint

DESCRIPTIONS = {
    "fit": "Train a model, then score the test split with its best checkpoint.",
    "validate": "Score the validation split with a checkpoint.",
    "test": "Score the test split with a checkpoint.",
}
# options of every task that --help begins with, after its own
FIRST = ("trainer.max_epochs", "name", "runs", "ckpt_path", "device")
FIRST_OF_TRAINED = ("ckpt_path", "device", "config")
HELP = {
    "config": "YAML file of options, such as those in configs/; options written after it take precedence.",
    "trainer.max_epochs": "Most passes over the training data; -1 for no limit.",
}
CHECKPOINT_HELP = {
    True: "Checkpoint to go on from, such as RUN/checkpoints/last.ckpt.",
    False: "Checkpoint to score, such as RUN/checkpoints/best.ckpt.",
}


class FitParser(Parser, LightningArgumentParser):
    """One that knows Lightning's classes."""


class RunCLI(LightningCLI):
    """fit, validate and test of one task, with one folder a run.

    A fit ends by scoring the test split with its best checkpoint; validate and test do the same with the one
    they are given, into a folder of their own. A task names its classes and metrics here, and says in `find`
    what it found out. It may add options, callbacks, what to compare with, and a page.
    """

    task: str
    model_class: type[TrainedModule]
    datamodule_class: type[LightningDataModule]
    monitor: str  # the metric that chooses a checkpoint
    monitors: tuple[str, ...]  # all that could
    shown: tuple[str, ...]  # metrics to print after every epoch
    first: tuple[str, ...]  # options of the task that --help begins with
    following: tuple[str, ...]  # commands for a checkpoint of a fit, without its path
    beside: tuple[str, ...] = ()  # names of checkpoints of controls, beside those of a fit

    # ---- what a task says

    def fit_callbacks(self) -> list[Callback]:
        """Returns more callbacks of a fit."""
        return []

    def adjust_model(self) -> None:
        """Tells a model that was built or loaded what only options and data say."""

    def adjust_data(self, checkpoint: dict[str, Any]) -> None:
        """Tells data that were read for a fit what options and the checkpoint that goes on, if any, say."""

    def stored_options(self, checkpoint: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Returns the options of the model that a checkpoint is of."""
        return dict(checkpoint["hyper_parameters"])

    def compare(self, split: str, checkpoint: Path) -> None:
        """Evaluates, in all processes, what the model will be set beside."""

    def find(self, split: str, folder: Path) -> Findings:
        """Returns what evaluating the split came to; writes predictions into the folder."""
        raise NotImplementedError

    def write_page(self, folder: Path) -> Path | None:
        """Writes the report of a folder that holds everything else by now; returns its path."""
        return None

    # ---- the sequence of all tasks

    def __init__(self, argv: Sequence[str]) -> None:
        self.clock = FitClock()
        self.command, self.argv = argv[0], argv
        self.run_folder: Path | None = None
        self.ending = Ending()
        silence_libraries()  # once more: Lightning chooses its own level when it is imported
        keep_freed_memory()
        with ExitStack() as self.reserved:
            super().__init__(
                self.model_class,
                self.datamodule_class,
                args=list(argv),
                parser_class=FitParser,
                save_config_callback=None,
                trainer_defaults={
                    "use_distributed_sampler": False,
                    "num_sanity_val_steps": 0,
                    "accelerator": "auto",
                },
                seed_everything_default=0,
            )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's is static
        """Returns the one that is run: a parser of all three takes three times as long."""
        evaluated = {"model", "dataloaders", "datamodule", "verbose", "weights_only"}
        fitted = {"model", "train_dataloaders", "val_dataloaders", "datamodule", "weights_only"}
        return {self.command: fitted if self.command == "fit" else evaluated}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str, default="run", help="Experiment; runs lie in RUNS/TASK/NAME.")
        parser.add_argument("--runs", type=Path, default=Path("runs"), help="Folder of all runs.")
        parser.add_argument(
            "--save_minutes", type=float, default=10.0, help="Longest time between two last.ckpt."
        )
        parser.add_argument("--device", type=str | None, default=None, help=TRAINER_HELP)
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.set_defaults(
            {
                "checkpoint.filename": "best",
                "checkpoint.monitor": self.monitor,
                "checkpoint.mode": mode_of(self.monitor),
                "checkpoint.auto_insert_metric_name": False,
                "early_stopping.check_finite": False,
                "early_stopping.monitor": self.monitor,
                "early_stopping.mode": mode_of(self.monitor),
                "early_stopping.patience": 5,
            }
        )

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        super()._add_subcommands(parser, **kwargs)
        for command, of_command in self._subcommand_parsers.items():
            assert isinstance(of_command, FitParser)
            of_command.prog = f"{self.task}.py {command}"
            of_command.description = DESCRIPTIONS[command]
            first = ("config", *self.first, *FIRST) if command == "fit" else (*self.first, *FIRST_OF_TRAINED)
            of_command.first = tuple(name for name in first if command == "fit" or "model." not in name)
            for name, text in (HELP | {"ckpt_path": CHECKPOINT_HELP[command == "fit"]}).items():
                of_command._option_string_actions[f"--{name}"].help = text

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)
        take_device(self.config[self.config.subcommand], args)
        take_seed(self.config[self.config.subcommand], args)

    def _set_seed(self) -> None:
        try:
            super()._set_seed()
        except ValueError as error:
            raise InputError(f"seed_everything: {error}") from error

    def _parse_ckpt_path(self) -> None:
        """Lets a checkpoint decide the model it holds, and says so where the configuration differs."""
        config, command = self.config[self.config.subcommand], self.config.subcommand
        if path := config.get("ckpt_path"):
            stored = named_checkpoint(path, self.model_class.task)
            if command == "fit":
                check_resumable(path, stored, self.beside)
            take_options(config.model, self.stored_options(stored))
        elif command != "fit":
            raise InputError(f"{command} needs --ckpt_path RUN/checkpoints/best.ckpt")

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if config.trainer.precision is None:
            config.trainer.precision = fast_precision(str(config.trainer.accelerator))
        check_strategy(config.trainer.strategy)
        check_trainer(config.trainer)
        needed = {"fit": ("train", "trained"), "validate": ("val", "scored"), "test": ("test", "scored")}
        split, done = needed[str(self.subcommand)]
        if config.trainer[f"limit_{split}_batches"] == 0:
            raise InputError(f"trainer.limit_{split}_batches is 0; nothing would be {done}")
        if self.subcommand != "fit":
            config.trainer.logger = False
            return
        if not config.ckpt_path:  # a run that is resumed goes on as it began
            settle_unread(config.model, self.model_class, config.config or [])
        if not config.save_minutes > 0:
            raise InputError(f"save_minutes is {config.save_minutes:g}; it has to be above 0")
        if Path(config.name).name != config.name or config.name in ("", ".."):
            raise InputError(f"name is {config.name!r}; it names one folder, without a path: see --runs")
        settle_monitors(config, self.monitors, self.argv)
        # after each validation, for one that ends a fit is not at the end of an epoch
        config.checkpoint.save_on_train_epoch_end = config.early_stopping.check_on_train_epoch_end = False
        if config.checkpoint.save_top_k == 1:
            config.checkpoint.enable_version_counter = False
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
        if not is_first_process():  # it is told when all have met
            return parent / UNTOLD
        existed = next(folder for folder in (parent, *parent.parents) if folder.exists())
        folder = reserve_run_folder(parent)
        self.reserved.enter_context(given_back_without_checkpoint(folder, existed))
        return folder

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        trainer = dict(self.config_init[self.subcommand].trainer)
        callbacks = list(trainer.get("callbacks") or [])
        if self.subcommand == "fit":
            callbacks += [
                self.ending,
                self.clock,
                EpochLines(self.shown),
                *self.fit_callbacks(),
                LastCheckpoint(),
                LastCheckpoint(timedelta(minutes=self.config_init[self.subcommand].save_minutes)),
            ]
        callbacks.append(LogLines())
        if trainer.get("enable_progress_bar") is not False:
            callbacks.append(ProgressBar())
        if self.run_folder is not None and trainer.get("logger") in (None, True):
            kwargs["logger"] = TensorBoardLogger(
                str(self.run_folder.parent), name="", version=self.run_folder.name, default_hp_metric=False
            )
        with blaming("trainer"):
            built = super().instantiate_trainer(callbacks=callbacks, **kwargs)
        keep_checkpoints(built)
        return built

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        checkpoint = self.config_init[self.subcommand].ckpt_path
        if self.subcommand != "fit":
            self.load_model(checkpoint)
            return
        # what is wrong with the data shows before the run folder is made or changed
        self.datamodule.read()
        stored = read_checkpoint(checkpoint, self.model_class.task) if checkpoint else {}
        self.adjust_data(stored)
        with blaming("model"):
            if checkpoint:
                self.model.on_load_checkpoint(stored)
            self.model.use_data(self.datamodule)
            if checkpoint:
                self.model.load_state_dict(stored["state_dict"])
        self.adjust_model()

    def load_model(self, checkpoint: Path | str) -> None:
        """Takes the model of a checkpoint, which alone knows its words and weights."""
        self.model = self.model_class.load(checkpoint)
        self.adjust_model()

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand != "fit":  # loaded already
            kwargs |= {"ckpt_path": None, "verbose": False}
        return kwargs

    def _run_subcommand(self, subcommand: str) -> None:
        trainer: Any = self.trainer
        if subcommand == "fit" and trainer.is_global_zero and not trainer.fast_dev_run:
            assert self.run_folder is not None
            options = self._parser("fit").dump(self.config["fit"], skip_none=False)
            write_whole(self.run_folder / "config.yaml", options.encode())
        with plain_ending(self.run_folder):
            super()._run_subcommand(subcommand)
            self.run_folder = trainer.strategy.broadcast(self.run_folder)

    def after_fit(self) -> None:
        trainer: Any = self.trainer
        ending = self.ending
        if trainer.fast_dev_run:
            print("fast_dev_run: training and validation work; nothing is tested and nothing is kept")
            return
        if ending.reason is None and trainer.is_global_zero:
            print(f"nothing was left to train: {end_of(trainer) or 'there are no batches'}")
        best = next((c.best_model_path for c in trainer.checkpoint_callbacks if getattr(c, "monitor", 0)), "")
        assert self.run_folder is not None
        last = self.run_folder / "checkpoints" / "last.ckpt"
        if not best and last.is_file() and not ending.diverged:
            print("no validation came to a number, so the last weights are scored")
            best = str(last)
        if best:
            seconds = {"fit": self.clock.seconds}
            self.load_model(best)
            if Path(best) != last:  # from which a fit goes on as it is
                self.refine(Path(best))
        if best and trainer.limit_test_batches:
            trainer.test(self.model, self.datamodule, verbose=False)
            self._conclude(Path(best), self.run_folder, seconds)
        elif best:
            print(f"nothing is tested: trainer.limit_test_batches is 0\ncheckpoint   {best}")
        if ending.diverged:
            raise InputError(f"{ending.reason}; {best or last} has the weights from before")
        if best and trainer.is_global_zero:
            print_next(self.task, self.following, best)

    def refine(self, checkpoint: Path) -> None:
        """Changes the best checkpoint of a fit, and the model loaded from it: by default not at all."""

    def after_validate(self) -> None:
        checkpoint = Path(self.config[self.subcommand].ckpt_path)
        parent = run_folder_of(checkpoint) or checkpoint.resolve().parent
        number = next(n for n in range(10**6) if not (parent / f"{self.subcommand}_{n}").exists())
        self._conclude(checkpoint, parent / f"{self.subcommand}_{number}", {})

    after_test = after_validate

    def _conclude(self, checkpoint: Path, folder: Path, seconds: dict[str, float]) -> None:
        """Writes what was found about a split, and prints scores and where things lie."""
        split = "val" if self.subcommand == "validate" else self.datamodule.test_split
        self.compare(split, checkpoint)
        if not self.trainer.is_global_zero:
            return
        folder.mkdir(parents=True, exist_ok=True)
        found = self.find(split, folder)
        seconds = {**seconds, "total": self.clock.seconds}
        found.files["metrics"] = write_metrics(folder, split, checkpoint, found, seconds)
        if page := self.write_page(folder):
            found.files["report"] = page
        print_findings(split, checkpoint, found, seconds["total"])
