"""Append-only JSON lines that survive a killed writer: read the whole lines, cut off the rest."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any


def whole_lines(path: Path, keys: Mapping[str, type]) -> Iterator[tuple[dict[str, Any], int]]:
    """The leading lines that are whole objects with these keys, each with the offset of its end in bytes.

    The first torn or foreign line ends the reading; a missing file has no lines.

    Args:
        path: file of JSON lines.
        keys: the keys a line must have, each with the type of its value.
    """
    if not path.exists():
        return
    end = 0
    with path.open("rb") as stream:
        for raw in stream:
            try:
                line = json.loads(raw)
            except ValueError:
                return
            is_whole = raw.endswith(b"\n") and isinstance(line, dict)
            if not is_whole or any(not isinstance(line.get(key), kind) for key, kind in keys.items()):
                return
            end += len(raw)
            yield line, end


def append_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Appends objects as JSON lines and waits until they are on disk."""
    with path.open("ab") as stream:
        stream.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        synchronise(stream)


def synchronise(stream: IO[bytes]) -> None:
    """Waits until all that was written is on disk."""
    stream.flush()
    os.fsync(stream.fileno())


def truncate(path: Path, size: int) -> None:
    """Cuts a file off after so many bytes; a shorter or missing one stays as it is."""
    if path.exists() and path.stat().st_size > size:
        os.truncate(path, size)
