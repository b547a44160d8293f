"""What stands where beside a road: woods, banks and fences, single trees, posts, signs, houses, and traffic.

Wood and banks stand back from the road, rails and fences close to it; what is close hides what stands back.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from data_prep.driving.road.course import Course
from data_prep.driving.road.look import LANDSCAPES, Look
from data_prep.driving.road.sprites import SPRITES, Sprite
from data_prep.driving.road.surface import HALF_WIDTH_M, Shadow
from data_prep.driving.road.walls import PAINTS, Wall, WallPaint

# landscape -> mean number of each on 100 m of road, both sides together
_DENSITIES: dict[str, dict[str, float]] = {
    "meadow": {"tree": 3.5, "conifer": 0.4, "bush": 5, "pole": 2, "sign": 0.5, "house": 0.2},
    "forest": {"tree": 3, "conifer": 4, "bush": 7, "pole": 0.5, "sign": 0.4, "house": 0.0},
    "hills": {"tree": 1.2, "conifer": 0.4, "bush": 9, "pole": 1, "sign": 0.4, "house": 0.05},
    "village": {"tree": 4, "conifer": 0.5, "bush": 5, "pole": 3, "sign": 1.4, "house": 3.2},
    "snow": {"tree": 2, "conifer": 4, "bush": 3, "pole": 1, "sign": 0.4, "house": 0.3},
}
# landscape -> how probable each wall is on a stretch of one side; close ones and those standing back
_BACK: dict[str, dict[str, float]] = {
    "meadow": {"wood": 0.25, "bank": 0.1},
    "forest": {"wood": 0.85, "bank": 0.1},
    "hills": {"wood": 0.1, "bank": 0.55},
    "village": {"wood": 0.2, "bank": 0.05},
    "snow": {"wood": 0.4, "bank": 0.25},
}
_CLOSE: dict[str, dict[str, float]] = {
    "meadow": {"hedge": 0.12, "rail": 0.1, "fence": 0.15},
    "forest": {"hedge": 0.05, "rail": 0.2, "fence": 0.05},
    "hills": {"hedge": 0.02, "rail": 0.3, "fence": 0.08},
    "village": {"hedge": 0.3, "rail": 0.05, "fence": 0.3},
    "snow": {"hedge": 0.02, "rail": 0.25, "fence": 0.1},
}
# how many pictures there are of each kind in each landscape
_STOCK = {"tree": 14, "conifer": 8, "bush": 10, "pole": 3, "post": 1, "sign": 8, "house": 9, "car": 10}
_WALL_STOCK = {"wood": 3, "hedge": 4, "bank": 4, "rail": 2, "fence": 4}
# how many of them a road picks
_VARIANTS = {"tree": 6, "conifer": 4, "bush": 5, "pole": 1, "post": 1, "sign": 3, "house": 4, "car": 5}


@dataclass(frozen=True)
class Verge:
    """Things and walls along a road; the arrays hold one entry a thing.

    Attributes:
        sprites: pictures of the things.
        which: index of each thing's picture.
        distance_m, offset_m: where each stands at time 0, offset left positive.
        speed_mps: how fast it moves along the road; negative towards the car.
        back, close: walls that things stand before, and behind.
    """

    sprites: tuple[Sprite, ...]
    which: np.ndarray
    distance_m: np.ndarray
    offset_m: np.ndarray
    speed_mps: np.ndarray
    back: tuple[Wall, ...]
    close: tuple[Wall, ...]

    def mirrored(self) -> "Verge":
        """Returns the verge with left and right exchanged; the pictures are flipped as they are drawn."""

        def other_side(walls: tuple[Wall, ...]) -> tuple[Wall, ...]:
            return tuple(Wall(w.paint, -w.offset_m, w.from_m, w.to_m) for w in walls)

        return Verge(
            self.sprites,
            self.which,
            self.distance_m,
            -self.offset_m,
            self.speed_mps,
            other_side(self.back),
            other_side(self.close),
        )


def draw_verge(length_m: float, seconds: float, look: Look, rng: np.random.Generator) -> Verge:
    """Returns what is beside a road of a length, and the traffic on it during a time."""
    sprites: list[Sprite] = []
    rows: list[tuple[int, float, float, float]] = []
    density = _DENSITIES[look.landscape]
    free = look.half_width_m + max(look.shoulder_m, 0.6)

    def variants(kind: str) -> np.ndarray:
        first = len(sprites)
        sprites.extend(_pick_sprites(kind, look.landscape, _VARIANTS[kind], rng))
        return np.arange(first, len(sprites))

    for kind in ("tree", "conifer", "bush", "sign", "house"):
        count = rng.poisson(density[kind] * rng.uniform(0.5, 1.6) * length_m / 100)
        if not count:
            continue
        pictures = variants(kind)
        nearest = {"tree": 2.5, "conifer": 2.5, "bush": 0.8, "sign": 0.4, "house": 7.0}[kind]
        spread = {"tree": 9, "conifer": 9, "bush": 4, "sign": 0.3, "house": 7}[kind]
        for distance in rng.uniform(0, length_m, count):
            side = rng.choice([-1.0, 1.0])
            offset = side * (free + nearest + rng.exponential(spread))
            rows.append((int(rng.choice(pictures)), distance, offset, 0.0))
    if rng.random() < 0.12 * density["pole"] + 0.2:
        picture, side, apart = variants("pole")[0], rng.choice([-1.0, 1.0]), rng.uniform(28, 50)
        for distance in np.arange(rng.uniform(0, apart), length_m, apart):
            rows.append((int(picture), distance, side * (free + 1.6), 0.0))
    if rng.random() < 0.45:
        picture, apart = variants("post")[0], rng.choice([12.0, 25.0, 50.0])
        for distance in np.arange(0, length_m, apart):
            rows += [(int(picture), distance, side * (free + 0.3), 0.0) for side in (-1.0, 1.0)]
    if look.lanes == 2 and rng.random() < 0.7:
        pictures = variants("car")
        at = rng.exponential(150.0)
        speed = rng.uniform(11, 20)
        while at < length_m + speed * seconds:
            rows.append((int(rng.choice(pictures)), at, -look.lane_m, -speed))
            at += 25 + rng.exponential(rng.uniform(60, 400))
    columns = np.array(rows, float).reshape(-1, 4).T
    back = _draw_walls(_BACK[look.landscape], length_m, free + 5, 9.0, look, rng)
    close = _draw_walls(_CLOSE[look.landscape], length_m, free + 0.25, 0.5, look, rng)
    return Verge(tuple(sprites), columns[0].astype(int), columns[1], columns[2], columns[3], back, close)


def _draw_walls(
    shares: dict[str, float], length_m: float, nearest_m: float, spread_m: float, look: Look,
    rng: np.random.Generator,
) -> tuple[Wall, ...]:  # fmt: skip
    """Stretches of wall on both sides; each kind keeps to its own line, so that none crosses another."""
    paints: dict[str, WallPaint] = {}
    walls = []
    for side in (-1.0, 1.0):
        offset = side * (nearest_m + rng.exponential(spread_m))
        at = 0.0
        while at < length_m:
            ends = at + 50 + rng.exponential(200)
            kind = str(rng.choice([*shares, ""], p=[*shares.values(), 1 - sum(shares.values())]))
            if kind:
                if kind not in paints:
                    paints[kind] = _pick_wall(kind, look.landscape, rng).lit(look.light.gain)
                walls.append(Wall(paints[kind], offset, at, ends))
            at = ends + (rng.exponential(20) if rng.random() < 0.5 else 0)
    return tuple(walls)


def _pick_sprites(kind: str, landscape: str, count: int, rng: np.random.Generator) -> list[Sprite]:
    """Different pictures of a kind, as there are in a landscape."""
    numbers = rng.choice(_STOCK[kind], min(count, _STOCK[kind]), replace=False)
    return [_sprite(kind, landscape, int(number)) for number in numbers]


def _pick_wall(kind: str, landscape: str, rng: np.random.Generator) -> WallPaint:
    """A wall of a kind, as there are in a landscape."""
    return _wall(kind, landscape, int(rng.integers(_WALL_STOCK[kind])))


# drawn once a process, the same for all roads: pictures take longer to draw than all else of a road
@cache
def _sprite(kind: str, landscape: str, number: int) -> Sprite:
    place = [list(SPRITES).index(kind), list(LANDSCAPES).index(landscape), number]
    return SPRITES[kind](landscape, np.random.default_rng([6, *place]))


@cache
def _wall(kind: str, landscape: str, number: int) -> WallPaint:
    place = [list(PAINTS).index(kind), list(LANDSCAPES).index(landscape), number]
    return PAINTS[kind](landscape, np.random.default_rng([7, *place]))


def cast_shadows(verge: Verge, course: Course, look: Look, rng: np.random.Generator) -> list[Shadow]:
    """Returns the shadows on the road of trees, poles and woods beside it; none without sun."""
    if not look.light.shadow:
        return []
    reach = 1 / np.tan(look.light.sun_elevation_rad)
    throwers = [
        (distance, offset, verge.sprites[which].height_m, verge.sprites[which].picture.shape)
        for which, distance, offset, speed in zip(
            verge.which, verge.distance_m, verge.offset_m, verge.speed_mps, strict=True
        )
        if not speed and verge.sprites[which].height_m > 3
    ]
    shadows = []
    for distance, offset, height, shape in throwers:
        shadows += _crown(
            distance, offset, height, height * shape[1] / shape[0] / 2, reach, course, look, rng
        )
    for wall in verge.back:
        for distance in np.arange(wall.from_m, wall.to_m, 5.0):
            height = wall.paint.height_m * rng.uniform(0.4, 0.95)
            if rng.random() < 0.75:
                shadows += _crown(distance, wall.offset_m, height, 0.25 * height, reach, course, look, rng)
    return [s for s in shadows if abs(s.offset_m) - s.across_m < HALF_WIDTH_M]


def _crown(
    distance: float, offset: float, height: float, radius: float, reach: float, course: Course, look: Look,
    rng: np.random.Generator,
) -> list[Shadow]:  # fmt: skip
    """The shadow of a crown in pieces, light between them, from half the height up to the top."""
    towards = look.light.sun_azimuth_rad - float(course.at(course.heading, distance))
    along, across = -np.cos(towards), -np.sin(towards)
    shadows = []
    for _ in range(7):
        far = height * reach * rng.uniform(0.45, 1)
        spread = rng.normal(0, 0.4, 2) * radius
        shadows.append(
            Shadow(
                distance + far * along + spread[0],
                offset + far * across + spread[1],
                radius * rng.uniform(0.2, 0.5) * (1 + 0.5 * abs(along) * reach),
                radius * rng.uniform(0.2, 0.5) * (1 + 0.5 * abs(across) * reach),
            )
        )
    return shadows
