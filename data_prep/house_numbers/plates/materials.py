"""What plates and walls are made of: their colours, their grain, and what digits on them look like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

Colour = tuple[int, int, int]  # RGB


@dataclass(frozen=True)
class Material:
    """What a plate can be made of.

    Args:
        plates: Colours of the plate.
        digits: Colours of the digits on it.
        grain: Where its texture comes from: flat, brushed, wood or mottled.
        is_framed: Whether it has a line around it.
    """

    plates: tuple[Colour, ...]
    digits: tuple[Colour, ...]
    grain: str
    is_framed: bool = False


MATERIALS = {
    "enamel": Material(
        ((25, 50, 120), (240, 240, 235), (20, 80, 50), (150, 25, 30)),
        ((245, 245, 240), (20, 30, 90), (250, 240, 200)),
        "flat",
        is_framed=True,
    ),
    "brass": Material(((190, 150, 70), (205, 170, 95)), ((45, 35, 20), (25, 20, 15)), "brushed"),
    "steel": Material(((170, 172, 175), (200, 202, 205)), ((25, 25, 28), (50, 60, 75)), "brushed"),
    "wood": Material(
        ((120, 80, 45), (85, 55, 30), (165, 120, 75)),
        ((245, 240, 225), (30, 20, 12), (225, 190, 110)),
        "wood",
    ),
    "slate": Material(((60, 66, 70), (45, 48, 52)), ((235, 235, 225), (205, 180, 110)), "mottled"),
    "stone": Material(((175, 168, 155), (200, 195, 180)), ((40, 38, 35), (90, 30, 25)), "mottled"),
    "sticker": Material(
        ((245, 205, 40), (235, 235, 235), (30, 30, 32), (200, 40, 35), (40, 120, 190)),
        ((20, 20, 22), (250, 250, 250), (190, 30, 30)),
        "flat",
    ),
}
WALLS: tuple[tuple[Colour, str], ...] = (
    ((150, 80, 60), "brick"),
    ((185, 150, 120), "brick"),
    ((205, 195, 175), "mottled"),
    ((235, 232, 225), "mottled"),
    ((110, 115, 118), "mottled"),
    ((95, 70, 50), "wood"),
    ((60, 85, 60), "wood"),
    ((70, 100, 60), "leaves"),
)
LEAST_CONTRAST = 65.0  # in grey values between plate and digits


def luminance(colour: Colour) -> float:
    """Returns the grey value of a colour."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


@cache
def _pairs(name: str) -> list[tuple[Colour, Colour]]:
    """Returns the colours of plate and digits that can be told apart, of a material."""
    material = MATERIALS[name]
    return [
        (plate, digit)
        for plate in material.plates
        for digit in material.digits
        if abs(luminance(plate) - luminance(digit)) > LEAST_CONTRAST
    ]


def choose_colours(rng: np.random.Generator, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns colours of plate and digits of a material that can be told apart, each float (3,)."""
    pairs = _pairs(name)
    plate, digit = pairs[rng.integers(len(pairs))]
    return plate + rng.normal(0, 8, 3), digit + rng.normal(0, 6, 3)


def texture(rng: np.random.Generator, grain: str, height: int, width: int) -> np.ndarray:
    """Returns what a material adds to its colour, float32 (height, width), in grey values.

    Args:
        rng: Draws it.
        grain: flat, brushed, wood, mottled, brick or leaves.
        height: In pixels.
        width: In pixels.
    """
    if grain == "flat":
        return np.zeros((height, width), np.float32)
    if grain == "brick":
        rows = int(rng.integers(4, 9))
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        course = np.floor(y * rows / height)
        along = x * rows / width / 2 + 0.5 * (course % 2)
        is_joint = ((y * rows / height) % 1 < 0.12) | (along % 1 < 0.06)
        shade = np.sin(course * 12.9 + np.floor(along) * 78.2) * 12
        return np.where(is_joint, 45.0, shade).astype(np.float32)
    cells = {"brushed": (height, 2), "wood": (max(2, height // 3), 3), "mottled": (9, 9), "leaves": (14, 14)}
    strength = {"brushed": 7.0, "wood": 14.0, "mottled": 9.0, "leaves": 40.0}[grain]
    coarse = rng.normal(0, strength, cells[grain]).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
