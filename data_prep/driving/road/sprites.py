"""Pictures of what stands beside a road and drives on it: trees, bushes, poles, signs, houses, cars."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

_SMOOTH = 3  # drawn so much larger and averaged down


@dataclass(frozen=True)
class Sprite:
    """A picture (rows, columns, 4), uint8, RGB and opacity, of a thing of this height, seen from the road."""

    picture: np.ndarray
    height_m: float


class _Canvas:
    """Colour and opacity to draw on, in metres: x to the right from the middle, y up from the ground."""

    def __init__(self, width_m: float, height_m: float, texels_per_m: float) -> None:
        self.scale = texels_per_m * _SMOOTH
        self.middle = width_m / 2
        self.height_m = height_m
        size = round(height_m * self.scale), round(width_m * self.scale)
        self.rgb = np.zeros((*size, 3), np.uint8)
        self.opacity = np.zeros(size, np.uint8)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return round((x + self.middle) * self.scale), round((self.height_m - y) * self.scale)

    def disc(self, x: float, y: float, radius: float, colour: np.ndarray, squash: float = 1.0) -> None:
        axes = max(1, round(radius * self.scale)), max(1, round(radius * squash * self.scale))
        for layer, value in ((self.rgb, _paint(colour)), (self.opacity, 255)):
            cv2.ellipse(layer, self._at(x, y), axes, 0, 0, 360, value, -1)

    def shape(self, corners: list[tuple[float, float]], colour: np.ndarray) -> None:
        points = np.array([self._at(x, y) for x, y in corners], np.int32)
        for layer, value in ((self.rgb, _paint(colour)), (self.opacity, 255)):
            cv2.fillPoly(layer, [points], value)

    def box(self, left: float, bottom: float, right: float, top: float, colour: np.ndarray) -> None:
        self.shape([(left, bottom), (right, bottom), (right, top), (left, top)], colour)

    def sprite(self) -> Sprite:
        """What was drawn, averaged down; colour without the empty canvas mixed in."""
        size = self.rgb.shape[1] // _SMOOTH, self.rgb.shape[0] // _SMOOTH
        opacity = cv2.resize(self.opacity, size, interpolation=cv2.INTER_AREA)
        weight = self.opacity[..., None] > 0
        mixed = cv2.resize((self.rgb * weight).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        rgb = mixed / np.maximum(opacity[..., None] / np.float32(255), 0.02)
        return Sprite(np.dstack([np.clip(rgb, 0, 255).astype(np.uint8), opacity]), self.height_m)


def _paint(colour: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = np.clip(colour, 0, 255)
    return float(red), float(green), float(blue)


def leaf_colour(landscape: str, rng: np.random.Generator) -> np.ndarray:
    """Returns the colour of a plant's leaves as they are in a landscape."""
    greens = {
        "meadow": ((66, 92, 38), (84, 108, 46), (52, 80, 40)),
        "forest": ((44, 62, 32), (58, 72, 34), (38, 54, 34), (92, 80, 36)),
        "hills": ((92, 96, 52), (76, 84, 44), (112, 104, 62)),
        "village": ((70, 94, 44), (60, 84, 44), (110, 96, 44)),
        "snow": ((52, 66, 54), (150, 158, 164), (84, 80, 72)),
    }[landscape]
    return np.array(greens[rng.integers(len(greens))]) * rng.uniform(0.8, 1.2) + rng.normal(0, 5, 3)


def draw_tree(landscape: str, rng: np.random.Generator) -> Sprite:
    """Returns a broad-leaved tree."""
    height = rng.uniform(5, 12)
    crown = height * rng.uniform(0.26, 0.4)
    canvas = _Canvas(2.5 * crown, height, 90 / height)
    bark = np.array((72, 60, 48)) * rng.uniform(0.6, 1.3)
    trunk = 0.02 * height
    canvas.shape([(-trunk, 0), (trunk, 0), (trunk * 0.6, 0.6 * height), (-trunk * 0.6, 0.6 * height)], bark)
    green = leaf_colour(landscape, rng)
    lit = rng.uniform(-1, 1)
    middle = height - crown * 1.02
    for part in np.linspace(0, 1, 70):  # from the dark inside to the bright tips
        turn, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.8) ** 0.7
        x, y = far * crown * np.cos(turn), far * crown * 0.9 * np.sin(turn)
        brightness = 0.45 + 0.5 * part + 0.3 * y / crown + 0.15 * lit * x / crown + rng.normal(0, 0.07)
        canvas.disc(x, middle + y, crown * rng.uniform(0.1, 0.26), green * brightness)
    return canvas.sprite()


def draw_conifer(landscape: str, rng: np.random.Generator) -> Sprite:
    """Returns a fir or a cypress."""
    height = rng.uniform(6, 15)
    half = height * rng.uniform(0.12, 0.24)
    canvas = _Canvas(2.2 * half, height, 90 / height)
    green = leaf_colour("snow" if landscape == "snow" else "forest", rng)
    canvas.box(-0.02 * height, 0, 0.02 * height, 0.2 * height, np.array((60, 48, 40)))
    layers = 11
    for layer in range(layers):
        low = height * (0.06 + 0.86 * layer / layers)
        wide = half * (1 - layer / layers) ** 0.85
        for _ in range(7):
            x = rng.uniform(-1, 1) * wide
            brightness = 0.55 + 0.5 * layer / layers + rng.normal(0, 0.12)
            canvas.shape(
                [(x - 0.3 * wide, low - rng.uniform(0, 0.06) * height), (x + 0.3 * wide, low),
                 (0.3 * x, min(low + 0.2 * height, height))],
                green * brightness,
            )  # fmt: skip
    return canvas.sprite()


def draw_bush(landscape: str, rng: np.random.Generator) -> Sprite:
    """Returns a low shrub or tall grass."""
    height, half = rng.uniform(0.6, 2.2), rng.uniform(0.7, 1.8)
    canvas = _Canvas(2.4 * half, height, 40 / height)
    green = leaf_colour(landscape, rng)
    for part in np.linspace(0, 1, 40):
        x = rng.normal(0, 0.4) * half
        y = rng.uniform(0, 0.75) * height * max(0.1, 1 - (x / half) ** 2)
        canvas.disc(x, y, height * rng.uniform(0.08, 0.22), green * (0.5 + 0.6 * part + 0.2 * y / height))
    return canvas.sprite()


def draw_pole(landscape: str, rng: np.random.Generator) -> Sprite:
    """Returns a telegraph pole, or a street lamp in a village."""
    height = rng.uniform(6.5, 9)
    canvas = _Canvas(3.0, height, 90 / height)
    wood = np.array((96, 82, 66)) * rng.uniform(0.6, 1.3)
    if landscape == "village":
        wood = np.array((120, 124, 126)) * rng.uniform(0.7, 1.2)
        canvas.shape([(0, height), (1.3, height - 0.1), (1.3, height - 0.25), (0, height - 0.15)], wood)
    else:
        canvas.box(-1.1, height - 0.8, 1.1, height - 0.62, wood)
    canvas.box(-0.13, 0, 0.13, height, wood)
    return canvas.sprite()


def draw_post(landscape: str, rng: np.random.Generator) -> Sprite:
    """Returns a marker post with its dark band and reflector."""
    height = 1.05
    canvas = _Canvas(0.3, height, 40)
    canvas.box(-0.07, 0, 0.07, height, np.array((232, 232, 228)))
    canvas.box(-0.07, 0.68, 0.07, 0.9, np.array((40, 40, 42)))
    canvas.box(-0.04, 0.72, 0.04, 0.86, np.array((240, 160, 60)))
    return canvas.sprite()


def draw_sign(landscape: str, rng: np.random.Generator) -> Sprite:
    """Returns a traffic sign: a triangle, a disc, a diamond or a board."""
    height = rng.uniform(2.2, 2.9)
    canvas = _Canvas(1.4, height, 30)
    canvas.box(-0.05, 0, 0.05, height - 0.3, np.array((120, 122, 124)))
    white, red, yellow = np.array((236, 236, 232)), np.array((196, 32, 36)), np.array((236, 186, 30))
    kind = rng.integers(4)
    middle = height - 0.5
    if kind == 0:
        for size, colour in ((0.5, red), (0.32, white)):
            canvas.shape(
                [(-size, middle - 0.6 * size), (size, middle - 0.6 * size), (0, middle + size)], colour
            )
    elif kind == 1:
        for size, colour in ((0.42, red), (0.3, white)):
            canvas.disc(0, middle, size, colour)
    elif kind == 2:
        for size, colour in ((0.5, np.array((30, 30, 30))), (0.45, yellow)):
            canvas.shape([(-size, middle), (0, middle - size), (size, middle), (0, middle + size)], colour)
    else:
        board = (np.array((24, 92, 60)), np.array((30, 70, 150)), white)[rng.integers(3)]
        canvas.box(-0.65, middle - 0.35, 0.65, middle + 0.4, board)
    return canvas.sprite()


def draw_house(landscape: str, rng: np.random.Generator) -> Sprite:
    """Returns a house with a roof, windows and a door."""
    walls, roof, half = rng.uniform(2.8, 5.6), rng.uniform(1.5, 3), rng.uniform(3.5, 7)
    canvas = _Canvas(2 * half + 1.2, walls + roof, 10)
    plaster = ((214, 204, 184), (226, 226, 222), (186, 150, 118), (172, 178, 184))[rng.integers(4)]
    tiles = ((130, 62, 44), (86, 78, 76), (104, 84, 66))[rng.integers(3)]
    canvas.box(-half, 0, half, walls, np.array(plaster))
    ridge = rng.uniform(0, 0.9) * half
    canvas.shape(
        [(-half - 0.5, walls), (half + 0.5, walls), (ridge, walls + roof), (-ridge, walls + roof)],
        np.array(tiles) * rng.uniform(0.8, 1.2),
    )
    glass = np.array((62, 72, 84))
    for x in np.arange(-half + 1.2, half - 0.6, 2.2):
        for y in np.arange(1.0, walls - 1.3, 2.5):
            canvas.box(x - 0.45, y, x + 0.45, y + 1.2, glass)
    return canvas.sprite()


def draw_car(landscape: str, rng: np.random.Generator) -> Sprite:
    """Returns an oncoming car with its lights on."""
    high = rng.random() < 0.25
    height, half = (2.3, 0.98) if high else (1.5, 0.9)
    canvas = _Canvas(2 * half + 0.2, height, 36)
    paints = ((30, 32, 36), (196, 198, 200), (126, 24, 26), (36, 58, 104), (232, 232, 230), (92, 96, 100))
    paint = np.array(paints[rng.integers(len(paints))]) * rng.uniform(0.85, 1.1)
    belt = 0.58 * height
    for side in (-1, 1):
        canvas.box(
            min(side * half, side * 0.58), 0, max(side * half, side * 0.58), 0.4, np.array((22, 22, 24))
        )
    canvas.box(-half, 0.22, half, belt, paint)
    canvas.shape([(-half, belt), (half, belt), (0.72 * half, height), (-0.72 * half, height)], paint * 0.8)
    canvas.shape(
        [
            (-0.86 * half, belt),
            (0.86 * half, belt),
            (0.66 * half, 0.94 * height),
            (-0.66 * half, 0.94 * height),
        ],
        np.array((48, 58, 68)),
    )
    canvas.box(-0.55 * half, 0.26, 0.55 * half, 0.42, paint * 0.35)
    for side in (-1, 1):
        canvas.disc(side * 0.72 * half, 0.44 * height, 0.15, np.array((255, 252, 232)))
    return canvas.sprite()


SPRITES: dict[str, Callable[[str, np.random.Generator], Sprite]] = {
    "tree": draw_tree,
    "conifer": draw_conifer,
    "bush": draw_bush,
    "pole": draw_pole,
    "post": draw_post,
    "sign": draw_sign,
    "house": draw_house,
    "car": draw_car,
}
