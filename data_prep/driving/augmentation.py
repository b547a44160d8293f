"""Varied views of a clip with the steering angle that belongs to them: one draw for all its frames.

Mirroring negates angle and torque. A camera that stands beside the car's path, or looks past it, sees what
the driver would steer back from: its angle is the driven one and the heading that leads back within
`recovery_s`. For a displacement d to the left at speed v that heading is

    -arctan(d / (v t))

and for a camera turned to the left by psi it is -psi (Bojarski et al. 2016, section 3.2, for the idea; a
radian of heading counts as a radian of the steering wheel). Torque is left as it was driven.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from modules.errors import InputError, check_ranges
from modules.steering.preprocessing import FramePreprocessing

# one clip at a time gains nothing from OpenCV's threads, and forked workers may hang on them
cv2.setNumThreads(0)

# slower than this a car is turned on the spot, and the heading that leads back grows without bound
_LEAST_SPEED_MPS = 3.0
_DARKEST, _LIGHTEST = 0.4, 0.8  # what a shadow leaves of the light
_SIDES = {"left": 1.0, "right": -1.0}  # to the left is positive


@dataclass
class AugmentationOptions:
    """How training clips are varied.

    Args:
        flip: Mirror every second clip.
        flip_features: The same for a frozen encoder, whose features are computed once and not varied else: it
            reads every frame twice, as it is and mirrored.
        brightness: Largest relative change of brightness; 0 for none.
        shadow: Share of clips with a shadow over part of the picture.
        time_stretch: Time runs up to 1 + this times as fast or as slow, from 0 to below 1. The angle stays: a
            faster car turns its wheel as far in a curve. A frozen encoder's features are taken between
            frames, of frames the nearest one.
        shift_m: Largest displacement of the camera to either side; 0 for none.
        rotation_deg: Largest turn of the camera to either side; 0 for none.
        baseline_m: Distance of the side cameras from the centre camera.
        recovery_s: Time in which the corrected angle leads back.
        default_speed_mps: Speed where the data have none.
        camera_height_m: Height of the camera above the road, for shift_m.
        horizon: Row of the horizon as a share of the camera's frame, from the top, for shift_m.
        field_of_view_deg: What the camera sees from left to right, for rotation_deg.
    """

    flip: bool = False
    flip_features: bool = False
    brightness: float = 0.0
    shadow: float = 0.0
    time_stretch: float = 0.0
    shift_m: float = 0.0
    rotation_deg: float = 0.0
    baseline_m: float = 0.508
    recovery_s: float = 2.0
    default_speed_mps: float = 10.0
    camera_height_m: float = 1.3
    horizon: float = 0.45
    field_of_view_deg: float = 60.0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "data.augmentation",
            positive=("recovery_s", "default_speed_mps", "camera_height_m", "field_of_view_deg"),
            not_negative=("shift_m", "rotation_deg", "baseline_m"),
            below_one=("brightness", "horizon", "time_stretch"),
        )
        if not 0 <= self.shadow <= 1:
            raise InputError(f"data.augmentation.shadow is {self.shadow}; it has to be from 0 to 1")
        if self.field_of_view_deg >= 180 or self.rotation_deg >= 45:
            raise InputError(
                "data.augmentation: field_of_view_deg has to be below 180, rotation_deg below 45"
            )

    @property
    def changes_pixels(self) -> bool:
        """Whether any picture is varied at all."""
        return self.flip or any((self.brightness, self.shadow, self.shift_m, self.rotation_deg))


def recovery_angle(
    displacement_m: float | np.ndarray, speed_mps: np.ndarray, options: AugmentationOptions
) -> np.ndarray:
    """Returns what is added to the angle of a camera displaced to the left: -arctan(d / (v t)), in radians.

    Args:
        displacement_m: to the left positive.
        speed_mps: speed of the car, NaN where unknown.
        options: recovery time t and the speed where it is unknown.
    """
    speed = np.where(np.isnan(speed_mps), options.default_speed_mps, speed_mps)
    return -np.arctan(displacement_m / (np.maximum(speed, _LEAST_SPEED_MPS) * options.recovery_s))


def side_camera_targets(
    targets: np.ndarray, camera: str, options: AugmentationOptions, scored: str = "center"
) -> np.ndarray:
    """Returns targets (T, 4) as seen from a camera: those beside the scored one are led back to it.

    Args:
        targets: as they were driven, which the scored camera's are.
        camera: left, right or another in the middle.
        options: where side cameras stand.
        scored: as camera.
    """
    aside = _SIDES.get(camera, 0.0) - _SIDES.get(scored, 0.0)
    if not aside:
        return targets
    corrected = targets.copy()
    corrected[:, 0] += recovery_angle(aside * options.baseline_m, targets[:, 2], options)
    return corrected


class ClipAugmentation:
    """Varies clips of one geometry.

    Args:
        options: What to vary, and how far.
        preprocessing: Crop and size of the frames.
        camera_shape: Rows and columns of the camera's frames before that.
    """

    def __init__(
        self,
        options: AugmentationOptions,
        preprocessing: FramePreprocessing,
        camera_shape: tuple[int, int],
    ) -> None:
        self.options = options
        p = preprocessing
        kept = 1 - p.crop_top - p.crop_bottom
        # pixels across per pixel down: resizing may have squeezed the picture
        squeeze = (p.width / camera_shape[1]) / (p.height / (kept * camera_shape[0]))
        self.horizon_row = (options.horizon - p.crop_top) / kept * p.height
        # a point of the road y rows below the horizon moves by y d / h when the camera moves by d at height h
        self.pixels_per_row = squeeze / options.camera_height_m
        self.focal_pixels = p.width / 2 / math.tan(math.radians(options.field_of_view_deg) / 2)

    def __call__(self, frames: np.ndarray, targets: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns a varied clip (S, 3, H, W) uint8 and its targets (T, 4); the same for the same seed.

        Args:
            frames: RGB bytes (S, 3, H, W).
            targets: angle_rad, torque, speed_mps, throttle (T, 4).
            seed: Of the draw.
        """
        o = self.options
        # nine draws for every clip, whatever the options: switching one off leaves the others as they were
        mirror, light, shade, dark, side, top, bottom, shift, turn = np.random.default_rng(seed).random(9)
        targets = targets.copy()
        displacement = o.shift_m * (2 * shift - 1)
        rotation = math.radians(o.rotation_deg) * (2 * turn - 1)
        if displacement or rotation:
            frames = self._seen_from(frames, displacement, rotation)
            targets[:, 0] += recovery_angle(displacement, targets[:, 2], o) - rotation
        if o.brightness:
            frames = _scaled(frames, 1 + o.brightness * (2 * light - 1))
        if shade < o.shadow:
            mask = _shadow(frames.shape[2:], top, bottom, side < 0.5)
            frames = np.where(mask, _scaled(frames, _DARKEST + (_LIGHTEST - _DARKEST) * dark), frames)
        if o.flip and mirror < 0.5:
            frames = frames[..., ::-1]
            targets[:, :2] *= -1
        return np.ascontiguousarray(frames), targets

    def _seen_from(self, frames: np.ndarray, displacement: float, rotation: float) -> np.ndarray:
        """Returns frames of a camera moved and turned to the left: what it sees moves to the right.

        All of the picture by f tan(psi), and the road, a plane, by its distance below the horizon.
        """
        turned = self.focal_pixels * math.tan(rotation)
        per_row = self.pixels_per_row * displacement
        height, width = frames.shape[2:]
        first = int(np.clip(math.ceil(self.horizon_row), 0, height))  # first row of the road
        varied = np.empty_like(frames)
        for frame, result in zip(frames, varied, strict=True):
            pixels = np.ascontiguousarray(frame.transpose(1, 2, 0))
            for rows, shear in ((slice(0, first), 0.0), (slice(first, height), per_row)):
                if rows.start == rows.stop:
                    continue
                at_first_row = turned + shear * (rows.start - self.horizon_row)
                matrix = np.array([[1, shear, at_first_row], [0, 1, 0]], np.float64)
                size = width, rows.stop - rows.start
                part = cv2.warpAffine(pixels[rows], matrix, size, borderMode=cv2.BORDER_REPLICATE)
                result[:, rows] = part.transpose(2, 0, 1)
        return varied


def _scaled(frames: np.ndarray, factor: float) -> np.ndarray:
    table = np.clip(np.rint(np.arange(256) * factor), 0, 255).astype(np.uint8)
    return table[frames]


def _shadow(shape: tuple[int, ...], top: float, bottom: float, left: bool) -> np.ndarray:
    """Returns the mask (H, W) of one side of a line from the upper to the lower edge."""
    height, width = shape
    edge = width * (top + (bottom - top) * np.arange(height) / max(1, height - 1))
    columns = np.arange(width) < edge[:, None]
    return columns if left else ~columns
