"""Decoded, cropped and resized frames, computed once and kept on disk: no epoch decodes a JPEG twice.

A folder for each data set and geometry, under $SEQSIGHT_CACHE/frames or ~/.cache/seqsight/frames:

    frames.u8       one row (3, H, W) a frame, RGB bytes, append-only
    index.jsonl     {"file", "size", "mtime_ns", "row", "reason"}: row -1 where the frame cannot be read
    meta.json       data set and geometry, for people

An index line is written only when its row is safe on disk. What a killed run leaves behind the last whole
line is ignored by readers and cut off by the next writer. Writers take turns by a lock; readers need none.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from rich.console import Console

from data_prep.append_log import append_lines, synchronise, truncate, whole_lines
from data_prep.driving.frame_sources import container_of, decode_frames
from data_prep.driving.table import DriveTable
from data_prep.progress import images_bar
from data_prep.whole_files import write_whole
from modules.errors import InputError
from modules.steering.preprocessing import FramePreprocessing

# frames between two synchronisations with the disk: what a killed run loses at most
_GROUP = 256
_KEYS = {"file": str, "size": int, "mtime_ns": int, "row": int, "reason": str}


def frames_root() -> Path:
    """Returns the folder of all frame caches: $SEQSIGHT_CACHE/frames, else ~/.cache/seqsight/frames."""
    given = os.environ.get("SEQSIGHT_CACHE")
    return (Path(given) if given else Path.home() / ".cache" / "seqsight") / "frames"


@dataclass
class FillReport:
    """What `FrameCache.fill` did.

    Args:
        decoded: frames that were decoded.
        reused: frames that were there already.
        unreadable: rows of the table whose frame cannot be read, each with the reason.
        seconds: duration.
    """

    decoded: int = 0
    reused: int = 0
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """One line for the terminal."""
        speed = f" ({self.decoded / self.seconds:.0f} frames/s)" if self.decoded else ""
        unreadable = f", {len(self.unreadable)} unreadable" if self.unreadable else ""
        return f"frames: {self.decoded:,} decoded{speed}, {self.reused:,} reused{unreadable}"


class FrameCache:
    """The frames of one data set in one geometry: filled once, then read by row in any process.

    Args:
        data: folder of the data set.
        preprocessing: crop and size; its colours do not matter here.
        root: folder of all caches; `frames_root()` if not given.
    """

    def __init__(self, data: Path, preprocessing: FramePreprocessing, root: Path | None = None) -> None:
        self.data, self.preprocessing = data.absolute(), preprocessing
        self.shape = (3, preprocessing.height, preprocessing.width)
        p = preprocessing
        self.description = f"{self.data} {p.height}x{p.width} without {p.crop_top} and {p.crop_bottom}"
        key = hashlib.sha256(self.description.encode()).hexdigest()[:16]
        self.folder = (root or frames_root()) / key
        self.row_bytes = int(np.prod(self.shape))
        self._lines: dict[str, dict[str, Any]] = {}
        self._map: tuple[int, np.memmap] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # workers read rows: the index and this process's memory map stay here
        return {**self.__dict__, "_lines": {}, "_map": None}

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Returns frames uint8 (*N, 3, H, W) of rows (*N); rows that are not there raise InputError.

        Neighbouring ascending rows (n,) are a view of the map, which costs nothing.
        """
        rows = np.asarray(rows, np.int64)
        stored = self._stored()
        last = int(rows.max(initial=-1))
        # one map a process: a forked worker opens its own
        if self._map is None or self._map[0] != os.getpid() or last >= len(self._map[1]):
            if last >= stored:
                raise InputError(f"{self._data}: holds {stored} frames, not frame {last}; fill it again")
            self._map = os.getpid(), np.memmap(self._data, np.uint8, "r", shape=(stored, *self.shape))
        frames = self._map[1]
        if rows.ndim == 1 and len(rows) and (np.diff(rows) == 1).all():
            return frames[rows[0] : last + 1]
        return np.asarray(frames[rows])

    def fill(self, table: DriveTable, progress: bool = True) -> tuple[np.ndarray, FillReport]:
        """Returns the row of every frame (N,), -1 where it cannot be read, and what was done.

        Decodes what is not stored yet; can be killed at any moment and called again. A cache folder that
        cannot be written, or a disk without room, raises InputError.

        Args:
            table: frames of the data set.
            progress: show a progress bar with frames a second and the time left.
        """
        started = time.perf_counter()
        files = [str(name) for name in table.file]
        status = self._status(files)
        report = FillReport()
        self._load()
        todo = self._missing(files, status)
        if todo:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with self._lock(progress):
                    self._repair()
                    todo = self._missing(files, status)
                    self._check_room(len(todo))
                    self._decode(todo, status, progress)
            except OSError as error:
                raise InputError(
                    f"{self.folder}: the cache of frames cannot be written ({error.strerror or error}); free "
                    "disk space or set SEQSIGHT_CACHE to a folder with room"
                ) from error
        report.decoded, report.reused = len(todo), len(set(files)) - len(todo)
        lines = [self._lines[file] for file in files]
        report.unreadable = [(row, line["reason"]) for row, line in enumerate(lines) if line["row"] < 0]
        report.decoded -= len({files[row] for row, _ in report.unreadable} & set(todo))
        report.seconds = time.perf_counter() - started
        return np.array([line["row"] for line in lines], np.int64), report

    def identity(self, files: Sequence[str]) -> str:
        """Returns a hash of these frames in this geometry, from the files as they were when decoded."""
        lines = (self._lines[str(file)] for file in files)
        stated = [f"{line['file']} {line['size']} {line['mtime_ns']}" for line in lines]
        return hashlib.sha256("\n".join([self.description, *stated]).encode()).hexdigest()

    # ---------------------------------------------------------------- writing

    def _decode(self, names: Sequence[str], status: dict[str, tuple[int, int]], progress: bool) -> None:
        """Decodes frames and brings group after group safely to disk."""
        stored = self._stored()
        new: list[dict[str, Any]] = []

        def commit(data: Any) -> None:
            synchronise(data)
            append_lines(self._index, new)
            self._lines.update({line["file"]: line for line in new})
            new.clear()

        decoded = decode_frames(self.data, names, lambda image: self.preprocessing(image).numpy())
        visible = progress and len(names) >= _GROUP
        with self._data.open("ab") as data, images_bar(visible) as bar:
            task = bar.add_task("decoding frames", total=len(names))
            for place, frame in decoded:
                bar.advance(task)
                size, mtime_ns = status[names[place]]
                line = {"file": names[place], "size": size, "mtime_ns": mtime_ns, "row": -1, "reason": ""}
                if isinstance(frame, str):
                    line["reason"] = frame
                else:
                    data.write(frame.tobytes())
                    line["row"] = stored
                    stored += 1
                new.append(line)
                if len(new) >= _GROUP:
                    commit(data)
            commit(data)

    def _repair(self) -> None:
        """Reads the index and cuts off what a killed run left behind it."""
        index_end, rows = self._load()
        truncate(self._index, index_end)
        truncate(self._data, rows * self.row_bytes)
        meta = {"frames": self.description, "shape": self.shape, "dtype": "uint8"}
        write_whole(self.folder / "meta.json", (json.dumps(meta, indent=1) + "\n").encode())

    def _check_room(self, frames: int) -> None:
        needed, free = frames * self.row_bytes, shutil.disk_usage(self.folder).free
        if needed > free:
            raise InputError(
                f"{self.folder}: {frames} frames need {needed / 1e9:.1f} GB, the disk has "
                f"{free / 1e9:.1f} GB free; free space or set SEQSIGHT_CACHE to a folder with room"
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
        return self.folder / "frames.u8"

    @property
    def _index(self) -> Path:
        return self.folder / "index.jsonl"

    def _stored(self) -> int:
        return self._data.stat().st_size // self.row_bytes if self._data.exists() else 0

    def _status(self, files: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Returns size and time of change of each file, of the container for a frame inside one."""
        containers = {file: container_of(file) for file in dict.fromkeys(files)}
        found: dict[str, tuple[int, int]] = {}
        for container in dict.fromkeys(containers.values()):
            try:
                status = (self.data / container).stat()
                found[container] = status.st_size, status.st_mtime_ns
            except OSError:
                found[container] = -1, -1
        return {file: found[container] for file, container in containers.items()}

    def _missing(self, files: Sequence[str], status: dict[str, tuple[int, int]]) -> list[str]:
        """Returns the files that are not stored as they are now, each once."""
        missing = []
        for file in dict.fromkeys(files):
            line = self._lines.get(file)
            if line is None or (line["size"], line["mtime_ns"]) != status[file]:
                missing.append(file)
        return missing

    def _load(self) -> tuple[int, int]:
        """Reads what is valid on disk; gives the valid length of the index in bytes and its rows."""
        stored = self._stored()
        self._lines, end, rows = {}, 0, 0
        for line, line_end in whole_lines(self._index, _KEYS):
            if line["row"] >= 0:
                if line["row"] != rows or line["row"] >= stored:
                    break
                rows += 1
            self._lines[line["file"]] = line
            end = line_end
        return end, rows
