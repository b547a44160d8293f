"""The fourteen objects of the drawn scenes, each drawn on its own transparent patch.

An object is a function that draws on a `Patch`. Its points (x, y) are in units of the patch's height, x from
0 to `aspect` rightwards, y from 0 to 1 downwards. What carries the object's colour and texture is drawn by
`Patch.body`; everything else (wheels, stems, windows) is grey, brown or cream, so that only one colour can be
meant.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (214, 36, 40),
    "orange": (248, 136, 20),
    "yellow": (250, 216, 40),
    "green": (38, 150, 62),
    "blue": (36, 92, 214),
    "purple": (132, 54, 178),
    "pink": (250, 138, 184),
    "white": (246, 246, 248),
}
TEXTURES = ("plain", "striped", "dotted", "checked")

WHITE, DARK, BROWN, CREAM = (250, 250, 250), (52, 48, 52), (112, 76, 48), (240, 226, 198)
SLATE, GLASS, STEM = (98, 92, 100), (196, 222, 236), (62, 118, 54)
_FRACTION_BITS = 4  # cv2 takes points as fixed-point integers: a sixteenth of a pixel


class Patch:
    """A transparent picture of one object: `rgb` (h, w, 3) and `alpha` (h, w), both uint8."""

    def __init__(self, height: int, aspect: float, colour: RGB, texture: str, angle: float) -> None:
        width = max(2, round(height * aspect))
        self.height = height
        self.edge: RGB = (int(colour[0] * 0.42), int(colour[1] * 0.42), int(colour[2] * 0.42))
        self.rgb = np.full((height, width, 3), self.edge, np.uint8)
        self.alpha = np.zeros((height, width), np.uint8)
        self.plain = colour
        self.paint = _paint(height, width, colour, texture, angle)

    def body(self, *outlines: np.ndarray) -> None:
        """Fills the union of the outlines with the object's colour and texture, with a dark rim around it."""
        fixed = [self._fixed(outline) for outline in outlines]
        mask = np.zeros_like(self.alpha)
        for points in fixed:
            for layer, value in ((self.rgb, self.edge), (self.alpha, 255)):
                cv2.polylines(layer, [points], True, value, self._pixels(0.022), cv2.LINE_AA, _FRACTION_BITS)
            cv2.fillPoly(mask, [points], 255, cv2.LINE_8, _FRACTION_BITS)
        cv2.copyTo(self.paint, mask, self.rgb)
        self.alpha |= mask

    def fill(self, outline: np.ndarray, colour: RGB) -> None:
        """Fills an outline with one plain colour, with a thin dark rim."""
        points = self._fixed(outline)
        for layer, rim, value in (
            (self.rgb, (colour[0] // 2, colour[1] // 2, colour[2] // 2), colour),
            (self.alpha, 255, 255),
        ):
            cv2.fillPoly(layer, [points], value, cv2.LINE_AA, _FRACTION_BITS)
            cv2.polylines(layer, [points], True, rim, self._pixels(0.01), cv2.LINE_AA, _FRACTION_BITS)

    def line(self, points: np.ndarray, colour: RGB, width: float) -> None:
        """Draws an open line, `width` in units of the patch's height."""
        for layer, value in ((self.rgb, colour), (self.alpha, 255)):
            cv2.polylines(
                layer, [self._fixed(points)], False, value, self._pixels(width), cv2.LINE_AA, _FRACTION_BITS
            )

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        return np.rint((points * self.height - 0.5) * 2**_FRACTION_BITS).astype(np.int32)

    def _pixels(self, width: float) -> int:
        return max(1, round(width * self.height))


def _paint(height: int, width: int, colour: RGB, texture: str, angle: float) -> np.ndarray:
    """The colour with its texture (h, w, 3), lit from above: what `Patch.body` shows through its outline."""
    scale = 1 / np.sqrt(height * width)
    x = np.arange(width, dtype=np.float32) * np.float32(scale)
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(scale)
    light = np.float32(1.1) - 0.22 * (0.35 * x + 0.65 * y)
    # a white pattern would vanish on a light colour
    ink: RGB = (
        (252, 250, 246) if min(colour[:2]) < 195 else (92, 82, 72) if colour[2] < 150 else (148, 156, 176)
    )
    if texture == "striped":
        inked = ((x * np.cos(angle) + y * np.sin(angle)) / 0.2) % 1 < 0.42
    elif texture == "dotted":
        row = np.floor(y / 0.17)
        inked = ((x / 0.19 + 0.5 * (row % 2)) % 1 - 0.5) ** 2 + ((y / 0.17) % 1 - 0.5) ** 2 < 0.29**2
    elif texture == "checked":
        inked = (np.floor(x / 0.125) + np.floor(y / 0.125)) % 2 == 1
    else:
        inked = np.zeros((height, width), bool)
    channels = [light * np.where(inked, dark, plain) for plain, dark in zip(colour, ink, strict=True)]
    return cv2.merge([np.minimum(channel, 255).astype(np.uint8) for channel in channels])


def _points(*pairs: tuple[float, float]) -> np.ndarray:
    return np.array(pairs, np.float64)


def _arc(
    x: float, y: float, across: float, down: float, start: float = 0.0, stop: float = 360.0
) -> np.ndarray:
    """Points on an ellipse, from `start` to `stop` degrees, clockwise from the right."""
    turn = np.radians(np.linspace(start, stop, max(8, int(abs(stop - start) / 9))))
    return np.stack([x + across * np.cos(turn), y + down * np.sin(turn)], axis=1)


def _box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return _points((left, top), (right, top), (right, bottom), (left, bottom))


def _ball(p: Patch) -> None:
    p.body(_arc(0.5, 0.5, 0.48, 0.48))
    p.line(_arc(0.5, 0.5, 0.2, 0.47, -90, 90), p.edge, 0.018)
    p.line(_arc(0.5, 0.5, 0.47, 0.2, 0, 180), p.edge, 0.018)
    p.fill(_arc(0.33, 0.25, 0.09, 0.06), WHITE)


def _house(p: Patch) -> None:
    p.fill(_box(0.7, 0.06, 0.82, 0.34), SLATE)
    p.body(_box(0.12, 0.42, 0.88, 0.98))
    p.fill(_points((0.02, 0.45), (0.5, 0.03), (0.98, 0.45)), SLATE)
    p.fill(_box(0.42, 0.68, 0.58, 0.98), BROWN)
    for left in (0.2, 0.66):
        p.fill(_box(left, 0.54, left + 0.14, 0.7), GLASS)
        p.line(_points((left + 0.07, 0.54), (left + 0.07, 0.7)), WHITE, 0.015)


def _tree(p: Patch) -> None:
    p.fill(_points((0.32, 0.98), (0.36, 0.8), (0.36, 0.5), (0.46, 0.5), (0.46, 0.8), (0.5, 0.98)), BROWN)
    p.body(
        _arc(0.41, 0.26, 0.25, 0.24),
        _arc(0.21, 0.42, 0.19, 0.18),
        _arc(0.61, 0.42, 0.19, 0.18),
        _arc(0.41, 0.48, 0.22, 0.16),
    )


def _car(p: Patch) -> None:
    p.body(
        _points((0.42, 0.5), (0.66, 0.06), (1.24, 0.06), (1.54, 0.5)),
        _points(
            (0.03, 0.82), (0.03, 0.56), (0.14, 0.46), (1.56, 0.44), (1.82, 0.52), (1.87, 0.62), (1.87, 0.82)
        ),
    )
    p.fill(_points((0.56, 0.45), (0.73, 0.14), (0.92, 0.14), (0.92, 0.45)), GLASS)
    p.fill(_points((0.98, 0.45), (0.98, 0.14), (1.2, 0.14), (1.4, 0.45)), GLASS)
    p.fill(_arc(1.8, 0.6, 0.05, 0.06), CREAM)
    for x in (0.46, 1.42):
        p.fill(_arc(x, 0.8, 0.18, 0.18), DARK)
        p.fill(_arc(x, 0.8, 0.08, 0.08), (190, 190, 196))


def _boat(p: Patch) -> None:
    p.line(_points((0.5, 0.03), (0.5, 0.74)), BROWN, 0.035)
    p.body(_points((0.55, 0.06), (0.7, 0.34), (0.93, 0.64), (0.55, 0.64)))
    p.body(_points((0.45, 0.16), (0.3, 0.42), (0.1, 0.64), (0.45, 0.64)))
    p.body(_points((0.02, 0.72), (0.98, 0.72), (0.92, 0.84), (0.8, 0.97), (0.2, 0.97), (0.08, 0.84)))
    p.line(_points((0.03, 0.735), (0.97, 0.735)), CREAM, 0.035)


def _cat(p: Patch) -> None:
    tail = np.concatenate([_arc(0.66, 0.72, 0.12, 0.2, 90, -60), _arc(0.78, 0.5, 0.05, 0.06, 120, 260)])
    p.line(tail, p.edge, 0.11)
    p.line(tail, p.plain, 0.075)
    p.body(_arc(0.4, 0.8, 0.27, 0.18), _arc(0.4, 0.68, 0.19, 0.26))
    p.body(
        _arc(0.4, 0.3, 0.25, 0.21),
        _points((0.16, 0.3), (0.17, 0.03), (0.37, 0.14)),
        _points((0.64, 0.3), (0.63, 0.03), (0.43, 0.14)),
    )
    for x in (0.31, 0.49):
        p.fill(_arc(x, 0.28, 0.048, 0.055), CREAM)
        p.fill(_arc(x, 0.28, 0.018, 0.045), DARK)
    p.fill(_points((0.37, 0.36), (0.43, 0.36), (0.4, 0.395)), DARK)
    for side in (-1, 1):
        p.line(_points((0.4 + 0.1 * side, 0.38), (0.4 + 0.3 * side, 0.36)), DARK, 0.012)
        p.line(_points((0.4 + 0.1 * side, 0.41), (0.4 + 0.29 * side, 0.43)), DARK, 0.012)
        p.line(_arc(0.4 + 0.08 * side, 0.95, 0.07, 0.06, 180, 360), p.edge, 0.018)


def _cup(p: Patch) -> None:
    handle = _arc(0.84, 0.5, 0.19, 0.2, -100, 110)
    p.line(handle, p.edge, 0.12)
    p.line(handle, p.plain, 0.08)
    p.body(np.concatenate([_points((0.04, 0.14), (0.86, 0.14)), _arc(0.45, 0.84, 0.32, 0.13, 0, 180)]))
    p.fill(_arc(0.45, 0.14, 0.41, 0.11), CREAM)
    p.fill(_arc(0.45, 0.155, 0.35, 0.08), (86, 54, 34))


def _flower(p: Patch) -> None:
    p.line(_points((0.37, 0.4), (0.36, 0.7), (0.38, 0.98)), STEM, 0.045)
    p.fill(_points((0.37, 0.86), (0.5, 0.68), (0.7, 0.64), (0.6, 0.8)), STEM)
    p.fill(_points((0.37, 0.92), (0.24, 0.76), (0.06, 0.74), (0.16, 0.88)), STEM)
    for turn in np.radians(np.arange(0, 360, 60)):
        p.body(_arc(0.37 + 0.2 * np.cos(turn), 0.33 + 0.19 * np.sin(turn), 0.135, 0.13))
    p.fill(_arc(0.37, 0.33, 0.12, 0.12), (128, 84, 36))


def _mushroom(p: Patch) -> None:
    p.fill(
        np.concatenate([_points((0.38, 0.5), (0.62, 0.5)), _arc(0.5, 0.86, 0.18, 0.12, -20, 200)]),
        CREAM,
    )
    p.body(np.concatenate([_arc(0.5, 0.54, 0.48, 0.5, 180, 360), _arc(0.5, 0.54, 0.48, 0.1, 0, 180)]))


def _umbrella(p: Patch) -> None:
    p.line(_points((0.5, 0.02), (0.5, 0.88)), BROWN, 0.035)
    p.line(_arc(0.44, 0.88, 0.06, 0.08, 0, 170), BROWN, 0.035)
    scallops = [_arc(0.5 + 0.24 * i, 0.5, 0.12, 0.06, 0, -180) for i in (1.5, 0.5, -0.5, -1.5)]
    p.body(np.concatenate([_arc(0.5, 0.5, 0.48, 0.44, 180, 360), *scallops]))
    for across in (-0.24, 0.0, 0.24):
        p.line(_arc(0.5, 0.48, across, 0.41, -90, 0), p.edge, 0.014)


def _balloon(p: Patch) -> None:
    sway = np.linspace(0, 1, 16)
    p.line(np.stack([0.31 + 0.04 * np.sin(sway * 6), 0.68 + 0.3 * sway], axis=1), DARK, 0.014)
    p.body(_points((0.31, 0.64), (0.25, 0.71), (0.37, 0.71)))
    p.body(_arc(0.31, 0.34, 0.28, 0.32))
    p.fill(_arc(0.2, 0.2, 0.035, 0.065), WHITE)


def _kite(p: Patch) -> None:
    sway = np.linspace(0, 1, 16)
    tail = np.stack([0.35 + 0.07 * np.sin(sway * 7), 0.66 + 0.32 * sway], axis=1)
    p.line(tail, DARK, 0.014)
    for x, y in tail[[4, 9, 14]]:
        p.body(
            _points((x - 0.07, y - 0.04), (x + 0.07, y + 0.04), (x + 0.07, y - 0.04), (x - 0.07, y + 0.04))
        )
    p.body(_points((0.35, 0.02), (0.67, 0.27), (0.35, 0.68), (0.03, 0.27)))
    p.line(_points((0.35, 0.02), (0.35, 0.68)), p.edge, 0.016)
    p.line(_points((0.03, 0.27), (0.67, 0.27)), p.edge, 0.016)


def _star(p: Patch) -> None:
    turn = np.radians(np.arange(10) * 36 - 90)
    reach = np.where(np.arange(10) % 2 == 0, 0.5, 0.23)
    p.body(np.stack([0.5 + reach * np.cos(turn), 0.52 + reach * np.sin(turn)], axis=1))


def _bird(p: Patch) -> None:
    p.fill(_points((1.2, 0.4), (1.38, 0.46), (1.2, 0.52)), (226, 152, 40))
    p.body(_points((0.3, 0.6), (0.02, 0.5), (0.06, 0.74)))
    p.body(_arc(0.68, 0.63, 0.42, 0.22), _arc(1.05, 0.45, 0.19, 0.2))
    p.body(_points((0.48, 0.62), (0.3, 0.3), (0.36, 0.03), (0.66, 0.2), (0.88, 0.6)))
    p.fill(_arc(1.1, 0.41, 0.04, 0.045), DARK)


@dataclass(frozen=True)
class Kind:
    """How one kind of object is drawn: aspect is width / height, scale evens out how large kinds look."""

    draw: Callable[[Patch], None]
    aspect: float
    scale: float = 1.0
    flies: bool = False


KINDS: dict[str, Kind] = {
    "ball": Kind(_ball, 1.0, 0.88),
    "house": Kind(_house, 1.0, 1.1),
    "tree": Kind(_tree, 0.82, 1.15),
    "car": Kind(_car, 1.9, 1.05),
    "boat": Kind(_boat, 1.0, 1.1),
    "cat": Kind(_cat, 0.84),
    "cup": Kind(_cup, 1.06, 0.92),
    "flower": Kind(_flower, 0.74, 1.05),
    "mushroom": Kind(_mushroom, 1.0),
    "umbrella": Kind(_umbrella, 1.0, 1.12),
    "balloon": Kind(_balloon, 0.62, 1.05, flies=True),
    "kite": Kind(_kite, 0.7, 1.05, flies=True),
    "star": Kind(_star, 1.0, 1.0, flies=True),
    "bird": Kind(_bird, 1.4, 1.05, flies=True),
}


def draw_object(
    kind: str, colour: str, texture: str, height: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One object, `height` pixels high, as RGB (h, w, 3) and alpha (h, w), both uint8; its shade varies."""
    shade = np.clip(np.array(COLOURS[colour]) + rng.integers(-10, 11, 3), 0, 255)
    angle = float(rng.choice(np.radians([0.0, 45.0, 90.0, 135.0])))
    patch = Patch(height, KINDS[kind].aspect, _rgb(shade), texture, angle)
    KINDS[kind].draw(patch)
    if rng.random() < 0.5:
        return patch.rgb[:, ::-1], patch.alpha[:, ::-1]
    return patch.rgb, patch.alpha


def _rgb(values: Sequence[int] | np.ndarray) -> RGB:
    red, green, blue = (int(value) for value in values)
    return red, green, blue
