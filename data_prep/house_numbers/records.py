"""The one table every reader of house numbers makes: pictures, their numbers, their split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.image_names import resolve_images
from data_prep.input_files import SPLITS
from modules.errors import InputError
from modules.house_numbers.batch import MOST_DIGITS
from modules.house_numbers.preprocessing import NumberPictures
from modules.images import read_as_shown

Box = tuple[float, float, float, float]  # left, top, right and bottom in pixels
EXPANDED = 0.3  # of a box's sides, by which it is cut out larger (Goodfellow et al. 2014)


@dataclass(frozen=True)
class NumberRecord:
    """One picture of a number.

    `image` is its name everywhere (predictions, reports). `path` is its file, where it has one of its own;
    `box` is where the number lies in it. `source` is what a drawn or composed picture is made of.
    """

    image: str
    number: str
    split: str
    path: Path | None = None
    box: Box | None = None
    source: Any = None


def read_picture(record: NumberRecord, pictures: NumberPictures) -> np.ndarray:
    """Returns the square of a file, uint8 (S, S, 3), cut out about the number where its box is known."""
    assert record.path is not None
    image, _ = read_as_shown(record.path, None if record.box else pictures.size)
    if record.box is not None:
        image = cut_out(image, record.box, str(record.path))
    return pictures(image)


def cut_out(image: np.ndarray, box: Box, name: str) -> np.ndarray:
    """Returns the part of a picture about a box, which is expanded by EXPANDED and ends with the picture."""
    left, top, right, bottom = box
    more_x, more_y = (right - left) * EXPANDED / 2, (bottom - top) * EXPANDED / 2
    rows = slice(max(0, int(top - more_y)), max(0, round(bottom + more_y)))
    columns = slice(max(0, int(left - more_x)), max(0, round(right + more_x)))
    part = image[rows, columns]
    if not part.size:
        raise InputError(f"{name}: the box of its number lies outside of the picture")
    return part


@dataclass
class NumberTable:
    """The records of a data set, in reading order.

    Args:
        root: Folder of the data set.
        records: Of all splits.
        picture: Returns the square of a record, uint8 (S, S, 3); raises InputError where there is none.
        identity: All that the pictures depend on beside records and files.
    """

    root: Path
    records: list[NumberRecord]
    picture: Callable[[NumberRecord, NumberPictures], np.ndarray] = field(default=read_picture)
    identity: str = ""

    def split(self, name: str) -> list[NumberRecord]:
        """Returns the records of one split; an empty list where the data has no such split."""
        if name not in SPLITS:
            raise InputError(f"split {name!r}: there are {', '.join(SPLITS)}")
        return [record for record in self.records if record.split == name]


def picture_files(folder: Path, mentions: Mapping[str, str]) -> dict[str, Path]:
    """Returns the file of every picture, as `resolve_images` finds it; InputError where two names share one.

    Args:
        folder: Of the pictures.
        mentions: Name -> "file:line" that mentions it.
    """
    paths = resolve_images(folder, mentions)
    names: dict[Path, str] = {}
    for image, path in paths.items():
        if path in names:
            raise InputError(
                f"{mentions[image]}: {image} is the same file as {names[path]}; keep one of the two"
            )
        names[path] = image
    return paths


def checked_number(text: str, where: str) -> str:
    """Returns a number of 1 to MOST_DIGITS digits; InputError for anything else.

    Args:
        text: As it was written.
        where: "file:line" for the message.
    """
    number = text.strip()
    if not number.isascii() or not number.isdigit():
        raise InputError(f"{where}: the number is {number!r}; it has to be digits alone, such as 1247")
    if len(number) > MOST_DIGITS:
        raise InputError(f"{where}: the number {number} has {len(number)} digits; {MOST_DIGITS} are read")
    return number


def leave_out_long(records: Iterable[NumberRecord]) -> tuple[list[NumberRecord], list[str]]:
    """Returns the records of numbers that can be read, and the names of those with too many digits."""
    kept, long = [], []
    for record in records:
        if 0 < len(record.number) <= MOST_DIGITS:
            kept.append(record)
        else:
            long.append(f"{record.image}: {record.number}")
    return kept, long
