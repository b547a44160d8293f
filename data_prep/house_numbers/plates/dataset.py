"""Drawn house numbers as a table: each split has fonts of its own, and numbers of two and more digits.

A number of two and more digits is of one split, whatever the seed: a hash chooses 80, 10 and 10 %. There are
only nine of one digit, 1 to 9. All splits show them, in fonts that no other split has. A picture depends on
seed, split, place and size alone.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np

from data_prep.house_numbers.plates.drawing import draw_number
from data_prep.house_numbers.plates.fonts import FONTS, LETTERS
from data_prep.house_numbers.records import NumberRecord, NumberTable
from data_prep.input_files import SPLITS
from modules.house_numbers.preprocessing import NumberPictures

DRAWING = f"plates 4, {LETTERS}"  # change it with the pictures, and they are drawn anew
NUMBERS = 20_000
LENGTHS = (0.12, 0.23, 0.3, 0.2, 0.15)  # shares of numbers with 1 to 5 digits


def read(root: Path, numbers: int = NUMBERS, seed: int = 0) -> NumberTable:
    """Returns a table of house numbers that are drawn when they are asked for.

    Args:
        root: Stands in messages.
        numbers: Of the training split; a tenth as many validate, and as many are tested.
        seed: Any whole number.
    """
    records = []
    for place, split in enumerate(SPLITS):
        count = numbers if split == "train" else max(1, numbers // 10)
        chosen = [abs(seed), seed < 0, place]
        fonts = np.random.default_rng([*chosen, 0]).integers(len(FONTS[split]), size=count)
        digits = np.random.default_rng([*chosen, 1]).choice(len(LENGTHS), size=count, p=LENGTHS) + 1
        rng = np.random.default_rng([*chosen, 2])
        for row in range(count):
            number = _number(rng, int(digits[row]), split)
            source = (FONTS[split][fonts[row]], [*chosen, row])
            records.append(NumberRecord(f"{split}-{row:05d}", number, split, source=source))
    return NumberTable(root, records, picture, DRAWING)


def picture(record: NumberRecord, pictures: NumberPictures) -> np.ndarray:
    """Returns the drawing of a record, uint8 RGB (S, S, 3)."""
    font, drawn_by = record.source
    return draw_number(np.random.default_rng([*drawn_by, 1]), record.number, font, pictures.size)


@cache
def split_of(number: str) -> str:
    """Returns the split that a number of two and more digits belongs to."""
    share = hashlib.blake2b(number.encode(), digest_size=4).digest()[0] / 256
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"


def _number(rng: np.random.Generator, digits: int, split: str) -> str:
    while True:
        number = str(rng.integers(10 ** (digits - 1), 10**digits))
        if digits == 1 or split_of(number) == split:
            return number
