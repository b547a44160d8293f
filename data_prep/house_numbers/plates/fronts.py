"""The same drawn numbers from the front: what is painted is a plate, not the wall that it hangs on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.house_numbers.plates import dataset
from data_prep.house_numbers.plates.drawing import draw_front
from data_prep.house_numbers.plates.fonts import LETTERS
from data_prep.house_numbers.records import NumberRecord, NumberTable
from modules.house_numbers.preprocessing import NumberPictures

DRAWING = f"fronts 3, {LETTERS}"  # change it with the pictures, and they are drawn anew


def read(root: Path, numbers: int = dataset.NUMBERS, seed: int = 0) -> NumberTable:
    """Returns a table of plates that fill the middle half of a picture; arguments as of `dataset.read`."""
    return NumberTable(root, dataset.read(root, numbers, seed).records, picture, DRAWING)


def picture(record: NumberRecord, pictures: NumberPictures) -> np.ndarray:
    """Returns the drawing of a record, uint8 RGB (S, S, 3)."""
    font, drawn_by = record.source
    return draw_front(np.random.default_rng([*drawn_by, 1]), record.number, font, pictures.size)
