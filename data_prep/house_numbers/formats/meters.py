"""Photographs of single digits, put together to numbers of 1 to 5 digits on noisy strips.

    DIR/3/*.jpg                 digits by their folders, or
    DIR/3.5/*.jpg               digits of a meter that turns: 3, half-way to 4

Of a digit that turns the label is the lower one, 3 of 3.5. Photographs are divided 80/10/10 by a hash, and
the numbers of a split are put together from its own. Digits that one camera took at one time stay together.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from data_prep.house_numbers.records import NumberRecord, NumberTable
from data_prep.input_files import SPLITS
from modules.errors import InputError
from modules.house_numbers.batch import MOST_DIGITS
from modules.house_numbers.preprocessing import NumberPictures
from modules.images import read_as_shown

DRAWING = "meters 1"  # change it with the pictures
NUMBERS = 20_000
FOLDER = re.compile(r"([0-9])(\.[0-9])?")
TAKEN = re.compile(r"\d{8}-\d{6}")  # when a photograph was taken
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
HEIGHT, WIDTH = 64, 40  # of a digit on a strip, in pixels


def recognises(root: Path) -> bool:
    """Returns whether the folder has a folder a digit."""
    digits = {found[1] for path in root.iterdir() if (found := FOLDER.fullmatch(path.name)) and path.is_dir()}
    return len(digits) == 10


def read(root: Path, numbers: int = NUMBERS, seed: int = 0) -> NumberTable:
    """Returns a table of numbers that are put together from the photographs of single digits.

    Args:
        root: Folder of the photographs.
        numbers: Of the training split; a tenth as many validate, and as many test.
        seed: Of the choice.
    """
    digits: dict[str, dict[str, list[Path]]] = {name: {} for name in SPLITS}
    states = hashlib.sha256()  # other photographs of the same names are other numbers
    for folder in sorted(root.iterdir()):
        if not (found := FOLDER.fullmatch(folder.name)) or not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                digits[_split(path.name)].setdefault(found[1], []).append(path)
                status = path.stat()
                states.update(repr((str(path), status.st_size, status.st_mtime_ns)).encode())
    for name in SPLITS:
        lacking = sorted(set("0123456789") - digits[name].keys())
        if lacking:
            raise InputError(
                f"{root}: no photograph of {lacking[0]} in the {name} split; each digit needs about thirty"
            )
    records = []
    for place, name in enumerate(SPLITS):
        for number in range(numbers if name == "train" else max(1, numbers // 10)):
            rng = np.random.default_rng([seed, place, number])
            text = "".join(map(str, rng.integers(0, 10, rng.integers(1, MOST_DIGITS + 1))))
            chosen = [digits[name][digit][rng.integers(len(digits[name][digit]))] for digit in text]
            source = ([str(path.relative_to(root)) for path in chosen], [seed, place, number, 1])
            records.append(NumberRecord(f"{name}-{number:05d}", text, name, source=source))

    def picture(record: NumberRecord, pictures: NumberPictures) -> np.ndarray:
        paths, drawn_by = record.source
        return _strip([root / path for path in paths], np.random.default_rng(drawn_by), pictures.size)

    return NumberTable(root, records, picture, f"{DRAWING} {states.hexdigest()}")


def _split(name: str) -> str:
    taken = TAKEN.search(name)
    told = (taken[0] if taken else name).encode(errors="surrogateescape")
    place = hashlib.blake2b(told, digest_size=8).digest()
    share = int.from_bytes(place) / 2**64
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"


@lru_cache(maxsize=50_000)
def _digit(path: Path) -> np.ndarray:
    return cv2.resize(read_as_shown(path)[0], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def _strip(paths: list[Path], rng: np.random.Generator, size: int) -> np.ndarray:
    """Returns a square with digits side by side on a noisy strip, uint8 (size, size, 3)."""
    gap, rim = int(rng.integers(2, 12)), int(rng.integers(4, 20))
    long = rim * 2 + len(paths) * (WIDTH + gap) - gap
    colour = rng.uniform(20, 220, 3)
    strip = np.empty((HEIGHT + 2 * rim, long, 3), np.float32)
    strip[:] = colour
    for place, path in enumerate(paths):
        left = rim + place * (WIDTH + gap)
        strip[rim : rim + HEIGHT, left : left + WIDTH] = _digit(path)
    share = float(rng.uniform(0.75, 1.0))
    scale = size * share / max(strip.shape[:2])
    wide, high = (max(4, round(side * scale)) for side in (strip.shape[1], strip.shape[0]))
    canvas = np.empty((size, size, 3), np.float32)
    canvas[:] = rng.uniform(20, 220, 3)
    canvas += cv2.resize(rng.normal(0, 25, (9, 9, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
    top, left = (int(rng.integers(0, size - side + 1)) for side in (high, wide))
    small = cv2.resize(strip, (wide, high), interpolation=cv2.INTER_AREA)
    canvas[top : top + high, left : left + wide] = small
    noise = rng.normal(0, rng.uniform(1, 8), canvas.shape)
    return np.clip(canvas * rng.uniform(0.7, 1.2) + noise, 0, 255).astype(np.uint8)
