"""Street View House Numbers, format 1: whole pictures with the boxes of their digits (Netzer et al. 2011).

    DIR/train/*.png, DIR/train/digitStruct.mat      likewise DIR/test and, if it is there, DIR/extra

digitStruct.mat is HDF5, which h5py reads. The label 10 is the digit 0. `extra` trains as `train` does. There
is no validation split. A folder that holds digitStruct.mat itself is a training split.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.house_numbers.records import Box, NumberRecord, NumberTable, picture_files
from data_prep.image_names import image_name
from data_prep.progress import tracked
from modules.errors import InputError

TABLE = "digitStruct.mat"
SPLIT_OF = {"train": "train", "extra": "train", "test": "test"}
Digit = tuple[int, Box]  # its value, and where it is


def recognises(root: Path) -> bool:
    """Returns whether the folder, or its train or test, has a digitStruct.mat."""
    return any((root / folder / TABLE).is_file() for folder in (".", *SPLIT_OF))


def read(root: Path) -> NumberTable:
    """Returns the table of SVHN's format 1."""
    folders = {name: root / name for name in SPLIT_OF if (root / name / TABLE).is_file()}
    records: list[NumberRecord] = []
    for name, folder in (folders or {"train": root}).items():
        table = folder / TABLE
        rows = list(digit_struct(table))
        names = [image_name(image, str(table)) for image, _ in rows]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise InputError(f"{table}: picture {twice[0]} occurs twice")
        paths = picture_files(folder, dict.fromkeys(names, str(table)))
        before = "" if folder == root else f"{name}/"
        for image, (_, digits) in zip(names, rows, strict=True):
            number, box = joined(digits)
            records.append(NumberRecord(before + image, number, SPLIT_OF[name], paths[image], box))
    return NumberTable(root, records)


def joined(digits: list[Digit]) -> tuple[str, Box]:
    """Returns the number of digits with their boxes, from left to right, and the box about all of them."""
    inorder = sorted(digits, key=lambda digit: digit[1][0])
    left, top, right, bottom = zip(*(box for _, box in digits), strict=True)
    number = "".join(str(value % 10) for value, _ in inorder)
    return number, (min(left), min(top), max(right), max(bottom))


def finite(text: str) -> float:
    """Returns the number of a text; ValueError for what is none, infinite or not a number."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no place in a picture")
    return number


def digit_struct(path: Path) -> Iterator[tuple[str, list[Digit]]]:
    """Yields the pictures of a digitStruct.mat in their order, each with its digits.

    InputError where h5py is missing, or the file is no HDF5, is damaged or holds something else.
    """
    try:
        import h5py
    except ImportError:
        raise InputError(f'{path}: reading it needs h5py: pip install -e ".[svhn]"') from None
    try:
        with h5py.File(path, "r") as file:
            struct = file["digitStruct"]
            names, boxes = struct["name"], struct["bbox"]
            count = len(names)
            for row in tracked(range(count), f"reading {path.name}", visible=count > 2000):
                image = "".join(chr(letter) for letter in file[names[row, 0]][:, 0])
                parts = file[boxes[row, 0]]
                columns = [_values(file, parts[name]) for name in ("label", "left", "top", "width", "height")]
                labels = columns[0]
                if not labels or any(label not in range(11) for label in labels):
                    raise InputError(f"{path}: picture {image} has labels that are no digits")
                digits = [
                    (int(label), (left, top, left + width, top + height))
                    for label, left, top, width, height in zip(*columns, strict=True)
                ]
                if not all(math.isfinite(side) for _, box in digits for side in box):
                    raise InputError(f"{path}: picture {image} has a digit without a box of four numbers")
                yield image, digits
    except InputError:
        raise
    except Exception as error:  # h5py raises whatever comes up: OSError, KeyError, TypeError, ValueError
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{path}: is no digitStruct.mat of SVHN that can be read ({reason})") from None


def _values(file: Any, part: Any) -> list[float]:
    """Returns the numbers of one property: of several digits each is a reference."""
    if len(part) == 1:
        return [float(part[0, 0])]
    return [float(file[reference][0, 0]) for reference in part[:, 0]]
