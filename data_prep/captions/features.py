"""Annotations of a frozen encoder, computed once for every distinct image and kept on disk.

A folder for each pair of encoder and transform, under $SEQSIGHT_CACHE or ~/.cache/seqsight/features:

    annotations.f16   one row (L, D) an image, float16, append-only
    index.jsonl       {"sha256": of the image file, "row": n}, append-only
    files.jsonl       {"path", "size", "mtime_ns", "sha256"}: a file that looks untouched is not read again
    meta.json         shape, encoder and transform, for people

An index line is written only when its row is safe on disk. What a killed run leaves behind the last whole
line is ignored by readers and cut off by the next writer. Writers take turns by a lock; readers need none.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from data_prep.append_log import append_lines, synchronise, truncate, whole_lines
from data_prep.decode_ahead import Transform, prepare_all
from data_prep.progress import images_bar
from modules.encoders.image import ImageEncoder
from modules.errors import InputError

# images encoded in one call: a multiple of the encoder's micro-batches on CPU (8) and CUDA (64)
_BATCH = 64
# images between two synchronisations with the disk: what a killed run loses at most
_GROUP = 256
_FLOAT16_MAX = float(np.finfo(np.float16).max)


def cache_root() -> Path:
    """The folder of all feature caches: $SEQSIGHT_CACHE, else ~/.cache/seqsight/features."""
    given = os.environ.get("SEQSIGHT_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "seqsight" / "features"


@dataclass
class FillReport:
    """What `FeatureCache.fill` did with the distinct files it was given.

    Args:
        encoded: images that went through the encoder.
        reused: files whose annotations were there already, of that file or of one with the same content.
        unreadable: files that are no readable image, by the path that was given, each with the reason.
        seconds: duration.
    """

    encoded: int = 0
    reused: int = 0
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """One line for the terminal."""
        speed = f" ({self.encoded / self.seconds:.0f} images/s)" if self.encoded else ""
        return (
            f"annotations: {self.encoded} images encoded{speed}, {self.reused} reused, "
            f"{len(self.unreadable)} unreadable"
        )


class FeatureCache:
    """The annotations of one encoder behind one transform: filled once, then read by row in any process.

    Args:
        key: what the annotations depend on, as a hash; the folder's name is its beginning.
        shape: locations L and width D of an image's annotations.
        root: folder of all caches; `cache_root()` if not given.
        description: what stands in meta.json for people to read.
    """

    def __init__(
        self, key: str, shape: tuple[int, int], root: Path | str | None = None, description: str = ""
    ):
        self.key = key
        self.shape = shape
        self.folder = (Path(root) if root is not None else cache_root()) / key[:16]
        self.description = description
        self.row_bytes = 2 * shape[0] * shape[1]
        self._rows: dict[str, int] | None = None
        self._files: dict[str, dict[str, Any]] = {}
        self._map: tuple[int, np.memmap] | None = None

    @classmethod
    def open(
        cls,
        encoder: ImageEncoder,
        transform: Transform,
        device: torch.device | str = "cpu",
        root: Path | str | None = None,
    ) -> "FeatureCache":
        """The cache that belongs to an encoder, the transform before it and the device it will run on."""
        description = f"{encoder.describe()}; {_identity(transform)}"
        shape = (encoder.locations, encoder.annotation_size)
        return cls(_key(encoder, transform, device), shape, root, description)

    def __getstate__(self) -> dict[str, Any]:
        # workers read rows: the index and this process's memory map stay here
        return {**self.__dict__, "_rows": None, "_files": {}, "_map": None}

    def __len__(self) -> int:
        """Number of distinct images stored."""
        return len(self._index())

    def rows(self, paths: Iterable[Path | str]) -> np.ndarray:
        """The row of each file, int64 (N,); a file that was not filled or has changed raises InputError."""
        names = [str(Path(path).absolute()) for path in paths]
        found = [self._row(name) for name in names]
        if None in found:  # another process may have filled it since this one read the index
            self._load()
            found = [self._row(name) for name in names]
        missing = [name for name, row in zip(names, found, strict=True) if row is None]
        if missing:
            raise InputError(
                f"{missing[0]}: no annotations in {self.folder} ({len(missing)} files lack them): the files "
                "changed or are new; fill the cache again"
            )
        return np.array(found, dtype=np.int64)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Annotations float16 (N, L, D) of rows (N,); rows that are not there raise InputError."""
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) == 0:
            return np.empty((0, *self.shape), np.float16)
        # one map a process: a forked worker opens its own
        if self._map is None or self._map[0] != os.getpid() or rows.max() >= len(self._map[1]):
            stored = self._stored_rows()
            if rows.max() >= stored:
                raise InputError(f"{self._data}: holds {stored} rows, not row {rows.max()}: fill it again")
            self._map = os.getpid(), np.memmap(self._data, np.float16, "r", shape=(stored, *self.shape))
        return np.asarray(self._map[1][rows])

    def fill(
        self,
        paths: Iterable[Path | str],
        encoder: ImageEncoder,
        transform: Transform,
        device: torch.device | str = "cpu",
        progress: bool = True,
    ) -> FillReport:
        """Encodes the images that are not stored yet; can be killed at any moment and called again.

        Files that are no readable image are reported and left out. A cache folder that cannot be written, or
        a disk without room, raises InputError. The encoder is left on the device.

        Args:
            paths: image files; repeated ones are looked at once.
            encoder: the frozen encoder the cache was opened for.
            transform: RGB bytes (Hh, Ww, 3) to a uint8 tensor (3, S, S).
            device: where to encode.
            progress: show a progress bar with images a second and the time left.
        """
        if _key(encoder, transform, device) != self.key:
            raise ValueError("this cache was opened for another encoder, transform or device")
        started = time.perf_counter()
        distinct = {str(Path(path).absolute()): Path(path) for path in paths}
        self._load()
        todo = [name for name in distinct if self._row(name) is None]
        report = FillReport()
        if todo:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with self._lock(progress):
                    self._repair()
                    todo = [name for name in distinct if self._row(name) is None]
                    self._check_room(len(todo))
                    if todo:
                        self._encode(todo, encoder.to(device), transform, progress, report)
            except OSError as error:
                raise InputError(
                    f"{self.folder}: the feature cache cannot be written ({error.strerror or error}): free "
                    "disk space or set SEQSIGHT_CACHE to a folder with room"
                ) from error
        report.reused += len(distinct) - len(todo)
        report.unreadable = [(distinct[str(path)], reason) for path, reason in report.unreadable]
        report.seconds = time.perf_counter() - started
        return report

    # ---------------------------------------------------------------- writing

    def _encode(
        self,
        names: list[str],
        encoder: ImageEncoder,
        transform: Transform,
        progress: bool,
        report: FillReport,
    ) -> None:
        """Decodes in threads, encodes in order, and brings group after group safely to disk."""
        first = len(self._index())
        new: dict[str, int] = {}  # content -> row, of the group that is not on disk yet
        files: list[dict[str, Any]] = []
        images: list[Tensor] = []

        def encode(data: BinaryIO) -> None:
            # numpy: torch would bring all cores together for each small step
            batch = torch.from_numpy(np.stack([image.numpy() for image in images]))
            annotations = encoder.encode(batch).cpu().numpy()
            data.write(annotations.clip(-_FLOAT16_MAX, _FLOAT16_MAX).astype(np.float16).tobytes())
            images.clear()

        def commit(data: BinaryIO) -> None:
            if images:
                encode(data)
            synchronise(data)
            append_lines(
                self.folder / "index.jsonl", [{"sha256": sha, "row": row} for sha, row in new.items()]
            )
            append_lines(self.folder / "files.jsonl", files)
            self._index().update(new)
            self._files.update({line["path"]: line for line in files})
            new.clear()
            files.clear()

        with self._data.open("ab") as data, images_bar(progress) as bar:
            task = bar.add_task("encoding images", total=len(names))
            for prepared in prepare_all(names, transform, self._index(), ahead=_BATCH):
                bar.advance(task)
                if prepared.reason:
                    report.unreadable.append((Path(prepared.name), prepared.reason))
                    continue
                if prepared.sha256 in new or prepared.sha256 in self._index():
                    report.reused += 1
                else:
                    assert prepared.image is not None
                    new[prepared.sha256] = first + report.encoded
                    images.append(prepared.image)
                    report.encoded += 1
                files.append(prepared.file_line())
                if len(images) == _BATCH:
                    encode(data)
                if len(files) >= _GROUP:
                    commit(data)
            commit(data)

    def _repair(self) -> None:
        """Reads the index and cuts off what a killed run left behind it."""
        files_end, index_end = self._load()
        truncate(self.folder / "index.jsonl", index_end)
        truncate(self.folder / "files.jsonl", files_end)
        truncate(self._data, len(self._index()) * self.row_bytes)
        meta = {"shape": self.shape, "dtype": "float16", "key": self.key, "encoder": self.description}
        temporary = self.folder / "meta.json.part"
        temporary.write_text(json.dumps(meta, indent=1) + "\n")
        temporary.replace(self.folder / "meta.json")

    def _check_room(self, images: int) -> None:
        needed, free = images * self.row_bytes, shutil.disk_usage(self.folder).free
        if needed > free:
            raise InputError(
                f"{self.folder}: the annotations of {images} images need {needed / 1e9:.1f} GB, the disk has "
                f"{free / 1e9:.1f} GB free: free space or set SEQSIGHT_CACHE to a folder with room"
            )

    @contextmanager
    def _lock(self, progress: bool) -> Iterator[None]:
        lock = filelock.FileLock(self.folder / "lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if progress:
                Console(stderr=True).print(f"waiting for another process that fills {self.folder}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    # ---------------------------------------------------------------- the index

    @property
    def _data(self) -> Path:
        return self.folder / "annotations.f16"

    def _stored_rows(self) -> int:
        return self._data.stat().st_size // self.row_bytes if self._data.exists() else 0

    def _index(self) -> dict[str, int]:
        if self._rows is None:
            self._load()
        assert self._rows is not None
        return self._rows

    def _row(self, name: str) -> int | None:
        """The row of a file that looks as it did when it was last read."""
        known = self._files.get(name)
        if self._rows is None or known is None:
            return None
        try:
            status = Path(name).stat()
        except OSError:
            return None
        unchanged = (known["size"], known["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
        return self._rows.get(known["sha256"]) if unchanged else None

    def _load(self) -> tuple[int, int]:
        """Reads what is valid on disk; gives the valid lengths of files.jsonl and index.jsonl in bytes."""
        stored = self._stored_rows()
        self._rows = {}
        index_end = 0
        for line, end in whole_lines(self.folder / "index.jsonl", {"sha256": str, "row": int}):
            if line["row"] != len(self._rows) or line["row"] >= stored:
                break
            self._rows[line["sha256"]] = line["row"]
            index_end = end
        self._files = {}
        files_end = 0
        keys = {"path": str, "size": int, "mtime_ns": int, "sha256": str}
        for line, end in whole_lines(self.folder / "files.jsonl", keys):
            self._files[line["path"]] = line
            files_end = end
        return files_end, index_end


def _identity(transform: Transform) -> str:
    """The transform's name and options: what a cache must tell apart, wherever its class lies."""
    kind = transform if hasattr(transform, "__qualname__") else type(transform)
    name = getattr(kind, "cache_name", None) or f"{kind.__module__}.{kind.__qualname__}"  # type: ignore[attr-defined]
    options = sorted(getattr(transform, "__dict__", {}).items())
    return f"{name} {options}"


def _key(encoder: ImageEncoder, transform: Transform, device: torch.device | str) -> str:
    return hashlib.sha256(f"{encoder.fingerprint(device)} {_identity(transform)}".encode()).hexdigest()
