"""One drawn road, complete: its course, look, textures and surroundings, all from one seed.

Roads of the three splits come from ranges of seeds that do not meet. So a model is never tested on a road it
was trained on.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from data_prep.driving.road.camera import Camera
from data_prep.driving.road.course import Course, draw_course
from data_prep.driving.road.driver import plan_speed
from data_prep.driving.road.land import LAND_TEXEL_M, paint_land, paint_sky
from data_prep.driving.road.look import Look, draw_look
from data_prep.driving.road.noise import shrink
from data_prep.driving.road.surface import ACROSS_M, ALONG_M, paint_surface
from data_prep.driving.road.verge import Verge, cast_shadows, draw_verge
from modules.errors import InputError

START_M = 12.0  # where drives begin
_VIEW_M = 280.0  # of road beyond the end of a drive
LONGEST_S = 150.0  # OpenCV looks up textures of at most 32,767 rows
ROADS_PER_SEED = 1000
_SPLIT_SEEDS = 1000
SPLITS = ("train", "val", "test")
# distances [m] whose pixels' footprints the levels of the textures have
LEVEL_DISTANCES_M = 4.0 * 2.0 ** np.arange(6)


def road_seed(split: str, number: int, seed: int = 0) -> int:
    """Returns the seed of a road: no two splits, numbers or seeds share one.

    Args:
        split: train, val or test.
        number: of the road within its split, below ROADS_PER_SEED.
        seed: of the whole set of roads, below 1,000.
    """
    if not 0 <= number < ROADS_PER_SEED or not 0 <= seed < _SPLIT_SEEDS:
        raise InputError(
            f"there is no road {number} of seed {seed}: roads go from 0 to {ROADS_PER_SEED - 1}, "
            f"seeds from 0 to {_SPLIT_SEEDS - 1}"
        )
    return (SPLITS.index(split) * _SPLIT_SEEDS + seed) * ROADS_PER_SEED + number


@dataclass(frozen=True)
class Road:
    """A road to drive on and to look at.

    Attributes:
        seed: what everything follows from, together with the length of the drive.
        course, look, verge: where it leads, how it is built and lit, what is beside it.
        speeds_mps: that a driver plans at the nodes of the course.
        lane_m: centre of the car's lane from the centre line, left positive.
        surface, land: textures at the levels of LEVEL_DISTANCES_M; sky: all around; all with four channels.
        surface_m: length of the surface's textures.
        side: 1, or -1 where left and right are exchanged.
    """

    seed: int
    course: Course
    look: Look
    verge: Verge
    speeds_mps: np.ndarray
    lane_m: float
    surface: tuple[np.ndarray, ...]
    land: tuple[np.ndarray, ...]
    sky: np.ndarray
    surface_m: float
    side: int = 1

    @cached_property
    def heights_m(self) -> np.ndarray:
        """Heights of the pictures of things."""
        return np.array([sprite.height_m for sprite in self.verge.sprites])

    @cached_property
    def aspects(self) -> np.ndarray:
        """Width over height of the pictures of things."""
        return np.array([s.picture.shape[1] / s.picture.shape[0] for s in self.verge.sprites])

    def mirrored(self) -> "Road":
        """Returns the road with left and right exchanged: traffic keeps to the other side."""
        return replace(
            self,
            course=self.course.mirrored(),
            verge=self.verge.mirrored(),
            lane_m=-self.lane_m,
            side=-self.side,
        )


def draw_road(seed: int, seconds: float, camera: Camera | None = None) -> Road:
    """Returns the road of a seed, long enough for a drive of a time.

    Args:
        seed: any whole number from 0; `road_seed` gives those of the splits.
        seconds: how long it is driven on, at most LONGEST_S; another time makes another road.
        camera: what it is looked at with.
    """
    if not 0 < seconds <= LONGEST_S:
        raise InputError(f"a road for {seconds:g} s cannot be drawn; choose from above 0 to {LONGEST_S:g} s")
    rng = np.random.default_rng([seed, 1])
    limit = rng.uniform(14, 25)
    tightest = float(np.exp(rng.uniform(np.log(32), np.log(90))))
    longest = START_M + limit * seconds + _VIEW_M
    course = draw_course(longest, tightest, rng.beta(1, 2), rng.uniform(0.005, 0.07), rng)
    speeds = plan_speed(course, limit, rng.uniform(1.6, 2.6))
    # curves slow the drive down: leave off what it cannot reach
    times = np.cumsum(1 / speeds[int(START_M) :])
    course = course.cut(START_M + float(np.searchsorted(times, 1.03 * seconds)) + _VIEW_M)
    look = draw_look(np.random.default_rng([seed, 2]))
    return furnish(seed, course, look, speeds[: len(course.curvature)], seconds, camera or Camera())


def furnish(
    seed: int, course: Course, look: Look, speeds_mps: np.ndarray, seconds: float, camera: Camera
) -> Road:
    """Returns a road of a given course and look, with its textures and what is beside it."""
    rng = np.random.default_rng([seed, 3])
    verge = draw_verge(course.length_m, seconds, look, rng)
    shadows = cast_shadows(verge, course, look, rng)
    surface = [paint_surface(course.length_m, look, shadows, rng)]
    land = [paint_land(look, rng)]
    for distance in LEVEL_DISTANCES_M[1:]:
        across, along = _footprint(distance, camera)
        finest = len(surface[0])
        rows = max(4, round(finest * ALONG_M / min(max(along, ALONG_M), 8.0)))
        columns = max(8, round(surface[0].shape[1] * ACROSS_M / max(across, ACROSS_M)))
        last = surface[-1]
        surface.append(shrink(last, len(last) / rows, last.shape[1] / columns))
        texel = 2.0 ** np.clip(np.round(np.log2(np.sqrt(across * along) / LAND_TEXEL_M)), 0, 5)
        times = texel * len(land[-1]) / len(land[0])
        land.append(shrink(land[-1], times, times))
    sky = paint_sky(look, camera.focal, rng)
    length_m = len(surface[0]) * ALONG_M
    return Road(
        seed, course, look, verge, speeds_mps, look.lane_m, tuple(surface), tuple(land), sky, length_m
    )


def _footprint(distance: float, camera: Camera) -> tuple[float, float]:
    """How much ground a pixel sees at a distance, across and along [m], with a margin that keeps it crisp."""
    return (
        0.7 * distance / camera.focal,
        0.6 * distance * distance / (camera.focal * camera.height_m),
    )
