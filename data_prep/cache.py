"""Where everything that is computed once is kept, and how it is written: one root, one store of equal rows.

    $SEQSIGHT_CACHE, else ~/.cache/seqsight
        features/KEY/  drive_features/KEY.npy  frames/KEY/  text/KEY/  house_numbers/KEY/     computed once
        scenes/  road/                                                    drawn data sets

A key is a hash of what the values depend on. It names no module, no class that may be renamed and no source.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import filelock
import numpy as np
from numpy.typing import DTypeLike
from rich.console import Console

from data_prep.append_log import append_lines, synchronise, truncate, whole_lines
from data_prep.terminal import saying_how_to_resume
from modules.errors import InputError
from modules.whole_files import write_whole

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_REMEDY = "free disk space or set SEQSIGHT_CACHE to a folder with room"


def cache_root() -> Path:
    """Returns the folder of all caches and drawn data sets: $SEQSIGHT_CACHE, else ~/.cache/seqsight."""
    given = os.environ.get("SEQSIGHT_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "seqsight"


def cache_folder(kind: str, key: str, root: Path | None = None) -> Path:
    """Returns the folder of one cache.

    Args:
        kind: Of which it is one: features, frames or text.
        key: Its name.
        root: Folder of all caches; `cache_root()` if not given.
    """
    root = cache_root() if root is None else root
    folder = root / kind / key
    # features once lay in the root itself, texts in a root of their own: they are used where they are
    return root / key if (root / key).is_dir() and not folder.exists() else folder


def stated_options(options: DataclassInstance, first: Sequence[str]) -> dict[str, Any]:
    """Returns the options that a key names, so that a new option does not void the caches from before it.

    Args:
        options: A dataclass instance.
        first: The options that the first keys named, in their order; a later one is named where it is not at
            its default.
    """
    values = vars(options)
    later = [f.name for f in fields(options) if f.name not in first and values[f.name] != f.default]
    return {name: values[name] for name in [*first, *later]}


@contextmanager
def writing_in(folder: Path, what: str) -> Iterator[None]:
    """Makes a folder of the cache to write in; what the disk refuses inside raises InputError.

    Args:
        folder: Where to write.
        what: Is to be written: the subject of the message.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder}: {what} cannot be written ({reason}); {_REMEDY}") from error


@contextmanager
def in_turn(lock: Path, target: Path, says_so: bool = True) -> Iterator[None]:
    """Waits until no other process holds the lock, and says on stderr that it waits.

    Args:
        lock: File of the lock.
        target: What is written under it.
        says_so: Print the line.
    """
    turn = filelock.FileLock(lock)
    try:
        turn.acquire(timeout=0)
    except filelock.Timeout:
        if says_so:
            Console(stderr=True).print(f"waiting for another process that fills {target}", soft_wrap=True)
        turn.acquire()
    try:
        yield
    finally:
        turn.release()


class RowStore:
    """Equal arrays, row after row in one file, with an index of JSON lines; both only grow.

    An index line is written only when its row is safe on disk. What a killed run leaves behind the last
    whole line is ignored by readers and cut off by the next writer. Writers take turns; readers need no lock.

        DATA            the rows
        index.jsonl     {"row": n, ...}: -1 for what has no row, else one more than in the line before
        meta.json       shape and number type, and what else is to be known, for people

    Args:
        folder: Of the store.
        data: Name of the file of rows.
        shape: Of a row.
        dtype: Number type of the rows.
        keys: What an index line holds beside "row", each with its type.
        what: A row is, in the plural.
    """

    def __init__(
        self,
        folder: Path,
        data: str,
        shape: Sequence[int],
        dtype: DTypeLike,
        keys: Mapping[str, type],
        what: str,
    ) -> None:
        self.folder, self.data, self.index = folder, folder / data, folder / "index.jsonl"
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.keys, self.what = {**keys, "row": int}, what
        self.row_bytes = self.dtype.itemsize * int(np.prod(self.shape))
        self._map: tuple[int, np.memmap] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}  # this process's memory map stays here

    # ---- reading

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yields the index lines that are whole and whose rows are there."""
        for line, _, _ in self._valid():
            yield line

    def stored(self) -> int:
        """Returns how many whole rows the file holds; after a repair each of them has an index line."""
        return self.data.stat().st_size // self.row_bytes if self.data.exists() else 0

    def rows(self, last: int) -> np.ndarray:
        """Returns the memory map of all rows (N, *shape); InputError where `last` is not among them."""
        # one map a process: a forked worker opens its own
        if self._map is None or self._map[0] != os.getpid() or last >= len(self._map[1]):
            stored = self._check(last)
            self._map = os.getpid(), np.memmap(self.data, self.dtype, "r", shape=(stored, *self.shape))
        return self._map[1]

    def read(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns rows (N, *shape), read without a memory map: it would seem to grow to the file's size.

        Raises:
            InputError: A row is not there.
        """
        found = np.empty((len(rows), self.row_bytes), np.uint8)
        if len(rows):
            self._check(int(max(rows)))
            with self.data.open("rb", buffering=0) as file:
                for place, row in enumerate(rows):
                    file.seek(int(row) * self.row_bytes)
                    file.readinto(found[place])  # type: ignore[arg-type]  # an array is a buffer
        return found.view(self.dtype).reshape(len(rows), *self.shape)

    def _check(self, last: int) -> int:
        stored = self.stored()
        if last >= stored:
            raise InputError(f"{self.data}: holds {stored} {self.what}, not row {last}; fill it again")
        return stored

    # ---- writing

    @contextmanager
    def writing(self, meta: Mapping[str, Any], says_so: bool = True) -> Iterator[None]:
        """Waits for its turn and cuts off what a killed run left; what the disk refuses is an InputError.

        Args:
            meta: What stands in meta.json beside or in place of shape and number type.
            says_so: Print a line while another process writes.
        """
        lock, what = self.folder / "lock", f"the cache of {self.what}"
        with writing_in(self.folder, what), in_turn(lock, self.folder, says_so):
            end = rows = 0
            for _, end, rows in self._valid():  # noqa: B007 the last ones count
                pass
            truncate(self.index, end)
            truncate(self.data, rows * self.row_bytes)
            known = {"shape": self.shape, "dtype": self.dtype.name, **meta}
            write_whole(self.folder / "meta.json", (json.dumps(known, indent=1) + "\n").encode())
            with saying_how_to_resume(lambda: "what is computed is kept; the same command goes on after it"):
                yield

    @contextmanager
    def appending(self, count: int) -> Iterator[BinaryIO]:
        """Opens the file of rows for new ones, while `writing`; InputError where the disk has no room.

        Args:
            count: New rows at most.
        """
        needed, free = count * self.row_bytes, shutil.disk_usage(self.folder).free
        if needed > free:
            raise InputError(
                f"{self.folder}: {count} {self.what} need {needed / 1e9:.1f} GB, the disk has "
                f"{free / 1e9:.1f} GB free; {_REMEDY}"
            )
        with self.data.open("ab") as rows:
            yield rows

    def commit(self, rows: BinaryIO, lines: Sequence[Mapping[str, Any]]) -> None:
        """Brings the rows written so far safely to disk, then their index lines."""
        synchronise(rows)
        append_lines(self.index, lines)

    # ---- what is on disk

    def _valid(self) -> Iterator[tuple[dict[str, Any], int, int]]:
        """Yields the valid lines, each with the bytes of the index and the rows up to and with it."""
        stored, rows = self.stored(), 0
        for line, end in whole_lines(self.index, self.keys):
            if line["row"] >= 0:
                if line["row"] != rows or rows >= stored:
                    return
                rows += 1
            yield line, end, rows
