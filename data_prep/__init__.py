"""From what people have on disk to tensors."""

import sys
from typing import Any


def _say_what_is_missing(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Says in one line that Python lacks a package that the project needs; all else stays as it was."""
    if isinstance(error, ModuleNotFoundError):
        remedy = "activate the environment that has it, or set it up with: pip install -e ."
        print(f"error: {sys.executable} does not find {error.name}; {remedy}", file=sys.stderr)
        sys.exit(2)
    sys.__excepthook__(kind, error, trace)


if sys.argv[:1] == ["-m"]:  # until Python has found the module of `python -m data_prep.DOMAIN`
    sys.excepthook = _say_what_is_missing
