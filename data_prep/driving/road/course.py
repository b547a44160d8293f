"""The course of a road: a centre line with curves and hills, and where a car is along it.

Curvature changes linearly with distance between curves (clothoids, as roads are built), grade changes
linearly between slopes (parabolic crests and dips). Positions are metres in the world (x east, y north);
curvature and offsets are positive to the left.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

NODE_M = 1.0  # distance between the nodes of a course
_LARGEST_TURN_RAD = 1.4  # in one curve: a road that turns back on itself is not drawn


@dataclass(frozen=True)
class Course:
    """A centre line given by curvature [1/m], grade (rise over run) and bumps [rad] at nodes a metre apart.

    A bump is how far the car pitches there because of an uneven surface.
    """

    curvature: np.ndarray
    grade: np.ndarray
    bumps: np.ndarray

    @property
    def length_m(self) -> float:
        """Length of the centre line."""
        return (len(self.curvature) - 1) * NODE_M

    @cached_property
    def heading(self) -> np.ndarray:
        """Direction of the centre line at the nodes [rad], 0 at the start, left positive."""
        return np.append(0.0, np.cumsum((self.curvature[1:] + self.curvature[:-1]) / 2 * NODE_M))

    @cached_property
    def position(self) -> np.ndarray:
        """World position of the nodes (nodes, 2) [m]; exact where the curvature is constant."""
        turn = np.diff(self.heading)
        middle = self.heading[:-1] + turn / 2
        chord = NODE_M * np.sinc(turn / (2 * np.pi))  # np.sinc has the pi in it
        steps = np.stack([chord * np.cos(middle), chord * np.sin(middle)], axis=1)
        return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])

    @cached_property
    def elevation(self) -> np.ndarray:
        """Height of the nodes [m], 0 at the start."""
        return np.append(0.0, np.cumsum((self.grade[1:] + self.grade[:-1]) / 2 * NODE_M))

    def at(self, values: np.ndarray, distance_m: np.ndarray | float) -> np.ndarray:
        """Returns what one of the node arrays is at distances along the road, linear between nodes."""
        place = np.clip(np.asarray(distance_m, float) / NODE_M, 0, len(values) - 1)
        before = np.minimum(place.astype(int), len(values) - 2)
        part = place - before
        if values.ndim > 1:
            part = part[..., None]
        result: np.ndarray = values[before] * (1 - part) + values[before + 1] * part
        return result

    def point(self, distance_m: float, offset_m: float = 0.0) -> tuple[float, float, float]:
        """Returns x, y [m] and heading [rad] of a place on the road."""
        x, y = self.at(self.position, distance_m)
        heading = float(self.at(self.heading, distance_m))
        return float(x - offset_m * np.sin(heading)), float(y + offset_m * np.cos(heading)), heading

    def locate(self, x_m: float, y_m: float, near_m: float) -> tuple[float, float]:
        """Returns distance along the road and offset from its centre line [m] of a world position.

        Args:
            x_m: world position.
            y_m: world position.
            near_m: a distance along the road near the one sought.
        """
        distance = near_m
        offset = 0.0
        for _ in range(4):  # Newton's steps on the foot of the perpendicular
            x, y, heading = self.point(distance)
            along = (x_m - x) * np.cos(heading) + (y_m - y) * np.sin(heading)
            offset = (y_m - y) * np.cos(heading) - (x_m - x) * np.sin(heading)
            stretch = max(0.3, 1 - float(self.at(self.curvature, distance)) * offset)
            distance = min(max(distance + along / stretch, 0.0), self.length_m)
            if abs(along) < 1e-6:
                break
        return float(distance), float(offset)

    def mirrored(self) -> "Course":
        """Returns the course with left and right exchanged."""
        return Course(-self.curvature, self.grade, self.bumps)

    def cut(self, length_m: float) -> "Course":
        """Returns the first metres of the course."""
        nodes = int(np.ceil(length_m / NODE_M)) + 1
        return Course(self.curvature[:nodes], self.grade[:nodes], self.bumps[:nodes])


def draw_course(
    length_m: float, tightest_m: float, straightness: float, steepest: float, rng: np.random.Generator
) -> Course:
    """Returns a course of curves and straights, crests and dips, on an uneven surface.

    Args:
        length_m: length of the centre line.
        tightest_m: radius of the tightest curves.
        straightness: 0 for one curve after the other, 1 for long straights between them.
        steepest: largest grade, as rise over run.
        rng: what the course follows from.
    """
    nodes = int(np.ceil(length_m / NODE_M)) + 1
    curvature = _piecewise(nodes, _curves(nodes * NODE_M, tightest_m, straightness, rng))
    grade = _piecewise(nodes, _slopes(nodes * NODE_M, steepest, rng))
    rough = np.convolve(rng.normal(0, 1, nodes + 8), np.hanning(9) / np.linalg.norm(np.hanning(9)), "valid")
    return Course(curvature, grade, rough * rng.uniform(0.0008, 0.003))


def _piecewise(nodes: int, corners: list[tuple[float, float]]) -> np.ndarray:
    """Values at the nodes, linear between corners (distance, value)."""
    distances, values = zip(*corners, strict=True)
    return np.interp(np.arange(nodes) * NODE_M, distances, values)


def _curves(
    length_m: float, tightest_m: float, straightness: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    at = rng.exponential(20)
    corners = [(0.0, 0.0), (at, 0.0)]
    side = rng.choice([-1.0, 1.0])
    heading = 0.0
    while at < length_m:
        radius = tightest_m * np.exp(rng.uniform(0, 1.6))
        turn = min(rng.uniform(0.25, 1.25) * (80 / radius) ** 0.35, _LARGEST_TURN_RAD)
        # mostly the other way: a road leads somewhere
        if heading and (rng.random() < 0.75 or abs(heading + side * turn) > 1.3):
            side = -float(np.sign(heading))
        heading += side * turn
        arc = turn * radius
        # the clothoids take their share of the turn, half of what the arc takes over the same length
        clothoid = min(max(12.0, rng.uniform(0.35, 0.6) * arc), 0.9 * arc)
        corners += [
            (at + clothoid, side / radius),
            (at + arc, side / radius),
            (at + arc + clothoid, 0.0),
        ]
        at = corners[-1][0] + 2 + rng.exponential(8 + 90 * straightness)
        corners.append((at, 0.0))
    return corners


def _slopes(length_m: float, steepest: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    corners = [(0.0, rng.uniform(-0.5, 0.5) * steepest)]
    while corners[-1][0] < length_m:
        at, grade = corners[-1]
        following = np.clip(-0.4 * grade + rng.normal(0, 0.6) * steepest, -steepest, steepest)
        # at most 1 % of grade on 14 m: what lies behind a crest comes into view in time
        at += max(rng.uniform(30, 90), 1400 * abs(following - grade))
        corners += [(at, following), (at + rng.uniform(5, 60), following)]
    return corners
