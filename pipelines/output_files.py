"""Files that a command writes: what would stop it is said before long work begins."""

import os
from collections.abc import Iterable
from pathlib import Path

from modules.errors import InputError


def check_output(path: Path, option: str, overwrite: bool, taken: Iterable[Path] = ()) -> None:
    """Makes the folder of a file that is to be written; InputError where it cannot or must not be written.

    Args:
        path: The file.
        option: That names it, without dashes.
        overwrite: Whether it may exist.
        taken: Other files that are read or written.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; --{option} names a file")
    if path.resolve() in {other.resolve() for other in taken}:
        raise InputError(f"{path}: is read or written already; choose another --{option}")
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; choose another --{option} or give --overwrite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be made ({error.strerror})") from None
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path.parent}: cannot be written into; choose another --{option}")
