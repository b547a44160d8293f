"""Texts that commands print, kept as files beside this one: what changes them shows in a diff.

RENEW_GOLDEN=1 python -m pytest tests/pipelines            writes them again
"""

import os
import re
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def check_golden(name: str, printed: str) -> None:
    """Compares a text with golden/NAME.txt, or writes that where RENEW_GOLDEN is set."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("RENEW_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(printed, encoding="utf-8")
    assert printed == file.read_text(encoding="utf-8"), f"{file}: RENEW_GOLDEN=1 writes it again"


def without_numbers(printed: str, *folders: Path) -> str:
    """Returns a text with # for numbers, FOLDER for folders, and tables of one width."""
    for folder in folders:
        printed = printed.replace(str(folder), "FOLDER")
    printed = re.sub(r"-?\d[\d,]*(\.\d+)?(e[-+]\d+)?", "#", printed)
    lines = [re.sub(r"([ ━─])\1+", r"\1", line).strip() for line in printed.splitlines()]
    return "\n".join(lines) + "\n"
