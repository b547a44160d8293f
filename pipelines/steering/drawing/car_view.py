"""How an angle leads to a path on the picture: which car it is, and where its camera looks from.

Neither is in a recording. Both are guessed from what recorded it, and the horizon from the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import atan, degrees, radians, tan
from typing import Literal

import cv2
import numpy as np

from data_prep.driving.road.camera import Camera
from modules.errors import InputError, check_ranges

CarName = Literal["auto", "car", "rc", "simulator"]
CameraName = Literal["auto", "udacity", "comma", "donkey", "simulator", "road"]


@dataclass(frozen=True)
class Car:
    """A kind of car, in metres.

    Attributes:
        steering_ratio: Angle that is predicted over that of the front wheels.
        wheelbase_m: From axle to axle.
        half_width_m: From its middle to its side.
        reach_m: How far its path is drawn.
        has_wheel: Whether it has a steering wheel to show.
    """

    steering_ratio: float
    wheelbase_m: float
    half_width_m: float
    reach_m: float
    has_wheel: bool


@dataclass(frozen=True)
class Mounting:
    """Where a camera is: its height above the road, how far it looks down, and what it sees across."""

    height_m: float
    pitch_deg: float
    field_of_view_deg: float


CARS = {
    "car": Car(15.0, 2.8, 0.9, 30.0, True),
    # full lock, 1, is 25 degrees of the front wheels of a 1:10 model
    "rc": Car(1 / radians(25), 0.26, 0.1, 3.0, False),
    "simulator": Car(1.0, 2.6, 0.9, 30.0, False),  # its angles are those of the front wheels
}
CAMERAS = {
    "udacity": Mounting(1.3, 2.5, 60.0),
    "comma": Mounting(1.22, 0.0, 65.0),
    "donkey": Mounting(0.14, 25.0, 110.0),
    "simulator": Mounting(1.5, 6.6, 90.0),
    "road": Mounting(1.35, 5.1, degrees(2 * atan(80 / 118))),
}
# what recorded a drive -> its car and camera
_RECORDERS = {
    "udacity": ("car", "udacity"),
    "challenge": ("car", "udacity"),
    "comma": ("car", "comma"),
    "donkeycar": ("rc", "donkey"),
    "simulator": ("simulator", "simulator"),
    "road": ("car", "road"),
}
_WIDTH = 320  # of pictures in which lines are looked for
_HIGHEST, _LOWEST = 0.1, 0.7  # where a horizon may be, as a share of the rows
_FLATTEST_DEG, _STEEPEST_DEG = 15.0, 75.0  # of lines that lead along a road
_FEWEST = 5  # pictures that tell a horizon


@dataclass
class CarView:
    """Car and camera, for the path that is drawn; it is approximate.

    Args:
        kind: car, rc (DonkeyCar) or simulator; auto goes by what recorded the drive or trained the model.
        camera: Where it looks from: udacity, comma, donkey, simulator or road (drawn ones). auto goes by what
            recorded the drive, and guesses the horizon from the pictures.
        steering_ratio: Predicted angle over that of the front wheels, instead of the kind's.
        wheelbase_m: From axle to axle, instead of the kind's.
        camera_height_m: Above the road, instead of the camera's.
        horizon: Row of the horizon, as a share of the frame's height from the top, instead of the camera's.
        field_of_view_deg: From left to right, instead of the camera's.
    """

    kind: CarName = "auto"
    camera: CameraName = "auto"
    steering_ratio: float | None = None
    wheelbase_m: float | None = None
    camera_height_m: float | None = None
    horizon: float | None = None
    field_of_view_deg: float | None = None

    def __post_init__(self) -> None:
        sizes = ("steering_ratio", "wheelbase_m", "camera_height_m", "field_of_view_deg")
        check_ranges(self, "car", positive=sizes, below_one=("horizon",))
        if self.field_of_view_deg is not None and self.field_of_view_deg >= 180:
            raise InputError(f"car.field_of_view_deg is {self.field_of_view_deg}; it has to be below 180")

    def settle(self, recorder: str | None, frames: Sequence[np.ndarray]) -> View:
        """Returns the view with all its values.

        Args:
            recorder: Format of the recording, or of those that the model has learnt from.
            frames: Some RGB pictures of the drive (Hh, Ww, 3); at least one.
        """
        kind, camera = _RECORDERS.get(recorder or "", ("car", "udacity"))
        kind = kind if self.kind == "auto" else self.kind
        car, mounting = CARS[kind], CAMERAS[camera if self.camera == "auto" else self.camera]
        view_deg = self.field_of_view_deg or mounting.field_of_view_deg
        rows, columns = frames[0].shape[:2]
        horizon = self.horizon
        if horizon is None and self.camera == "auto":
            horizon = guess_horizon(frames)
        if horizon is None:
            focal = columns / 2 / tan(radians(view_deg / 2))
            horizon = max(0.0, 0.5 - tan(radians(mounting.pitch_deg)) * focal / rows)
        return View(
            kind,
            self.steering_ratio or car.steering_ratio,
            self.wheelbase_m or car.wheelbase_m,
            self.camera_height_m or mounting.height_m,
            horizon,
            view_deg,
        )


@dataclass(frozen=True)
class View:
    """A car and its camera.

    Attributes:
        kind: A name of CARS.
        steering_ratio: Predicted angle over that of the front wheels.
        wheelbase_m: From axle to axle.
        camera_height_m: Above the road.
        horizon: Row of the horizon, as a share of the frame's height from the top.
        field_of_view_deg: Of the camera, from left to right.
    """

    kind: str
    steering_ratio: float
    wheelbase_m: float
    camera_height_m: float
    horizon: float
    field_of_view_deg: float

    @property
    def car(self) -> Car:
        """The kind's other measures."""
        return CARS[self.kind]

    def wheels_rad(self, angle: float) -> float:
        """Returns the angle of the front wheels; none turns further than 60 degrees."""
        return float(np.clip(angle / self.steering_ratio, -np.pi / 3, np.pi / 3))

    def curvature(self, angle: float) -> float:
        """Returns tan(angle / ratio) / wheelbase [1/m]."""
        return float(np.tan(self.wheels_rad(angle)) / self.wheelbase_m)

    def camera_of(self, width: int, height: int) -> Camera:
        """Returns the camera that takes frames of this size."""
        focal = width / 2 / float(np.tan(np.radians(self.field_of_view_deg / 2)))
        return Camera(width, height, focal, self.horizon * height, self.camera_height_m, 0.0)

    def described(self) -> str:
        """Returns the values in words."""
        values = [
            f"{field.name} {getattr(self, field.name):.3g}" for field in fields(self) if field.name != "kind"
        ]
        return f"{self.kind}, {', '.join(values)}"


def guess_horizon(frames: Sequence[np.ndarray]) -> float | None:
    """Returns the row of the horizon as a share of the frame's height; None where too few pictures tell it.

    The edges of a level, straight road meet on the horizon: of each picture the mean row where lines that
    lean to the right meet lines that lean to the left, of all pictures the median.
    """
    found = [row for row in map(_vanishing_row, frames) if row is not None]
    return float(np.median(found)) if len(found) >= _FEWEST else None


def for_the_horizon(frame: np.ndarray) -> np.ndarray:
    """Returns a camera frame (Hh, Ww, 3) in the size in which its horizon is looked for."""
    scale = _WIDTH / frame.shape[1]
    size = _WIDTH, max(1, round(frame.shape[0] * scale))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _vanishing_row(frame: np.ndarray) -> float | None:
    grey = cv2.cvtColor(for_the_horizon(frame), cv2.COLOR_RGB2GRAY)
    size = grey.shape[::-1]
    edges = cv2.Canny(cv2.GaussianBlur(grey, (0, 0), 1.2), 50, 120)
    edges[: size[1] // 5] = 0
    edges[int(0.95 * size[1]) :] = 0
    lines = cv2.HoughLinesP(edges, 1, np.pi / 180, 30, minLineLength=30, maxLineGap=6)
    if lines is None:
        return None
    ends = lines.reshape(-1, 4).astype(np.float64)
    across, down = ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]
    slopes = down / np.where(across == 0, 1e-9, across)
    steep = np.degrees(np.arctan(np.abs(slopes)))
    along = (steep > _FLATTEST_DEG) & (steep < _STEEPEST_DEG)
    offsets, middles = ends[:, 1] - slopes * ends[:, 0], (ends[:, 1] + ends[:, 3]) / 2
    lengths = np.hypot(across, down)
    # one of each two leans to either side; (right, left)
    one, other = along & (slopes < 0), along & (slopes > 0)
    x = (offsets[None, other] - offsets[one, None]) / (slopes[one, None] - slopes[None, other])
    y = slopes[one, None] * x + offsets[one, None]
    meets = (y < middles[one, None]) & (y < middles[None, other])
    meets &= (np.abs(x / size[0] - 0.5) < 0.4) & (y > _HIGHEST * size[1]) & (y < _LOWEST * size[1])
    if not meets.any():
        return None
    weights = lengths[one, None] * lengths[None, other]
    return float(np.average(y[meets], weights=weights[meets]) / size[1])
