"""Functions as the commands of `python -m data_prep.DOMAIN`."""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import getdoc
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from data_prep.terminal import run
from modules.errors import InputError


class _Parser(ArgumentParser):
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise InputError(f"{' '.join(message.split())}; --help lists the options")


def check_new(data: Path, **files: Path | None) -> None:
    """Raises InputError for a file to write that would replace one of the data.

    Args:
        data: Folder or file that is read.
        files: By the options that name them; None for one that was not asked for.
    """
    for option, path in files.items():
        if path is not None and path.exists() and path.resolve().is_relative_to(data.resolve()):
            raise InputError(f"{path}: is part of the data; choose another --{option}")


def refuse_folders(words: Sequence[str], options: Collection[str]) -> None:
    """Raises InputError for a file to write that a slash at its end makes a folder.

    Args:
        words: Of the command line.
        options: That name such files, without dashes.
    """
    option = ""
    for word in words:
        if word.startswith("--"):
            option, _, word = word[2:].partition("=")
        if option in options and word.endswith(("/", os.sep)):
            raise InputError(f"{word}: is a folder; --{option} names a file")


def run_commands(
    program: str,
    read: Callable[..., None],
    others: Mapping[str, Callable[..., None]],
    argv: Sequence[str] | None,
    writes: Collection[str] = ("output", "sheet"),
) -> int:
    """Returns the exit status of a command whose options are a function's; wrong input is one line and 2.

    Args:
        program: What the person typed, such as `python -m data_prep.driving`.
        read: The function that is called where the first argument names no other one.
        others: These, by their names.
        argv: The arguments; by default those of the process.
        writes: Options that name files to write.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    command, prog = read, program
    if given and given[0] in others:
        prog = f"{program} {given[0]}"
        command = others[given.pop(0)]
    explained = (getdoc(command) or "").partition("\n\nArgs:")[0]
    parser = _Parser(prog=prog, description=explained, allow_abbrev=False)
    parser.add_function_arguments(command, None, as_group=False, as_positional=True)
    for action in parser._actions:
        if getattr(action, "_typehint", None) == list[Path]:  # jsonargparse wants JSON for it
            several: Any = action
            several.nargs, several._typehint, several.metavar = "+", Path, several.dest.upper()

    def main() -> None:
        if "" in given:  # as an unset variable of a shell gives; it would be the current folder
            raise InputError("a word is empty, where a path or a value has to stand")
        refuse_folders(given, writes)
        options: dict[str, Any] = vars(parser.parse_args(given))
        command(**options)

    return run(main)
