"""The eight settings of the drawn scenes: painters of backgrounds, and where in each of them things can be.

A painter draws on a square RGB canvas (S, S, 3), uint8. All shares of the picture (bands, horizons) are of
its side, 0 at the top.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

Band = tuple[float, float]


@dataclass(frozen=True)
class Setting:
    """What a setting looks like and where things stand (feet), float (keel) or fly (whole box) in it."""

    paint: Callable[[np.ndarray, np.random.Generator], None]
    ground: Band
    air: Band
    water: Band | None = None


def paint_setting(name: str, side: int, rng: np.random.Generator) -> np.ndarray:
    """The background of one setting as an RGB canvas (side, side, 3), uint8; hue and light vary a little."""
    canvas = np.zeros((side, side, 3), np.uint8)
    SETTINGS[name].paint(canvas, rng)
    # slow changes of light and of tint, as no two photographs are exposed alike
    light = rng.integers(0, 22, (4, 4, 1), dtype=np.uint8)
    drift = light + rng.integers(0, 9, 3, dtype=np.uint8)
    return cv2.subtract(canvas, cv2.resize(drift, (side, side), interpolation=cv2.INTER_CUBIC))


def _gradient(
    canvas: np.ndarray,
    top: float,
    bottom: float,
    upper: tuple[int, int, int],
    lower: tuple[int, int, int],
    rng: np.random.Generator,
) -> None:
    """Fills the rows between two shares of the height with a vertical gradient, both ends jittered."""
    side = len(canvas)
    first, last = round(top * side), round(bottom * side)
    ends = np.array([upper, lower], np.float64) + rng.integers(-9, 10, (2, 3))
    ramp = np.linspace(0, 1, last - first)[:, None]
    rows = np.clip(ends[0] * (1 - ramp) + ends[1] * ramp, 0, 255).astype(np.uint8)
    cv2.repeat(rows[:, None], 1, side, dst=canvas[first:last])


def _ridge(
    canvas: np.ndarray,
    height: float,
    swing: float,
    colour: tuple[int, int, int],
    rng: np.random.Generator,
    bottom: float = 1.0,
) -> None:
    """Fills everything between a gently rolling line near `height` and `bottom`: hills, dunes, shores."""
    side = len(canvas)
    x = np.linspace(0, 1, 33)
    phases, tones = rng.uniform(0, 6.3, 2), rng.uniform(0.7, 1.3, 2)
    y = height + swing * (
        np.sin(4.4 * tones[0] * x + phases[0]) + 0.5 * np.sin(9.5 * tones[1] * x + phases[1])
    )
    line = np.stack([x, y], axis=1)
    corners = np.array([(1.0, bottom), (0.0, bottom)])
    points = np.rint(np.concatenate([line, corners]) * side * 16).astype(np.int32)
    shade = np.array(colour) + rng.integers(-8, 9, 3)
    cv2.fillPoly(canvas, [points], np.clip(shade, 0, 255).tolist(), cv2.LINE_AA, 4)


def _clouds(canvas: np.ndarray, band: Band, colour: tuple[int, int, int], rng: np.random.Generator) -> None:
    """Lays none to three flat-bottomed clouds into a band of the sky."""
    side = len(canvas)
    sky = canvas[: round((band[1] + 0.05) * side)]
    layer = sky.copy()
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0.05, 0.95), rng.uniform(*band)
        for shift, size in zip((-0.09, -0.03, 0.04, 0.1), rng.uniform(0.025, 0.055, 4), strict=True):
            centre = (round((x + shift) * side), round((y - size * 0.5) * side))
            cv2.ellipse(
                layer, centre, (round(size * 1.7 * side), round(size * side)), 0, 180, 360, colour, -1
            )
            cv2.ellipse(
                layer, centre, (round(size * 1.7 * side), round(size * 0.4 * side)), 0, 0, 180, colour, -1
            )
    soft = max(1, side // 64)
    cv2.addWeighted(cv2.blur(cv2.blur(layer, (soft, soft)), (soft, soft)), 0.8, sky, 0.2, 0, dst=sky)


def _specks(
    canvas: np.ndarray,
    band: Band,
    count: int,
    colour: tuple[int, int, int],
    rng: np.random.Generator,
    radius: int = 1,
) -> None:
    """Strews small dots over a band: stars, snowflakes, pebbles."""
    side = len(canvas)
    xs, ys = rng.integers(0, side, count), rng.integers(int(band[0] * side), int(band[1] * side), count)
    sizes = rng.integers(radius, radius + 2, count)
    for x, y, size in zip(xs.tolist(), ys.tolist(), sizes.tolist(), strict=True):
        cv2.circle(canvas, (x, y), size, colour, -1, cv2.LINE_AA)


def _strokes(
    canvas: np.ndarray,
    band: Band,
    count: int,
    reach: tuple[float, float],
    colour: tuple[int, int, int],
    rng: np.random.Generator,
) -> None:
    """Strews short lines over a band, `reach` = (across, up): grass, ripples."""
    side = len(canvas)
    starts = np.stack([rng.integers(0, side, count), rng.uniform(*band, count) * side], axis=1)
    ends = starts + rng.uniform(0.5, 1.2, (count, 1)) * np.array([reach[0], -reach[1]]) * side
    lines = np.rint(np.stack([starts, ends], axis=1)).astype(np.int32)
    cv2.polylines(canvas, list(lines), False, colour, max(1, side // 220), cv2.LINE_AA)


def _sun(canvas: np.ndarray, colour: tuple[int, int, int], rng: np.random.Generator) -> None:
    side = len(canvas)
    centre = (int(rng.uniform(0.08, 0.92) * side), int(rng.uniform(0.06, 0.16) * side))
    cv2.circle(canvas, centre, round(rng.uniform(0.035, 0.05) * side), colour, -1, cv2.LINE_AA)


def _beach(canvas: np.ndarray, rng: np.random.Generator) -> None:
    _gradient(canvas, 0, 0.5, (112, 188, 238), (206, 234, 246), rng)
    _clouds(canvas, (0.08, 0.3), (252, 253, 255), rng)
    if rng.random() < 0.5:
        _sun(canvas, (255, 244, 196), rng)
    _gradient(canvas, 0.48, 0.72, (30, 122, 168), (84, 190, 200), rng)
    _strokes(canvas, (0.5, 0.64), 26, (0.06, 0), (126, 204, 214), rng)
    shore = rng.uniform(0.64, 0.67)
    state = rng.bit_generator.state
    _ridge(canvas, shore, 0.008, (246, 250, 248), rng)
    rng.bit_generator.state = state  # the foam and the sand behind it follow one line
    _ridge(canvas, shore + 0.018, 0.008, (238, 212, 158), rng)
    _specks(canvas, (0.72, 1), 70, (214, 184, 132), rng)


def _meadow(canvas: np.ndarray, rng: np.random.Generator) -> None:
    _gradient(canvas, 0, 0.62, (138, 200, 244), (226, 242, 250), rng)
    _clouds(canvas, (0.08, 0.36), (255, 255, 255), rng)
    _ridge(canvas, 0.5, 0.03, (132, 186, 124), rng)
    _ridge(canvas, 0.58, 0.02, (126, 196, 92), rng)
    _strokes(canvas, (0.68, 1.02), 230, (0.008, 0.035), (94, 166, 62), rng)
    _strokes(canvas, (0.68, 1.02), 120, (-0.008, 0.03), (160, 216, 110), rng)


def _night(canvas: np.ndarray, rng: np.random.Generator) -> None:
    _gradient(canvas, 0, 0.75, (24, 30, 76), (82, 86, 150), rng)
    _specks(canvas, (0, 0.6), 75, (236, 236, 214), rng)
    side = len(canvas)
    x, y, radius = rng.uniform(0.1, 0.9) * side, rng.uniform(0.09, 0.2) * side, rng.uniform(0.05, 0.07) * side
    sky = canvas[int(y), 0].tolist()
    cv2.circle(canvas, (int(x), int(y)), int(radius), (250, 240, 200), -1, cv2.LINE_AA)
    cv2.circle(
        canvas, (int(x + 0.45 * radius), int(y - 0.15 * radius)), int(0.85 * radius), sky, -1, cv2.LINE_AA
    )
    _ridge(canvas, 0.6, 0.035, (50, 56, 100), rng)
    _ridge(canvas, 0.69, 0.015, (64, 84, 102), rng)
    _strokes(canvas, (0.75, 1.02), 90, (0.006, 0.03), (84, 108, 120), rng)


def _snow(canvas: np.ndarray, rng: np.random.Generator) -> None:
    _gradient(canvas, 0, 0.66, (150, 168, 192), (206, 216, 228), rng)
    side = len(canvas)
    for _ in range(3):
        x, top, half = rng.uniform(0, 1), rng.uniform(0.26, 0.42), rng.uniform(0.25, 0.4)
        for share, colour in ((1.0, (142, 156, 182)), (0.34, (238, 242, 248))):
            foot = top + (0.66 - top) * share
            peak = np.array([(x - half * share, foot), (x, top), (x + half * share, foot)]) * side
            cv2.fillPoly(canvas, [np.rint(peak).astype(np.int32)], colour, cv2.LINE_AA)
    _ridge(canvas, 0.6, 0.018, (214, 224, 238), rng)
    _ridge(canvas, 0.7, 0.022, (236, 241, 248), rng)
    _specks(canvas, (0, 1), 110, (255, 255, 255), rng, radius=2)


def _wall(canvas: np.ndarray, rng: np.random.Generator) -> None:
    side, foot = len(canvas), 0.72
    canvas[:] = (206, 194, 182)
    rows, columns = 11, 7
    tones = np.array([168, 104, 84]) + rng.integers(-10, 11, 3)
    shades = np.clip(tones + rng.integers(-16, 17, (rows, columns + 2, 1)), 0, 255).tolist()
    tall, wide, joint = foot * side / rows, side / columns, max(2, side // 110)
    for row in range(rows):
        for column in range(columns + 2):
            left = (column - 0.5 * (row % 2)) * wide - wide / 2
            corner = (int(left + wide) - joint, int((row + 1) * tall) - joint)
            cv2.rectangle(canvas, (int(left), int(row * tall)), corner, shades[row][column], -1)
    _gradient(canvas, foot, 1, (138, 138, 142), (176, 174, 172), rng)
    kerb = round((foot + 0.035) * side)
    canvas[round(foot * side) : kerb] = (198, 196, 192)
    for start in (-0.3, 0.1, 0.5, 0.9, 1.3):
        ends = ((int(start * side), side), (int((0.5 + (start - 0.5) * 0.7) * side), kerb))
        cv2.line(canvas, *ends, (122, 122, 126), max(1, side // 220), cv2.LINE_AA)


def _lake(canvas: np.ndarray, rng: np.random.Generator) -> None:
    _gradient(canvas, 0, 0.5, (150, 196, 226), (232, 236, 226), rng)
    _clouds(canvas, (0.06, 0.24), (255, 252, 248), rng)
    _ridge(canvas, 0.36, 0.04, (116, 146, 158), rng)
    _ridge(canvas, 0.43, 0.02, (70, 112, 96), rng)
    _gradient(canvas, 0.47, 0.9, (96, 152, 172), (58, 116, 156), rng)
    _strokes(canvas, (0.49, 0.8), 46, (0.08, 0), (148, 194, 206), rng)
    _ridge(canvas, 0.83, 0.012, (112, 148, 72), rng)
    _strokes(canvas, (0.86, 1.02), 90, (0.006, 0.03), (84, 122, 54), rng)


def _desert(canvas: np.ndarray, rng: np.random.Generator) -> None:
    _gradient(canvas, 0, 0.62, (246, 196, 132), (252, 232, 192), rng)
    _sun(canvas, (255, 250, 224), rng)
    _ridge(canvas, 0.5, 0.05, (226, 166, 104), rng)
    _ridge(canvas, 0.6, 0.035, (214, 150, 86), rng)
    _ridge(canvas, 0.7, 0.02, (228, 170, 104), rng)
    _strokes(canvas, (0.76, 1), 34, (0.09, 0.004), (206, 144, 82), rng)


def _room(canvas: np.ndarray, rng: np.random.Generator) -> None:
    side, foot = len(canvas), 0.66
    wall = ((232, 222, 200), (214, 226, 214), (226, 214, 222), (212, 220, 228))[int(rng.integers(4))]
    _gradient(canvas, 0, foot, wall, wall, rng)
    pale = np.clip(canvas[0, 0].astype(int) - 10, 0, 255).astype(np.uint8)
    stripe = side // 14
    for paper in range(int(rng.integers(stripe)), side, 2 * stripe):
        canvas[: round(foot * side), paper : paper + stripe] = pale
    left, top = rng.uniform(0.06, 0.62) * side, rng.uniform(0.08, 0.14) * side
    for inset, colour in ((0, (250, 248, 244)), (0.018, (176, 214, 240))):
        corners = (int(left + inset * side), int(top + inset * side))
        far = (int(left + (0.3 - inset) * side), int(top + (0.34 - inset) * side))
        cv2.rectangle(canvas, corners, far, colour, -1)
    cross = (int(left + 0.15 * side), int(top + 0.17 * side))
    width = max(2, side // 60)
    cv2.line(canvas, (cross[0], int(top)), (cross[0], int(top + 0.34 * side)), (250, 248, 244), width)
    cv2.line(canvas, (int(left), cross[1]), (int(left + 0.3 * side), cross[1]), (250, 248, 244), width)
    _gradient(canvas, foot, 1, (172, 122, 80), (198, 148, 102), rng)
    for start in np.arange(-0.8, 1.9, 0.2):
        ends = ((int(start * side), side), (int((0.5 + (start - 0.5) * 0.55) * side), round(foot * side)))
        cv2.line(canvas, *ends, (142, 98, 62), max(1, side // 200), cv2.LINE_AA)
    canvas[round((foot - 0.03) * side) : round(foot * side)] = (246, 242, 234)


SETTINGS: dict[str, Setting] = {
    "beach": Setting(_beach, ground=(0.76, 0.95), air=(0.03, 0.58), water=(0.56, 0.62)),
    "meadow": Setting(_meadow, ground=(0.72, 0.95), air=(0.03, 0.58)),
    "night": Setting(_night, ground=(0.76, 0.95), air=(0.03, 0.62)),
    "snow": Setting(_snow, ground=(0.76, 0.95), air=(0.03, 0.6)),
    "wall": Setting(_wall, ground=(0.8, 0.95), air=(0.03, 0.68)),
    "lake": Setting(_lake, ground=(0.89, 0.96), air=(0.03, 0.5), water=(0.62, 0.78)),
    "desert": Setting(_desert, ground=(0.76, 0.95), air=(0.03, 0.6)),
    "room": Setting(_room, ground=(0.74, 0.95), air=(0.03, 0.62)),
}
