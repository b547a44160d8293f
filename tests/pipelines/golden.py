"""Texts that commands print, kept as files beside this one: what changes them shows in a diff.

RENEW_GOLDEN=1 python -m pytest tests/pipelines            writes them again
"""

import io
import os
import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

GOLDEN = Path(__file__).parent / "golden"


def check_golden(name: str, printed: str) -> None:
    """Compares a text with golden/NAME.txt, or writes that where RENEW_GOLDEN is set."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("RENEW_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(printed, encoding="utf-8")
    assert printed == file.read_text(encoding="utf-8"), f"{file}: RENEW_GOLDEN=1 writes it again"


def recorded(main: Callable[[Sequence[str]], int], arguments: Sequence[str], file: Path) -> int:
    """Returns the exit status of a command, and leaves in a file what it printed."""
    with redirect_stdout(io.StringIO()) as printed, patch.dict(os.environ, COLUMNS="100"):
        status = main(arguments)
    file.write_text(printed.getvalue(), encoding="utf-8")
    return status


def ending(printed: str, *folders: Path) -> str:
    """Returns what a fit prints from its first table of scores on, # for numbers and FOLDER for folders."""
    printed = printed[printed.rindex("\n", 0, printed.index("\n┏")) + 1 :]
    for folder in folders:
        printed = printed.replace(str(folder), "FOLDER")
    printed = re.sub(r"\d[\d,]*(\.\d+)?", "#", printed)
    # neither a sign nor the width of a number or a table shows
    lines = [re.sub(r"([ ━─])\1+|(?<= )-(?=#)", r"\1", line).strip() for line in printed.splitlines()]
    return "\n".join(lines) + "\n"
