"""Files that are there whole or not at all."""

import os
from pathlib import Path

# a file name that is no UTF-8 is written with JSON's own escapes: \udcff for the byte ff
ESCAPED = "backslashreplace"


def write_whole(path: Path, data: bytes) -> Path:
    """Path of the file, which holds either all of the data or what it held before.

    Raises:
        OSError: It cannot be written; the error names this file, not the one that is written first.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(data)
            return unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
