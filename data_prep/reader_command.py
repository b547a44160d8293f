"""A reader as a command: `python -m data_prep.PACKAGE.NAME DIR`."""

import sys
from collections.abc import Callable, Sequence

from modules.errors import InputError


def run_command(command: Callable[..., None], argv: Sequence[str] | None) -> int:
    """Returns the exit status of a command whose options are a function's; wrong input is one line and 2."""
    from jsonargparse import auto_cli

    try:
        auto_cli(command, args=None if argv is None else list(argv))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
