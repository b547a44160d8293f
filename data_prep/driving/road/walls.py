"""What runs along a road and stands up: woods, hedges, banks, fences, guard rails. A texture, repeated.

A wall keeps its distance from the centre line between two places. Its texture has its foot in the last row;
columns go along the road.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from data_prep.driving.road.look import GROUNDS, Colour
from data_prep.driving.road.noise import clouds, grain, shrink
from data_prep.driving.road.sprites import Sprite, draw_bush, draw_conifer, draw_tree, leaf_colour

LEVELS = 3  # each half as fine as the one before, and coarser still along the road


@dataclass(frozen=True)
class WallPaint:
    """A texture (rows, columns, 4), uint8, RGB and opacity, at LEVELS sizes, and what it measures [m]."""

    levels: tuple[np.ndarray, ...]
    height_m: float
    repeat_m: float

    @property
    def texel_m(self) -> float:
        """Height of a texel of the finest level."""
        return self.height_m / len(self.levels[0])

    def lit(self, gain: Colour) -> "WallPaint":
        """Returns the wall as it looks in a light."""
        factor = np.array((*gain, 1), np.float32)
        levels = (np.minimum(level * factor, 255).astype(np.uint8) for level in self.levels)
        return WallPaint(tuple(levels), self.height_m, self.repeat_m)


@dataclass(frozen=True)
class Wall:
    """A stretch of wall: how far left of the centre line, from where to where along the road."""

    paint: WallPaint
    offset_m: float
    from_m: float
    to_m: float


def _with_levels(texture: np.ndarray, height_m: float, repeat_m: float) -> WallPaint:
    """The paint, its coarser levels averaged."""
    opaque = texture[..., 3] > 0
    texture[~opaque, :3] = texture[opaque, :3].mean(0)  # no dark fringe where colours are interpolated
    levels = [texture]
    for _ in range(LEVELS - 1):
        levels.append(shrink(levels[-1], 2, 3))
    return WallPaint(tuple(levels), height_m, repeat_m)


def paste(texture: np.ndarray, sprite: Sprite, at: int, shade: float, texel_m: float) -> None:
    """Lays a sprite over a texture with its foot in the last row, around the border where it reaches over."""
    height = min(len(texture), max(2, round(sprite.height_m / texel_m)))
    width = max(1, round(height * sprite.picture.shape[1] / sprite.picture.shape[0]))
    picture = cv2.resize(sprite.picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    columns = np.arange(at, at + width) % texture.shape[1]
    opacity = picture[..., 3:] / 255
    under = texture[-height:, columns].astype(np.float32)
    under[..., :3] += (picture[..., :3] * shade - under[..., :3]) * opacity
    under[..., 3:] += (255 - under[..., 3:]) * opacity
    texture[-height:, columns] = under.astype(np.uint8)


def paint_wood(landscape: str, rng: np.random.Generator) -> WallPaint:
    """Returns the edge of a wood: trees before trees, dark between them."""
    texel, height, repeat = 0.125, 11.0, 64.0
    texture = np.zeros((round(height / texel), round(repeat / texel), 4), np.uint8)
    conifers = rng.random()
    kinds = [(draw_conifer if rng.random() < conifers else draw_tree)(landscape, rng) for _ in range(8)]
    dark = leaf_colour(landscape, rng) * 0.32
    low = round(rng.uniform(3, 7) / texel)
    texture[-low:] = (*dark, 255)
    texture[-low:, :, :3] = texture[-low:, :, :3] * (
        0.7 + 0.6 * clouds(low, texture.shape[1], (6, 60), rng)[..., None]
    )
    for depth in np.linspace(0.5, 1, 46):
        sprite = kinds[rng.integers(len(kinds))]
        paste(texture, sprite, int(rng.integers(texture.shape[1])), depth * rng.uniform(0.8, 1.1), texel)
    for _ in range(14):
        bush = draw_bush(landscape, rng)
        paste(texture, bush, int(rng.integers(texture.shape[1])), rng.uniform(0.8, 1.1), texel)
    return _with_levels(texture, height, repeat)


def paint_hedge(landscape: str, rng: np.random.Generator) -> WallPaint:
    """Returns a hedge of bushes."""
    texel, height, repeat = 0.1, rng.uniform(1.2, 2.6), 32.0
    rows, columns = round(height / texel), round(repeat / texel)
    green = leaf_colour(landscape, rng)
    tone = 0.5 + 0.5 * clouds(rows, columns, (6, 60), rng) + 0.1 * grain(rows, columns, rng)
    tone *= np.linspace(1.15, 0.6, rows)[:, None]
    top = clouds(2, columns, (1, 30), rng, octaves=4)[0] * 0.5 * rows
    opacity = np.clip(np.arange(rows)[:, None] - top, 0, 1) * 255
    texture = np.dstack([np.clip(green * tone[..., None], 0, 255), opacity]).astype(np.uint8)
    return _with_levels(texture, height, repeat)


def paint_bank(landscape: str, rng: np.random.Generator) -> WallPaint:
    """Returns a slope of earth, rock and grass that rises beside the road."""
    texel, height, repeat = 0.2, rng.uniform(3, 9), 96.0
    rows, columns = round(height / texel), round(repeat / texel)
    ground = np.array(GROUNDS[landscape])
    earth, grass = ground[-1] * rng.uniform(0.7, 1), ground[0]
    share = np.clip(clouds(rows, columns, (4, 24), rng, octaves=4) * 2.4 - 0.7, 0, 1)[..., None]
    tone = 0.72 + 0.5 * clouds(rows, columns, (8, 70), rng) + 0.06 * grain(rows, columns, rng)
    top = clouds(2, columns, (1, 10), rng, octaves=5)[0] * 0.55 * rows
    opacity = np.clip(np.arange(rows)[:, None] - top, 0, 1) * 255
    colour = (earth + (grass - earth) * share) * tone[..., None]
    texture = np.dstack([np.clip(colour, 0, 255), opacity]).astype(np.uint8)
    return _with_levels(texture, height, repeat)


def paint_rail(landscape: str, rng: np.random.Generator) -> WallPaint:
    """Returns a steel guard rail on posts."""
    texel, height, repeat = 0.05, 0.8, 12.0
    texture = np.zeros((round(height / texel), round(repeat / texel), 4), np.uint8)
    steel = np.array((168, 172, 176)) * rng.uniform(0.75, 1.15)
    for place in range(0, texture.shape[1], round(2 / texel)):
        texture[4:, place : place + 3] = (*steel * 0.6, 255)
    for row, tone in zip(range(1, 8), (0.8, 1.1, 0.9, 0.6, 0.85, 1.15, 0.7), strict=True):
        texture[row] = (*np.clip(steel * tone, 0, 255), 255)
    return _with_levels(texture, height, repeat)


def paint_fence(landscape: str, rng: np.random.Generator) -> WallPaint:
    """Returns a fence of posts and boards."""
    texel, height, repeat = 0.05, rng.uniform(1.0, 1.4), 16.0
    texture = np.zeros((round(height / texel), round(repeat / texel), 4), np.uint8)
    wood = np.array(((226, 224, 218), (120, 98, 76), (98, 84, 70))[rng.integers(3)])
    for top in np.linspace(0.15, 0.7, 3) * len(texture):
        texture[int(top) : int(top) + 3] = (*wood * 0.9, 255)
    for place in range(0, texture.shape[1], round(2 / texel)):
        texture[1:, place : place + 3] = (*wood, 255)
    return _with_levels(texture, height, repeat)


PAINTS: dict[str, Callable[[str, np.random.Generator], WallPaint]] = {
    "wood": paint_wood,
    "hedge": paint_hedge,
    "bank": paint_bank,
    "rail": paint_rail,
    "fence": paint_fence,
}
