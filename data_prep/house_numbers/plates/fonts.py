"""The fonts of drawn plates: those that every installation has, and drawn ones; each split has its own.

matplotlib brings DejaVu, STIX and Computer Modern, Pillow brings Aileron, OpenCV draws Hershey's lines. The
drawn fonts of `strokes` are told apart by their seeds. No font is in two splits; DejaVu and Computer Modern
have faces of other shapes in several.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_prep.house_numbers.plates.strokes import pen_font, segment_font

HEIGHT = 96  # of a digit's mask in pixels
LETTERS = f"OpenCV {cv2.__version__}"  # of which version 5 has others than version 4
STYLES = ("", "-Bold", "-Oblique", "-BoldOblique")
TEST_STYLES = ("", "-Bold", "-Italic", "-BoldItalic")
STIX = ("STIXGeneral", "STIXGeneralItalic", "STIXGeneralBol", "STIXGeneralBolIta")

# split -> names of its fonts: "FILE.ttf", "aileron", "hershey NUMBER WEIGHT", "pen SEED" or "segments SEED"
FONTS: dict[str, tuple[str, ...]] = {
    "train": (
        # twice, so that drawn ones do not outweigh them
        *2
        * (
            *(f"{family}{style}.ttf" for family in ("DejaVuSans", "DejaVuSansMono") for style in STYLES),
            *(f"{name}.ttf" for name in (*STIX, "cmb10", "cmti10", "cmtt10")),
            # of these alone: OpenCV 5 draws one family for all faces, and one weight
            *(f"hershey {face} {weight}" for face in (0, 1, 3, 6) for weight in (3, 6)),
        ),
        *(f"pen {seed}" for seed in range(240)),
        *(f"segments {seed}" for seed in range(6)),
    ),
    "val": (
        "cmr10.ttf",
        *(f"pen {seed}" for seed in range(1000, 1012)),
        "segments 1000",
    ),
    "test": (
        *(f"DejaVuSerif{style}.ttf" for style in TEST_STYLES),
        *("cmss10.ttf", "aileron"),
        *(f"pen {seed}" for seed in range(2000, 2016)),
        "segments 2000",
    ),
}


@cache
def digit_masks(name: str) -> tuple[np.ndarray, ...]:
    """Returns the masks of a font's ten digits, uint8 (HEIGHT, width of each), without room at their sides.

    Args:
        name: As in FONTS.
    """
    kind, *numbers = name.split()
    if kind == "pen":
        masks = pen_font(int(numbers[0]), HEIGHT)
    elif kind == "segments":
        masks = segment_font(int(numbers[0]), HEIGHT)
    elif kind == "hershey":
        masks = _hershey(int(numbers[0]), int(numbers[1]))
    else:
        masks = _outlines(name)
    # one height for all digits, so that they stand on one line
    rows = np.flatnonzero(np.max([mask.max(1) for mask in masks], axis=0) > 64)
    cropped = []
    for mask in masks:
        columns = np.flatnonzero(mask.max(0) > 64)
        part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        width = max(4, round(part.shape[1] * HEIGHT / part.shape[0]))
        cropped.append(cv2.resize(part, (width, HEIGHT), interpolation=cv2.INTER_AREA))
    return tuple(cropped)


def _outlines(name: str) -> list[np.ndarray]:
    size = round(1.4 * HEIGHT)
    if name == "aileron":
        font = ImageFont.load_default(size)
    else:
        font = ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf", name)), size)
    masks = []
    for digit in "0123456789":
        canvas = Image.new("L", (2 * size, 2 * size))
        ImageDraw.Draw(canvas).text((size // 2, size // 4), digit, 255, font=font)
        masks.append(np.array(canvas))
    return masks


def _hershey(face: int, weight: int) -> list[np.ndarray]:
    masks = []
    for digit in "0123456789":
        canvas = np.zeros((2 * HEIGHT, 2 * HEIGHT), np.uint8)
        cv2.putText(canvas, digit, (HEIGHT // 2, 3 * HEIGHT // 2), face, 4.0, 255, 2 * weight, cv2.LINE_AA)
        masks.append(canvas)
    return masks
