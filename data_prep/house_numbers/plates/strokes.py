"""Digits of drawn fonts: skeletons of ten digits, and the pens that follow them.

A skeleton is a list of lines through points (x, y) in a box from 0 to 1, y downward. A font is a form of the
skeletons (open or closed 4, crossed 7, ...) and a pen (width, slant, weight, contrast, ends). Both are drawn
from a seed, so there are as many fonts as anybody asks for.
"""

from __future__ import annotations

import cv2
import numpy as np

Line = np.ndarray  # points (N, 2)
FINE = 16  # of a pixel: OpenCV draws lines between such fractions
SHIFT = 4


def arc(x: float, y: float, rx: float, ry: float, begin: float, end: float, square: float) -> Line:
    """Returns points of a part of a superellipse, from angle to angle in degrees, clockwise from the right.

    Args:
        x: Of the centre.
        y: Of the centre.
        rx: Half its width.
        ry: Half its height.
        begin: First angle.
        end: Last angle.
        square: 1 for an ellipse; less is nearer to a rectangle.
    """
    angles = np.radians(np.linspace(begin, end, 24))
    cos, sin = np.cos(angles), np.sin(angles)
    px = x + rx * np.sign(cos) * np.abs(cos) ** square
    py = y + ry * np.sign(sin) * np.abs(sin) ** square
    return np.stack([px, py], axis=1)


def line(*points: tuple[float, float]) -> Line:
    """Returns the line through points."""
    return np.array(points, dtype=float)


def joined(*parts: Line) -> Line:
    """Returns one line of several."""
    return np.concatenate(parts)


def skeletons(rng: np.random.Generator) -> list[list[Line]]:
    """Returns the lines of the digits 0 to 9, in forms that the generator chooses."""
    square = float(rng.choice([1.0, 1.0, 0.8, 0.6]))
    waist = float(rng.uniform(0.42, 0.52))  # where 3, 5 and 8 are narrowest
    zero = [arc(0.5, 0.5, 0.5, 0.5, 0, 360, square)]
    if rng.random() < 0.1:
        zero.append(line((0.2, 0.8), (0.8, 0.2)))
    one = [line((0.15, float(rng.uniform(0.15, 0.3))), (0.55, 0.0), (0.55, 1.0))]
    if rng.random() < 0.15:
        one = [line((0.5, 0.0), (0.5, 1.0))]
    elif rng.random() < 0.4:
        one.append(line((0.1, 1.0), (0.95, 1.0)))
    neck = float(rng.uniform(0.26, 0.32))
    two = [joined(arc(0.5, neck, 0.48, neck, 185, 395, square), line((0.0, 1.0), (1.0, 1.0)))]
    if rng.random() < 0.3:
        three = [
            joined(line((0.05, 0.0), (0.92, 0.0), (0.42, 0.4)), arc(0.48, 0.69, 0.5, 0.31, -80, 150, square))
        ]
    else:
        upper = arc(0.47, waist / 2, 0.43, waist / 2, 195, 440, square)
        lower = arc(0.47, (1 + waist) / 2, 0.5, (1 - waist) / 2, -85, 165, square)
        three = [joined(upper, lower)]
    bar, stem = float(rng.uniform(0.64, 0.76)), float(rng.uniform(0.66, 0.8))
    four = [line((stem, 1.0), (stem, 0.0), (0.0, bar), (1.0, bar))]
    if rng.random() < 0.25:
        four = [line((0.25, 0.0), (0.0, bar), (1.0, bar)), line((stem, 0.25), (stem, 1.0))]
    bowl = arc(0.46, 0.67, 0.52, 0.33, -130, 150, square)
    five = [joined(line((0.9, 0.0), (0.14, 0.0), (0.1, 0.46)), bowl)]
    round_six = rng.random() < 0.7
    stroke = arc(0.92, 0.68, 0.92, 0.68, 180, 262, 1.0) if round_six else line((0.02, 0.66), (0.62, 0.0))
    six = [arc(0.5, 0.68, 0.5, 0.32, 0, 360, square), stroke]
    seven = [line((0.0, 0.0), (1.0, 0.0), (float(rng.uniform(0.2, 0.45)), 1.0))]
    if rng.random() < 0.25:
        seven.append(line((0.3, 0.52), (0.88, 0.52)))
    eight = [
        arc(0.5, waist / 2, 0.42, waist / 2, 0, 360, square),
        arc(0.5, (1 + waist) / 2, 0.5, (1 - waist) / 2, 0, 360, square),
    ]
    nine = [1.0 - part for part in six]
    return [zero, one, two, three, four, five, six, seven, eight, nine]


def pen_font(seed: int, height: int) -> list[np.ndarray]:
    """Returns the masks of the ten digits of a drawn font, uint8 (height, width of each).

    Args:
        seed: Of the font.
        height: In pixels.
    """
    rng = np.random.default_rng([0x9E37, seed])
    shapes = skeletons(rng)
    width = float(rng.uniform(0.42, 0.72))  # of a digit, in heights
    weight = float(rng.choice([0.07, 0.1, 0.13, 0.17, 0.22])) * float(rng.uniform(0.9, 1.1))
    slant = float(rng.choice([0.0, 0.0, 0.0, 0.12, 0.22, -0.08]))
    contrast = float(rng.choice([0.0, 0.0, 0.05, 0.09]))  # how far the pen's nib reaches, in heights
    nib = np.radians(float(rng.choice([0.0, 30.0, 90.0])))
    serif = float(rng.choice([0.0, 0.0, 0.0, 0.1]))
    stencil = rng.random() < 0.1
    reach = weight / 2 + contrast / 2
    room = int(height * (width + 2 * reach + 2 * serif + abs(slant))) + 4
    masks = []
    for lines in shapes:
        mask = np.zeros((height, room), np.uint8)
        for points in lines:
            x = (points[:, 0] * width + serif + reach + max(0.0, -slant)) * height + 2
            y = (reach + points[:, 1] * (1 - 2 * reach)) * height
            x = x + slant * (height - y)
            # serifs stand on the lines above and below alone
            ends = [(x[i], y[i]) for i in (0, -1) if points[i, 1] < 0.05 or points[i, 1] > 0.95]
            thick = max(2, round(weight * height))
            for place in np.linspace(-0.5, 0.5, 5 if contrast else 1) if contrast else (0.0,):
                dx, dy = place * contrast * height * np.cos(nib), place * contrast * height * np.sin(nib)
                drawn = np.rint(np.stack([x + dx, y + dy], axis=1) * FINE).astype(np.int32)
                cv2.polylines(mask, [drawn], False, 255, thick, cv2.LINE_AA, SHIFT)
            for ex, ey in ends if serif else ():
                half = (serif + weight / 2) * height
                bar = np.rint(np.array([[ex - half, ey], [ex + half, ey]]) * FINE).astype(np.int32)
                cv2.polylines(mask, [bar], False, 255, max(2, thick // 2), cv2.LINE_AA, SHIFT)
        if stencil:
            gap, middle = max(2, round(0.05 * height)), int(height * 0.36)
            mask[middle : middle + gap] = 0
        masks.append(mask)
    return masks


# segment -> which digits light it, and where it lies: ends (x, y) in the box
SEGMENTS = (
    ("02356789", (0, 0), (1, 0)),
    ("045689", (0, 0), (0, 0.5)),
    ("01234789", (1, 0), (1, 0.5)),
    ("2345689", (0, 0.5), (1, 0.5)),
    ("0268", (0, 0.5), (0, 1)),
    ("013456789", (1, 0.5), (1, 1)),
    ("0235689", (0, 1), (1, 1)),
)


def segment_font(seed: int, height: int) -> list[np.ndarray]:
    """Returns the masks of ten digits made of seven bars, uint8 (height, width).

    Args:
        seed: Of the font.
        height: In pixels.
    """
    rng = np.random.default_rng([0x5E67, seed])
    width, weight = float(rng.uniform(0.42, 0.62)), float(rng.uniform(0.09, 0.16))
    gap, slant = float(rng.uniform(0.1, 0.6)) * weight, float(rng.choice([0.0, 0.1]))
    room = int(height * (width + weight + slant)) + 4
    masks = []
    for digit in "0123456789":
        mask = np.zeros((height, room), np.uint8)
        for digits, begin, end in SEGMENTS:
            if digit not in digits:
                continue
            a, b = (
                np.array([weight / 2 + x * width, weight / 2 + y * (1 - weight)]) for x, y in (begin, end)
            )
            along = (b - a) / np.hypot(*(b - a))
            across = np.array([-along[1], along[0]]) * weight / 2
            a, b, tip = a + along * gap / 2, b - along * gap / 2, along * weight / 2
            shape = np.array([a, a + tip + across, b - tip + across, b, b - tip - across, a + tip - across])
            shape[:, 0] += slant * (1 - shape[:, 1])
            points = np.rint((shape * height + [2, 0]) * FINE).astype(np.int32)
            cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, SHIFT)
        masks.append(mask)
    return masks
