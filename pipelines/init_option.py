"""Fits that may begin with a trained model: the option `--init`, which tasks with words share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning.cli import LightningArgumentParser

from modules.checkpoints import read_checkpoint
from modules.errors import InputError
from pipelines.arguments import take_options
from pipelines.cli import RunCLI


class InitCLI(RunCLI):
    """fit, validate and test of a task whose words may grow: those of the model it begins with come first."""

    init_help: str
    inherited: tuple[str, ...]  # groups of the model's options that come from the checkpoint

    def init_path(self, name: str) -> Path:
        """Returns the checkpoint that `--init` names."""
        return Path(name)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_argument("--init", type=str | None, default=None, help=self.init_help)

    def _parse_ckpt_path(self) -> None:
        super()._parse_ckpt_path()
        config = self.config[self.config.subcommand]
        self.init: dict[str, Any] = {}  # the checkpoint that a new run begins with
        if not config.get("init"):
            return
        if self.config.subcommand != "fit":
            raise InputError(
                f"init: {self.config.subcommand} trains nothing; --ckpt_path names what it scores"
            )
        if config.ckpt_path:
            print("note: --init has no effect on a run that goes on")
            return
        self.init = read_checkpoint(self.init_path(config.init), self.task)
        stored = self.stored_options(self.init)
        take_options(config.model, {group: stored[group] for group in self.inherited})

    def adjust_model(self) -> None:
        """Gives a new model the weights it begins with."""
        if self.init:
            self.model.begin_with(self.init)
            self.init = {}
