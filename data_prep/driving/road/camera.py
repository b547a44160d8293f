"""The pinhole camera on the car, and which piece of road each of its pixels sees.

The camera looks along the car's ground plane, its sensor shifted down, so that a row of pixels sees the
ground at one distance ahead: u = u0 - f Y / X; v = v0 + f (H - Z) / X for a point X ahead, Y to the left and
Z above the ground. Hills bend the ground along X alone.
"""

from dataclasses import dataclass

import numpy as np

from data_prep.driving.road.course import Course

_FARTHEST_M = 260.0
# distances along the road at which its course is looked up; denser near the car
_REACHES = np.concatenate([np.arange(-6, 30, 0.75), np.geomspace(30, 300, 90)])


@dataclass(frozen=True)
class Camera:
    """Size in pixels, focal length, the row of the horizon on a level road, and where it is mounted."""

    width: int = 160
    height: int = 80
    focal: float = 118.0
    horizon: float = 29.5
    height_m: float = 1.35
    ahead_m: float = 1.6  # of the rear axle

    @property
    def middle(self) -> float:
        """The column straight ahead: between the two in the middle."""
        return (self.width - 1) / 2

    def project(
        self, ahead: np.ndarray, left: np.ndarray, up: np.ndarray, horizon: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns columns and rows of points in front of the camera, in metres from the ground below it."""
        return self.middle - self.focal * left / ahead, horizon + self.focal * (self.height_m - up) / ahead


@dataclass(frozen=True)
class Pose:
    """Where the camera is: world position, heading, distance along the road, pitch from the ground plane."""

    x_m: float
    y_m: float
    heading_rad: float
    distance_m: float
    pitch_rad: float = 0.0  # nose up is positive


class RoadAhead:
    """The road in the camera's frame: forward `ahead`, `left`, `up`, direction and curvature at distances."""

    def __init__(self, course: Course, camera: Camera, pose: Pose) -> None:
        self.camera = camera
        self.pose = pose
        self.horizon = camera.horizon + camera.focal * pose.pitch_rad
        self.along = pose.distance_m + _REACHES
        # nodes before and past the end of the course would coincide: leave them out
        self.along = self.along[(self.along > 0) & (self.along < course.length_m)]
        place = self.along
        before = place.astype(int)  # nodes are a metre apart
        part = place - before

        def at(values: np.ndarray) -> np.ndarray:
            result: np.ndarray = values[before] + (values[before + 1] - values[before]) * part
            return result

        x, y = at(course.position[:, 0]) - pose.x_m, at(course.position[:, 1]) - pose.y_m
        cosine, sine = np.cos(pose.heading_rad), np.sin(pose.heading_rad)
        ahead, left = x * cosine + y * sine, y * cosine - x * sine
        turned = at(course.heading) - pose.heading_rad
        # as far as the road leads away from the camera; beyond, its last curve goes on as a circle
        runs_on = (np.diff(ahead, prepend=ahead[0] - 1) > 0.05) & (np.abs(turned) < 1.35)
        count = int(np.argmin(runs_on)) if not runs_on.all() else len(runs_on)
        self.along, self.ahead, self.left = self.along[:count], ahead[:count], left[:count]
        self.turned, self.curvature = turned[:count], at(course.curvature)[:count]
        grade_here = float(course.at(course.grade, pose.distance_m))
        elevation = at(course.elevation)[:count] - float(course.at(course.elevation, pose.distance_m))
        self.up = elevation - grade_here * self.ahead
        # where the sky begins to be level: the camera is inclined as the road is
        self.level = self.horizon + camera.focal * grade_here
        self._see_ground()

    def _see_ground(self) -> None:
        """Rows that see ground and how far ahead; a crest hides what lies lower behind it."""
        camera = self.camera
        far = np.geomspace(1.5, _FARTHEST_M, 160)
        up = np.interp(far, self.ahead, self.up)
        rows = self.horizon + camera.focal * (camera.height_m - up) / far
        self.skyline_at, self.skyline = far, np.minimum.accumulate(rows)
        self.top = max(0, int(np.ceil(self.skyline[-1])))
        self.rows = np.arange(self.top, camera.height)
        # 1 / distance is linear in the row where the ground is
        inverse = np.interp(self.rows, self.skyline[::-1], (1 / far)[::-1])
        self.distances = (1 / inverse).astype(np.float32)

    def ground(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns where the ground is that pixels see: to the left, along the road, off its centre line.

        All in metres, each (rows, columns), for the rows of pixels that see ground.

        A pixel's foot on the centre line is that of a circle. It has the road's direction and curvature where
        the road is as far ahead as the pixel's row sees: exact on straights and circles.
        """
        camera = self.camera

        def at(values: np.ndarray) -> np.ndarray:
            return np.interp(self.distances, self.ahead, values)[:, None].astype(np.float32)

        columns = np.arange(camera.width, dtype=np.float32)
        left = self.distances[:, None] * ((camera.middle - columns) / np.float32(camera.focal))
        turned, bend = at(self.turned), at(self.curvature)
        aside = left - at(self.left)
        beyond = self.distances[:, None] - at(self.ahead)  # 0 but where the road has turned away
        cosine, sine = np.cos(turned), np.sin(turned)
        tangent, normal = aside * sine + beyond * cosine, aside * cosine - beyond * sine
        # on a circle of curvature k: radius to the pixel |q| / k with q = (k tangent, 1 - k normal)
        inward = 1 - bend * normal
        radius = np.sqrt((bend * tangent) ** 2 + inward**2)
        offset = (2 * normal - bend * (tangent**2 + normal**2)) / (1 + radius)
        # arctan(x) / x by its series: a pixel on the road has |x| below 0.3
        squared = np.minimum((bend * tangent / np.maximum(inward, np.float32(0.2))) ** 2, np.float32(0.5))
        series = 1 - squared * (1 / 3 - squared * (1 / 5 - squared / 7))
        along = tangent / np.maximum(inward, np.float32(0.2)) * series
        return left, at(self.along) + along, offset

    def place(
        self, distance_m: np.ndarray, offset_m: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns how far ahead, left and up [m] places beside the road are."""
        ahead, left, turned = (
            np.interp(distance_m, self.along, values) for values in (self.ahead, self.left, self.turned)
        )
        ahead = ahead - offset_m * np.sin(turned)
        # the ground rises and falls along the camera's axis alone
        return ahead, left + offset_m * np.cos(turned), np.interp(ahead, self.ahead, self.up)
