"""Seqsight: a CNN reads pixels, an RNN turns what it read into a sequence.

    seqsight caption COMMAND ...       photographs to sentences
    seqsight steer COMMAND ...         camera drives to steering-wheel angles
    seqsight text COMMAND ...          texts: learn to write like one, go on with a prompt, score one
    seqsight house_numbers COMMAND ... pictures of house numbers: read by glimpses

seqsight TASK prints the manual of a task, seqsight TASK COMMAND --help lists every option. The configurations
that manuals name, such as configs/caption/folder.yaml, come with the package and are found from any folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from pipelines.front_door import Command, run_command


def _door(task: str) -> Command:
    def command(argv: Sequence[str]) -> int:
        door = import_module(f"pipelines.{task}")
        manual = (door.__doc__ or "").replace(f"python pipelines/{task}.py", f"seqsight {task}")
        return run_command(manual, door.COMMANDS, argv[1:], task)

    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command of one task; returns its exit status."""
    return run_command(
        __doc__, {task: _door(task) for task in ("caption", "steer", "text", "house_numbers")}, argv
    )


if __name__ == "__main__":
    sys.exit(main())
