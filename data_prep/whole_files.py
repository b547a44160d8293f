"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> Path:
    """Path of the file, which holds either all of the data or what it held before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        return unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
