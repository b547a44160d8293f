"""Decoded, cropped and resized frames, computed once and kept on disk: no epoch decodes a JPEG twice.

A folder for each data set and geometry, CACHE/frames/KEY, is a `RowStore`:

    frames.u8       one row (3, H, W) a frame, RGB bytes
    index.jsonl     {"file", "size", "mtime_ns", "row", "reason"}, of frames that can be read
    meta.json       data set and geometry, for people
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.cache import RowStore, cache_folder
from data_prep.driving.frame_sources import container_of, decode_frames
from data_prep.driving.table import DriveTable
from data_prep.progress import counting_bar
from modules.steering.preprocessing import FramePreprocessing

# frames between two synchronisations with the disk: what a killed run loses at most
_GROUP = 256
_KEYS = {"file": str, "size": int, "mtime_ns": int, "reason": str}


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
        root: folder of all caches; `cache_root()` if not given.
    """

    def __init__(self, data: Path, preprocessing: FramePreprocessing, root: Path | None = None) -> None:
        self.data, self.preprocessing = data.absolute(), preprocessing
        p = preprocessing
        self.description = f"{self.data} {p.height}x{p.width} without {p.crop_top} and {p.crop_bottom}"
        key = hashlib.sha256(self.description.encode(errors="surrogateescape")).hexdigest()[:16]
        self.folder = cache_folder("frames", key, root)
        self.store = RowStore(self.folder, "frames.u8", (3, p.height, p.width), np.uint8, _KEYS, "frames")
        self._lines: dict[str, dict[str, Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lines": {}}  # workers read rows: the index stays here

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Returns frames uint8 (*N, 3, H, W) of rows (*N); rows that are not there raise InputError.

        Neighbouring ascending rows (n,) are a view of the map, which costs nothing.
        """
        rows = np.asarray(rows, np.int64)
        last = int(rows.max(initial=-1))
        frames = self.store.rows(last)
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
            with self.store.writing({"frames": self.description}, progress):
                self._load()
                todo = self._missing(files, status)
                self._decode(todo, status, progress)
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
        whole = "\n".join([self.description, *stated])
        return hashlib.sha256(whole.encode(errors="surrogateescape")).hexdigest()

    # ---------------------------------------------------------------- writing

    def _decode(self, names: Sequence[str], status: dict[str, tuple[int, int]], progress: bool) -> None:
        """Decodes frames and brings group after group safely to disk."""
        stored = self.store.stored()
        new: list[dict[str, Any]] = []

        def commit(data: Any) -> None:
            self.store.commit(data, new)
            self._lines.update({line["file"]: line for line in new})
            new.clear()

        decoded = decode_frames(self.data, names, lambda image: self.preprocessing(image).numpy())
        visible = progress and len(names) >= _GROUP
        with self.store.appending(len(names)) as data, counting_bar("frames", visible) as bar:
            task = bar.add_task("decoding frames", total=len(names))
            for place, frame in decoded:
                bar.advance(task)
                size, mtime_ns = status[names[place]]
                line = {"file": names[place], "size": size, "mtime_ns": mtime_ns, "row": -1, "reason": ""}
                if isinstance(frame, str):  # not for the index: once it can be read, it is
                    self._lines[names[place]] = line | {"reason": frame}
                    continue
                data.write(frame.tobytes())
                new.append(line | {"row": stored})
                stored += 1
                if len(new) >= _GROUP:
                    commit(data)
            commit(data)

    # ---------------------------------------------------------------- the index

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

    def _load(self) -> None:
        """Reads what is valid on disk."""
        self._lines = {line["file"]: line for line in self.store.lines() if line["row"] >= 0}
