"""The texture of a road: asphalt, wear, lane marks, gravel and shadows, in road coordinates.

Rows go along the road, columns across it from right to left; the fourth channel is how much of the land
beside the road the texture hides, fading out at its borders.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from data_prep.driving.road.look import Look
from data_prep.driving.road.noise import clouds, grain

ALONG_M, ACROSS_M = 0.125, 0.05  # size of a texel
HALF_WIDTH_M = 7.0
_DASH_M, _DASH_PERIOD_M = 4.0, 12.0
_WHITE, _YELLOW = np.array((226, 226, 218), np.float32), np.array((214, 166, 40), np.float32)
_GRAVEL = {"snow": (206, 208, 212), "hills": (166, 146, 108)}


@dataclass(frozen=True)
class Shadow:
    """What a thing beside the road throws on it: an ellipse, as a place and two half axes [m]."""

    distance_m: float
    offset_m: float
    along_m: float
    across_m: float


def offsets_m() -> np.ndarray:
    """Returns the offset from the centre line of the texture's columns [m]."""
    return np.arange(-HALF_WIDTH_M + ACROSS_M / 2, HALF_WIDTH_M, ACROSS_M, dtype=np.float32)


def paint_surface(
    length_m: float, look: Look, shadows: Sequence[Shadow], rng: np.random.Generator
) -> np.ndarray:
    """Returns the texture (rows, columns, 4), uint8, RGB and opacity, in the look's light."""
    rows = int(np.ceil(length_m / ALONG_M))
    across = offsets_m()
    columns = len(across)
    light = np.array(look.light.gain, np.float32)

    # the edge of the asphalt and of the gravel, ragged along the road
    ragged = clouds(rows, 2, (length_m / 3, 1), rng, octaves=4)[:, :, None] - 0.5
    edges = look.half_width_m + ragged[:, 0] * (0.1 + 0.35 * look.wear)
    borders = look.half_width_m + look.shoulder_m + ragged[:, 1] * 0.8
    paved = _inside(edges, across, 0.06)
    opacity = _inside(borders, across, 0.35)

    tone = _asphalt_tone(rows, across, look, rng)
    fine = grain(rows, columns, rng)
    gravel_tone = 1 + 0.1 * fine
    if look.wear > 0.25:
        _crack(tone, look, rng)
    asphalt, gravel = np.array(look.asphalt, np.float32), _gravel_colour(look)
    marks = _marks(rows, across, look, rng)

    texture = np.empty((rows, columns, 4), np.uint8)
    texture[..., 3] = opacity * 255
    shade = _shade(rows, columns, look, shadows)
    paint = {"white": _WHITE, "yellow": _YELLOW}
    for channel in range(3):
        layer = gravel[channel] * gravel_tone
        layer += (asphalt[channel] * tone - layer) * paved
        for name, mask in marks.items():
            layer += (paint[name][channel] - layer) * mask
        layer *= light[channel]
        layer *= shade
        texture[..., channel] = np.clip(layer, 0, 255)
    return texture


def _inside(borders: np.ndarray, across: np.ndarray, soft_m: float) -> np.ndarray:
    """1 within a border that varies along the road (rows, 1), 0 beyond, soft between."""
    return np.clip((borders - np.abs(across)) * np.float32(1 / soft_m), 0, 1)


def _gravel_colour(look: Look) -> np.ndarray:
    known = _GRAVEL.get(look.landscape, (132, 124, 108))
    return np.array(known, np.float32)


def _asphalt_tone(rows: int, across: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Brightness of the asphalt around 1: grain, blotches, wheel tracks, oil, patches."""
    columns = len(across)
    tone = 1 + (0.035 + 0.03 * look.wear) * grain(rows, columns, rng)
    tone += (0.1 + 0.16 * look.wear) * (clouds(rows, columns, (rows / 90, 4), rng, octaves=2) - 0.5)
    profile = np.zeros(columns, np.float32)
    lanes = (-look.lane_width_m / 2, look.lane_width_m / 2) if look.lanes == 2 else (0.0,)
    tracks, oil = rng.normal(0, 0.05, 2)
    for lane in lanes:
        for wheel in (-0.8, 0.8):
            profile += tracks * np.exp(-(((across - lane - wheel) / 0.28) ** 2))
        profile -= abs(oil) * np.exp(-(((across - lane) / 0.3) ** 2))
    tone += profile
    for _ in range(rng.poisson(rows * ALONG_M / 60 * look.wear)):  # repaired rectangles, one or both lanes
        at, long = rng.integers(rows), int(rng.uniform(2, 45) / ALONG_M)
        lane = lanes[rng.integers(len(lanes))]
        width = look.lane_width_m / 2 - 0.1
        covered = np.abs(across - lane) < width * rng.uniform(0.4, 1.05)
        tone[at : at + long, covered] *= rng.uniform(0.68, 1.12)
    if look.wear > 0.6 and rng.random() < 0.5:  # joints of concrete slabs
        joints = np.arange(0, rows, round(rng.uniform(4, 9) / ALONG_M))
        tone[joints] *= 0.6
    return tone


def _crack(tone: np.ndarray, look: Look, rng: np.random.Generator) -> None:
    """Draws cracks and their tar seams, darker than the asphalt, into its brightness."""
    rows, columns = tone.shape
    for _ in range(rng.poisson(rows * ALONG_M / 14 * look.wear)):
        points = rng.integers(4, 14)
        lengthwise = rng.random() < 0.6
        steps = rng.normal(0, 1, (points, 2)) * ((2, 9) if lengthwise else (9, 2))
        steps += (0, 10) if lengthwise else (10, 0)
        path = np.cumsum(steps, axis=0) + rng.integers((columns, rows))
        width = 1 if lengthwise else 2
        cv2.polylines(tone, [path.astype(np.int32)], False, float(rng.uniform(0.45, 0.8)), width)


def _marks(rows: int, across: np.ndarray, look: Look, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """How much of each texel is painted, by colour of the paint; worn where it is old."""
    painted = {"white": np.zeros((rows, len(across)), np.float32)}
    worn = np.clip(1.25 - 1.1 * look.wear * clouds(rows, len(across), (rows / 25, 12), rng, octaves=2), 0, 1)
    worn *= 0.97 - 0.35 * look.wear
    width = rng.uniform(0.1, 0.16)

    def line(offset: float, colour: str, dashed: bool) -> None:
        mask = np.clip((width / 2 + ACROSS_M / 2 - np.abs(across - offset)) / ACROSS_M, 0, 1)
        if not mask.any():
            return
        along = np.arange(rows, dtype=np.float32) * ALONG_M
        on = np.clip((_DASH_M / 2 - np.abs(along % _DASH_PERIOD_M - _DASH_M / 2)) / ALONG_M + 0.5, 0, 1)
        used = mask > 0
        stripe = mask[used] * (on[:, None] if dashed else 1)
        layer = painted.setdefault(colour, np.zeros((rows, len(across)), np.float32))
        layer[:, used] = np.maximum(layer[:, used], stripe * worn[:, used])

    centre = "yellow" if look.centre_yellow else "white"
    if look.centre_mark == "double":
        line(-width, centre, False)
        line(width, centre, False)
    elif look.centre_mark != "none":
        line(0.0, centre, look.centre_mark == "dashes")
    if look.edge_mark:
        for side in (-1, 1):
            line(side * (look.half_width_m - look.paved_m), "white", False)
    return painted


def _shade(rows: int, columns: int, look: Look, shadows: Sequence[Shadow]) -> np.ndarray:
    """What is left of the light: 1 in the sun, less under the shadows, soft at their borders."""
    if not look.light.shadow or not shadows:
        return np.ones((1, 1), np.float32)
    half = np.zeros((rows // 2 + 1, columns // 2), np.uint8)
    for shadow in shadows:
        centre = (
            round((shadow.offset_m + HALF_WIDTH_M) / ACROSS_M / 2),
            round(shadow.distance_m / ALONG_M / 2),
        )
        axes = (max(1, round(shadow.across_m / ACROSS_M / 2)), max(1, round(shadow.along_m / ALONG_M / 2)))
        cv2.ellipse(half, centre, axes, 0, 0, 360, 255, -1)
    soft = cv2.blur(half, (7, 3))
    whole = cv2.resize(soft, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return 1 - whole * np.float32(look.light.shadow / 255)
