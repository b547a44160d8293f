"""The pictures of a table as one array: drawn, put together or decoded once, then read by row."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from data_prep.cache import RowStore, cache_folder
from data_prep.house_numbers.records import NumberRecord, NumberTable
from data_prep.progress import counting_bar
from modules.errors import InputError
from modules.house_numbers.preprocessing import NumberPictures

GROUP = 256  # pictures between two moments at which all is safe on disk


class NumberArray:
    """The squares of records, uint8 (N, S, S, 3), made in the cache where they are missing.

    Args:
        table: Knows the pictures.
        records: Of one split.
        pictures: What a model sees of them.
        root: Folder of all caches; by default $SEQSIGHT_CACHE, else ~/.cache/seqsight.
    """

    def __init__(
        self,
        table: NumberTable,
        records: Sequence[NumberRecord],
        pictures: NumberPictures,
        root: Path | None = None,
    ) -> None:
        self.table, self.records, self.pictures = table, list(records), pictures
        self.rows = np.empty(0, np.int64)  # of the records, where they are stored
        folder = cache_folder("house_numbers", self._key(), root)
        shape = (pictures.size, pictures.size, 3)
        self.store = RowStore(folder, "pictures.u8", shape, np.uint8, {"image": str}, "pictures")

    def fill(self, what: str) -> list[tuple[str, str]]:
        """Makes what is missing, under a bar; returns the names of unreadable pictures, with the reason.

        The records that are left are those with a picture. A killed run goes on where it stopped.

        Args:
            what: Stands before the bar, such as train.
        """
        wrong: list[tuple[str, str]] = []
        rows = self._rows_by_image()
        if self._missing(rows):
            with self.store.writing({"root": str(self.table.root)}):
                # by now another process may have made some
                wrong = self._make(self._missing(self._rows_by_image()), what)
            rows = self._rows_by_image()
        self.records = [record for record in self.records if record.image in rows]
        self.rows = np.array([rows[record.image] for record in self.records], np.int64)
        return wrong

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, rows: Sequence[int]) -> np.ndarray:
        """Returns pictures (B, S, S, 3) of the records that are left, by their numbers."""
        stored = self.rows[list(rows)]
        return np.asarray(self.store.rows(int(stored.max()))[stored])

    def _rows_by_image(self) -> dict[str, int]:
        return {line["image"]: line["row"] for line in self.store.lines() if line["row"] >= 0}

    def _missing(self, rows: Container[str]) -> list[NumberRecord]:
        """Returns the records whose picture has no row; one that could not be read is tried again."""
        return [record for record in self.records if record.image not in rows]

    def _make(self, left: Sequence[NumberRecord], what: str) -> list[tuple[str, str]]:
        """Makes the pictures of records; returns the names of those that cannot be read, with the reason."""
        row, wrong = self.store.stored(), []
        with (
            self.store.appending(len(left)) as data,
            counting_bar("pictures", len(left) >= GROUP) as bar,
            ThreadPoolExecutor(min(8, os.cpu_count() or 2)) as pool,
        ):
            task = bar.add_task(f"pictures of {what}", total=len(left))
            for start in range(0, len(left), GROUP):
                group = left[start : start + GROUP]
                lines = []
                for record, made in zip(group, pool.map(self._picture, group), strict=True):
                    if isinstance(made, str):
                        wrong.append((record.image, made))
                        continue
                    data.write(made.tobytes())
                    lines.append({"image": record.image, "row": row})
                    row += 1
                self.store.commit(data, lines)
                bar.advance(task, len(group))
        return wrong

    def _picture(self, record: NumberRecord) -> np.ndarray | str:
        """Returns the square, or why there is none."""
        try:
            return self.table.picture(record, self.pictures)
        except InputError as error:
            return str(getattr(error, "reason", error))

    def _key(self) -> str:
        """Returns what the pictures depend on, as a short hash: of files their sizes and times too."""
        digest = hashlib.sha256(repr((self.table.identity, self.pictures)).encode())
        # drawn ones depend on no folder
        root = str(self.table.root.resolve()) if self.table.root.is_dir() else ""
        for record in self.records:
            state = [0, 0]
            if record.path is not None and record.path.is_file():
                status = record.path.stat()
                state = [status.st_size, status.st_mtime_ns]
            known = [root, record.image, record.box, record.source, *state]
            digest.update(json.dumps(known, default=str).encode(errors="surrogateescape"))
        return digest.hexdigest()[:16]
