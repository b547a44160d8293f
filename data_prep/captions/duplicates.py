"""Finds the pictures that stand in more than one split: a score on a picture trained on is no score."""

import hashlib
import os
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from data_prep.captions.records import CaptionRecord

TAIL = 4096  # bytes


def in_two_splits(records: Iterable[CaptionRecord]) -> list[list[CaptionRecord]]:
    """Returns the pictures of equal bytes that stand in two splits or more, a list of records for each.

    Sizes are compared first, then the last bytes, then all: nearly all files are read no further than that.
    """
    groups = [list(records)]
    for key in (_size, _tail, _digest):
        groups = [part for group in groups for part in _split_by(group, key) if _crosses(part)]
    return groups


def warning_of_copies(records: Iterable[CaptionRecord]) -> str | None:
    """Returns how many pictures stand in two splits, with an example; None where none does."""
    copies = in_two_splits(records)
    if not copies:
        return None
    example = " is ".join(f"{record.image} ({record.split})" for record in copies[0][:: len(copies[0]) - 1])
    return f"{len(copies)} picture(s) stand in two splits or more, as {example}"


def _crosses(records: list[CaptionRecord]) -> bool:
    return len({record.split for record in records}) > 1


def _split_by(records: list[CaptionRecord], key: Callable[[Path], Hashable]) -> Iterable[list[CaptionRecord]]:
    parts: dict[Hashable, list[CaptionRecord]] = {}
    for record in records:
        try:
            parts.setdefault(key(record.path), []).append(record)
        except OSError:
            continue  # an unreadable picture is named where it is decoded
    return parts.values()


def _size(path: Path) -> int:
    return path.stat().st_size


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        return hashlib.blake2b(file.read(), digest_size=16).digest()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
