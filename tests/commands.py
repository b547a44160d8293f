"""Command lines that stand in files, parsed as their programs parse them, and not run."""

from __future__ import annotations

import runpy
import shlex
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from jsonargparse import ArgumentParser
from pytorch_lightning.cli import LightningCLI

from pipelines import caption, house_numbers, steer, text
from pipelines.cli import RunCLI

ROOT = Path(__file__).resolve().parents[1]
DOORS = {"caption": caption, "steer": steer, "text": text, "house_numbers": house_numbers}
_built: dict[tuple[type, str], dict[str, Any]] = {}  # what setup_parser made of a CLI, which takes its time


class _Parsed(BaseException):
    """Ends a command before it does anything."""


def parse(words: list[str]) -> None:
    """Parses `pipelines/DOOR.py COMMAND ...` or `-m data_prep.NAME ...`.

    Raises:
        ValueError: The words are refused; it says what the program says.
    """
    _reach_parser(words, and_parse=True)


def parser_of(words: list[str]) -> ArgumentParser:
    """Returns the parser that reads the options of such a command, whether or not it would accept them."""
    return _reach_parser(words, and_parse=False)


def _reach_parser(words: list[str], and_parse: bool) -> ArgumentParser:
    calls: list[ArgumentParser] = []  # a parser calls those of its subcommands
    parse_args, setup_parser = ArgumentParser.parse_args, LightningCLI.setup_parser

    def parse_only(parser: ArgumentParser, *args: Any, **kwargs: Any) -> Any:
        calls.append(parser)
        parsed = parse_args(parser, *args, **kwargs) if and_parse else None
        if parser is calls[0]:
            raise _Parsed
        return parsed

    def set_up_once(cli: RunCLI, *args: Any) -> None:
        if (key := (type(cli), cli.command)) not in _built:
            before = set(vars(cli))
            setup_parser(cli, *args)
            _built[key] = {name: value for name, value in vars(cli).items() if name not in before}
        vars(cli).update(_built[key])

    with (
        patch.object(ArgumentParser, "parse_args", parse_only),
        patch.object(LightningCLI, "setup_parser", set_up_once),
        # a page names files that are not there
        patch("pipelines.front_door.check_early"),
        patch("sys.stderr") as stderr,
    ):
        try:
            if words[0] == "-m":
                with patch.object(sys, "argv", words[1:]):
                    runpy.run_module(words[1], run_name="__main__")
            else:
                DOORS[Path(words[0]).stem].main(words[1:])
        except _Parsed:
            return calls[0]
        except (SystemExit, ImportError, KeyError) as error:
            stderr.write(str(error))
    said = " ".join(str(call.args[0]) for call in stderr.write.call_args_list)
    raise ValueError(f"{shlex.join(words)}: {' '.join(said.split()) or 'nothing parses it'}")
