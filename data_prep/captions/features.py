"""Annotations of a frozen encoder, computed once for every distinct image and kept on disk.

A folder for each pair of encoder and transform, CACHE/features/KEY, is a `RowStore`:

    annotations.f16   one row (L, D) an image, float16; annotations.f8 has a scale and float8 numbers
    index.jsonl       {"sha256": of the image file, "row": n}
    files.jsonl       {"path", "size", "mtime_ns", "sha256"}: a file that looks untouched is not read again
    meta.json         shape, encoder and transform, for people
"""

import hashlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.append_log import append_lines, truncate, whole_lines
from data_prep.cache import RowStore, cache_folder
from data_prep.captions.number_types import NUMBER_TYPES, CacheDtype
from data_prep.captions.onnx_encoders import hasten
from data_prep.decode_ahead import prepare_all
from data_prep.progress import counting_bar
from modules.captioning.preprocessing import EvalTransform
from modules.encoders.image import ImageEncoder
from modules.errors import InputError

# images encoded in one call: a multiple of the encoder's micro-batches on CPU (8) and CUDA (64)
_BATCH = 64
# images between two synchronisations with the disk: what a killed run loses at most
_GROUP = 256


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
        dtype: how they are kept.
    """

    def __init__(
        self,
        key: str,
        shape: tuple[int, int],
        root: Path | None = None,
        description: str = "",
        dtype: CacheDtype = "float16",
    ) -> None:
        self.key, self.dtype = key, dtype
        self.numbers = NUMBER_TYPES[dtype](shape)
        self.meta = {"key": key, "encoder": description, "shape": shape, "dtype": dtype}
        self.folder = cache_folder("features", key[:16], root)
        data, number_type = f"annotations.{self.numbers.suffix}", self.numbers.row
        self.store = RowStore(
            self.folder, data, self.numbers.shape, number_type, {"sha256": str}, "annotated images"
        )
        self._rows: dict[str, int] | None = None
        self._files: dict[str, dict[str, Any]] = {}

    @classmethod
    def open(
        cls,
        encoder: ImageEncoder,
        transform: EvalTransform,
        device: torch.device | str = "cpu",
        root: Path | None = None,
        dtype: CacheDtype = "float16",
    ) -> "FeatureCache":
        """The cache that belongs to an encoder, the transform before it and the device it will run on."""
        description = f"{encoder.describe()}; {_identity(transform)}"
        shape = (encoder.locations, encoder.annotation_size)
        return cls(_key(encoder, transform, device, dtype), shape, root, description, dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None, "_files": {}}  # workers read rows: the index stays here

    def __len__(self) -> int:
        """Number of distinct images stored."""
        return len(self._index())

    def rows(self, paths: Iterable[Path | str]) -> np.ndarray:
        """The row of each file, int64 (N,); a file that was not filled or has changed raises InputError."""
        names = [_absolute(path) for path in paths]
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

    def forget_index(self) -> None:
        """Gives the memory of the index back; it is read again where it is asked for."""
        self._rows, self._files = None, {}

    def read(self, rows: np.ndarray) -> Float[Tensor, "N L D"]:
        """Annotations in float32 of rows (N,); rows that are not there raise InputError."""
        return self.numbers.unpack(self.store.read(rows))

    def fill(
        self,
        paths: Iterable[Path | str],
        encoder: ImageEncoder,
        transform: EvalTransform,
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
        if _key(encoder, transform, device, self.dtype) != self.key:
            raise ValueError("this cache was opened for another encoder, transform or device")
        started = time.perf_counter()
        distinct = {_absolute(path): path for path in paths}
        if self._rows is None:
            self._load()
        todo = [name for name in distinct if self._row(name) is None]
        report = FillReport()
        if todo:
            with self.store.writing(self.meta, progress):
                truncate(self._files_log, self._load())
                todo = [name for name in distinct if self._row(name) is None]
                if todo:
                    encoder = encoder.to(device)
                    hasten(encoder, len(todo), device)
                    self._encode(todo, encoder, transform, progress, report)
        report.reused += len(distinct) - len(todo)
        report.unreadable = [(Path(distinct[str(path)]), reason) for path, reason in report.unreadable]
        report.seconds = time.perf_counter() - started
        return report

    # ---------------------------------------------------------------- writing

    def _encode(
        self,
        names: list[str],
        encoder: ImageEncoder,
        transform: EvalTransform,
        progress: bool,
        report: FillReport,
    ) -> None:
        """Decodes in threads, encodes in order, and brings group after group safely to disk."""
        first = self.store.stored()
        new: dict[str, int] = {}  # content -> row, of the group that is not on disk yet
        files: list[dict[str, Any]] = []
        images: list[Tensor] = []

        def encode(data: BinaryIO) -> None:
            # numpy: torch would bring all cores together for each small step
            batch = torch.from_numpy(np.stack([image.numpy() for image in images]))
            data.write(self.numbers.pack(encoder.encode(batch).cpu()).tobytes())
            images.clear()

        def commit(data: BinaryIO) -> None:
            if images:
                encode(data)
            self.store.commit(data, [{"sha256": sha, "row": row} for sha, row in new.items()])
            append_lines(self._files_log, files)
            self._index().update(new)
            self._files.update({line["path"]: line for line in files})
            new.clear()
            files.clear()

        with self.store.appending(len(names)) as data, counting_bar("images", progress) as bar:
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

    # ---------------------------------------------------------------- the index

    @property
    def _files_log(self) -> Path:
        return self.folder / "files.jsonl"

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
            status = os.stat(name)  # noqa: PTH116 a Path would take longer than the look
        except OSError:
            return None
        unchanged = (known["size"], known["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
        return self._rows.get(known["sha256"]) if unchanged else None

    def _load(self) -> int:
        """Reads what is valid on disk; gives the valid length of files.jsonl in bytes."""
        self._rows = {line["sha256"]: line["row"] for line in self.store.lines()}
        keys = {"path": str, "size": int, "mtime_ns": int, "sha256": str}
        files = list(whole_lines(self._files_log, keys))
        self._files = {line["path"]: line for line, _ in files}
        return files[-1][1] if files else 0


def _absolute(path: Path | str) -> str:
    """As `Path.absolute` has it, which makes three objects a file."""
    name = os.fspath(path)
    return name if isinstance(path, Path) and path.is_absolute() else str(Path(path).absolute())


def _identity(transform: EvalTransform) -> str:
    """The transform's name and options: what a cache must tell apart, wherever its class lies."""
    return f"{transform.cache_name} {sorted(vars(transform).items())}"


def _key(
    encoder: ImageEncoder, transform: EvalTransform, device: torch.device | str, dtype: CacheDtype
) -> str:
    facts = [encoder.fingerprint(device), _identity(transform), NUMBER_TYPES[dtype].name]
    return hashlib.sha256(" ".join(filter(None, facts)).encode()).hexdigest()
