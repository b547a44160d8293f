"""What the camera sees of a drawn road: frames (Hh, Ww, 3), uint8, RGB.

The ground is drawn by inverse perspective: every pixel below the horizon looks up what it sees in textures
that are fixed to the road and the land. So marks, grain and shadows flow as the car moves. What stands up is
drawn by `standing`.
"""

import cv2
import numpy as np

from data_prep.driving.road.camera import Camera, Pose, RoadAhead
from data_prep.driving.road.course import Course
from data_prep.driving.road.driver import Drive
from data_prep.driving.road.land import LAND_TEXEL_M, LAND_TEXELS, SKY_ABOVE, SKY_TEXELS
from data_prep.driving.road.lens import Lens
from data_prep.driving.road.scene import LEVEL_DISTANCES_M, Road
from data_prep.driving.road.standing import StandingThings
from data_prep.driving.road.surface import HALF_WIDTH_M
from data_prep.driving.road.vehicle import Car

_DIVE_RAD = 0.005  # pitch of the body per m/s² of braking
_POSE = ("x_m", "y_m", "heading_rad", "distance_m", "acceleration_mps2")


def camera_pose(
    course: Course,
    camera: Camera,
    *,
    x_m: float,
    y_m: float,
    heading_rad: float,
    distance_m: float,
    acceleration_mps2: float,
) -> Pose:
    """Returns where a car's camera is and how it is inclined: it pitches on bumps, and dives in braking."""
    distance = distance_m + camera.ahead_m
    pitch = float(course.at(course.bumps, distance)) + _DIVE_RAD * acceleration_mps2
    return Pose(
        x_m + camera.ahead_m * float(np.cos(heading_rad)),
        y_m + camera.ahead_m * float(np.sin(heading_rad)),
        heading_rad,
        distance,
        pitch,
    )


def car_pose(car: Car, camera: Camera) -> Pose:
    """Returns the pose of the camera of a car."""
    values = {name: getattr(car, name) for name in _POSE}
    return camera_pose(car.course, camera, **values)


def logged_pose(course: Course, log: Drive, row: int, camera: Camera) -> Pose:
    """Returns the pose of the camera at one row of a drive's log."""
    values = {name: float(getattr(log, name)[row]) for name in _POSE}
    return camera_pose(course, camera, **values)


class RoadView:
    """Draws one road from any pose; `draw` of equal arguments gives equal frames.

    Frames are composed in float32 with a fourth channel that means nothing: OpenCV is fastest with four.
    """

    def __init__(self, road: Road, camera: Camera | None = None) -> None:
        self.road = road
        self.camera = camera or Camera()
        size = (self.camera.height, self.camera.width)
        self._air = np.empty((*size, 4), np.float32)
        self._air[:] = (*road.look.light.horizon, 255)
        self._standing = StandingThings(road, self.camera)
        self._lens = Lens(road.look.light, self.camera, np.random.default_rng([road.seed, 4]))

    def draw(self, pose: Pose, time_s: float = 0.0) -> np.ndarray:
        """Returns the frame from a pose at a time; what moves is where it is then."""
        ahead = RoadAhead(self.road.course, self.camera, pose)
        frame = np.empty_like(self._air)
        self._draw_sky(frame, ahead)
        self._draw_ground(frame, ahead)
        self._standing.draw(frame, ahead, time_s)
        return self._lens.expose(frame, time_s)

    def _draw_sky(self, frame: np.ndarray, ahead: RoadAhead) -> None:
        camera = self.camera
        rows = np.arange(min(ahead.top + 1, camera.height)) - (ahead.level - SKY_ABOVE)
        rows = np.clip(rows, 0, len(self.road.sky) - 1).astype(np.float32)
        angles = np.arctan((camera.middle - np.arange(camera.width)) / camera.focal) + ahead.pose.heading_rad
        columns = (self.road.side * angles * (SKY_TEXELS / (2 * np.pi)) % SKY_TEXELS).astype(np.float32)
        frame[: len(rows)] = cv2.remap(
            self.road.sky,
            np.tile(columns, (len(rows), 1)),
            np.repeat(rows[:, None], camera.width, axis=1),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )

    def _draw_ground(self, frame: np.ndarray, ahead: RoadAhead) -> None:
        road, light = self.road, self.road.look.light
        left, along, offset = ahead.ground()
        offset *= road.side
        x, y = self._land_position(ahead, left)
        # a pixel sees more of the road up and down than across: two looks a quarter of a row apart
        along_step, offset_step = (np.gradient(values, axis=0) / 4 for values in (along, offset))
        ground = frame[ahead.top :]
        level = np.round(np.log2(np.maximum(ahead.distances / LEVEL_DISTANCES_M[0], 1)))
        level = np.minimum(level, len(LEVEL_DISTANCES_M) - 1).astype(int)
        for number in np.unique(level):
            inside = np.flatnonzero(level == number)
            band = slice(inside[0], inside[-1] + 1)
            surface, land = road.surface[number], road.land[number]
            per_m = np.float32(len(surface) / road.surface_m)
            per_m_across = np.float32(surface.shape[1] / (2 * HALF_WIDTH_M))
            rows = along[band] * per_m - np.float32(0.5)
            columns = (offset[band] + np.float32(HALF_WIDTH_M)) * per_m_across - np.float32(0.5)
            down, across = along_step[band] * per_m, offset_step[band] * per_m_across
            looks = [
                cv2.remap(surface, columns + a, rows + d, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
                for d, a in ((down, across), (-down, -across))
            ]
            seen = cv2.addWeighted(looks[0], 0.5, looks[1], 0.5, 0, dtype=cv2.CV_32F)
            texels = np.float32(len(land) / (LAND_TEXELS * LAND_TEXEL_M))
            beside = cv2.remap(
                land, x[band] * texels, y[band] * texels, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
            ).astype(np.float32)
            cover = seen[..., 3] * np.float32(1 / 255)
            if light.wet:
                # Fresnel: the flatter the view, the more the road mirrors the sky
                mirror = 0.62 * np.exp(-9 / ahead.distances[band])[:, None] * cover
                air = self._air[: len(seen)]
                seen = cv2.blendLinear(air, seen, mirror, 1 - mirror)
            ground[band] = cv2.blendLinear(seen, beside, cover, 1 - cover)
        clear = np.repeat(np.exp(-ahead.distances / light.visibility_m)[:, None], self.camera.width, axis=1)
        frame[ahead.top :] = cv2.blendLinear(ground, self._air[ahead.top :], clear, 1 - clear)

    def _land_position(self, ahead: RoadAhead, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World position of what the pixels see [m], less whole periods of the land's texture."""
        pose, period = ahead.pose, LAND_TEXELS * LAND_TEXEL_M
        forward = ahead.distances[:, None]
        cosine, sine = np.float32(np.cos(pose.heading_rad)), np.float32(np.sin(pose.heading_rad))
        x = np.float32(pose.x_m % period) + forward * cosine - left * sine
        y = np.float32(pose.y_m % period) + forward * sine + left * cosine
        return x, y * np.float32(self.road.side)
