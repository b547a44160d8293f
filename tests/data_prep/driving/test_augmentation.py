"""Varied clips keep to the truth: the angle is the one that belongs to what is seen, and all frames agree."""

import math

import numpy as np
import pytest

from data_prep.driving.augmentation import (
    AugmentationOptions,
    ClipAugmentation,
    recovery_angle,
    side_camera_targets,
)
from modules.errors import InputError
from modules.steering.preprocessing import FramePreprocessing

CAMERA = (120, 200)
FRAMES = FramePreprocessing(height=60, width=120, crop_top=0.25, crop_bottom=0.25)
EVERYTHING = {"flip": True, "brightness": 0.3, "shadow": 0.7, "shift_m": 0.8, "rotation_deg": 4.0}


def clip(frames: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One picture, frames times, and targets that change with time."""
    picture = np.random.default_rng(seed).integers(0, 256, (3, 60, 120), dtype=np.uint8)
    targets = np.stack([np.linspace(-0.2, 0.3, frames), np.linspace(1, 2, frames), np.full(frames, 15.0)], 1)
    return np.repeat(picture[None], frames, axis=0), targets


def varied(
    frames: np.ndarray, targets: np.ndarray, seed: int, **options: object
) -> tuple[np.ndarray, np.ndarray]:
    return ClipAugmentation(AugmentationOptions(**options), FRAMES, CAMERA)(frames, targets, seed)  # type: ignore[arg-type]


def seed_where(found, **options: object) -> int:
    """Returns the first seed whose variation of the standard clip is as wanted."""
    frames, targets = clip()
    return next(seed for seed in range(200) if found(*varied(frames, targets, seed, **options)))


# ------------------------------------------------------------------------------------------------- one draw


@pytest.mark.parametrize("seed", range(8))
def test_one_draw_for_all_frames_of_a_clip(seed: int) -> None:
    frames, targets = clip()
    shown, angles = varied(frames, targets, seed, **EVERYTHING)
    assert shown.dtype == np.uint8 and shown.shape == frames.shape and not np.array_equal(shown, frames)
    assert (shown == shown[:1]).all(), "frames that were equal stay equal"
    again, same = varied(frames, targets, seed, **EVERYTHING)
    np.testing.assert_array_equal(shown, again)
    np.testing.assert_array_equal(angles, same)
    assert not np.array_equal(varied(frames, targets, seed + 100, **EVERYTHING)[0], shown)
    # context frames before the targets are varied alike
    np.testing.assert_array_equal(varied(frames, targets[2:], seed, **EVERYTHING)[0], shown)


def test_switching_one_off_leaves_the_others_as_they_were() -> None:
    frames, targets = clip()
    for seed in range(5):
        with_light = varied(frames, targets, seed, **EVERYTHING)
        without = varied(frames, targets, seed, **{**EVERYTHING, "brightness": 0.0, "shadow": 0.0})
        np.testing.assert_array_equal(with_light[1], without[1])


def test_the_given_clip_is_not_changed() -> None:
    frames, targets = clip()
    kept = frames.copy(), targets.copy()
    frames.flags.writeable = False  # as a memory map is
    varied(frames, targets, 1, **EVERYTHING)
    np.testing.assert_array_equal(frames, kept[0])
    np.testing.assert_array_equal(targets, kept[1])


# ---------------------------------------------------------------------------------------------- mirror, light


def test_a_mirrored_clip_has_the_negated_angle() -> None:
    frames, targets = clip()
    outcomes = []
    for seed in range(40):
        shown, angles = varied(frames, targets, seed, flip=True)
        mirrored = bool(angles[0, 0] > 0)
        outcomes.append(mirrored)
        sign = -1 if mirrored else 1
        np.testing.assert_array_equal(shown, frames[..., ::sign])
        np.testing.assert_array_equal(angles, targets * [sign, sign, 1])
    assert 10 < sum(outcomes) < 30


def test_brightness_scales_all_pixels_and_no_label() -> None:
    frames, targets = clip()
    factors = []
    for seed in range(30):
        shown, angles = varied(frames, targets, seed, brightness=0.4)
        np.testing.assert_array_equal(angles, targets)
        unclipped = (frames > 50) & (frames < 150)
        ratio = shown[unclipped] / frames[unclipped].astype(float)
        assert np.ptp(ratio) < 0.03
        factors.append(ratio.mean())
    assert 0.6 <= min(factors) < 0.75 and 1.25 < max(factors) <= 1.4


def test_a_shadow_darkens_one_side_of_a_line() -> None:
    frames, targets = clip()
    count = 0
    for seed in range(40):
        shown, angles = varied(frames, targets, seed, shadow=0.5)
        np.testing.assert_array_equal(angles, targets)
        bright = frames[0].min(0) > 60
        dark = (shown[0] < frames[0]).all(0)
        if not (dark & bright).any():
            np.testing.assert_array_equal(shown, frames)
            continue
        count += 1
        for row, seen in zip(dark, bright, strict=True):  # along a row it begins or ends once
            assert (np.diff(row[seen].astype(int)) != 0).sum() <= 1
        ratio = shown[0][:, dark & bright] / frames[0][:, dark & bright]
        assert 0.38 < ratio.mean() < 0.82
    assert 10 < count < 30


# -------------------------------------------------------------------------------------------------- viewpoint


def project(
    x_m: float, z_m: float, displacement_m: float, options: AugmentationOptions
) -> tuple[float, float]:
    """Row and column, after crop and resize, of a point of the road x to the right and z ahead of the car."""
    focal = CAMERA[1] / 2 / math.tan(math.radians(options.field_of_view_deg) / 2)
    row = options.horizon * CAMERA[0] + focal * options.camera_height_m / z_m
    column = (
        CAMERA[1] / 2 + focal * (x_m + displacement_m) / z_m
    )  # to the left is positive for the camera alone
    return (row - 0.25 * CAMERA[0]) * 60 / (0.5 * CAMERA[0]), column * 120 / CAMERA[1]


@pytest.mark.parametrize(("x_m", "z_m"), [(0.0, 7.0), (-1.0, 9.0), (1.5, 14.0)])
@pytest.mark.parametrize("displacement_m", [-0.6, 0.9])
def test_the_road_is_seen_as_from_a_displaced_camera(x_m: float, z_m: float, displacement_m: float) -> None:
    options = AugmentationOptions()
    row, column = project(x_m, z_m, 0.0, options)
    frames = np.zeros((1, 3, 60, 120), np.uint8)
    frames[0, :, round(row) - 1 : round(row) + 2, round(column) - 1 : round(column) + 2] = 255
    moved = ClipAugmentation(options, FRAMES, CAMERA)._seen_from(frames, displacement_m, 0.0)
    rows, columns = np.nonzero(moved[0, 0] > 60)
    expected_row, expected_column = project(x_m, z_m, displacement_m, options)
    assert rows.mean() == pytest.approx(expected_row, abs=0.7)
    assert columns.mean() == pytest.approx(expected_column, abs=1.2)


def test_what_is_above_the_horizon_stays_and_a_turn_moves_all() -> None:
    augmentation = ClipAugmentation(AugmentationOptions(), FRAMES, CAMERA)
    frames, _ = clip(1)
    horizon = math.ceil(augmentation.horizon_row)
    assert horizon == 24  # (0.45 - 0.25) / 0.5 of 60 rows
    moved = augmentation._seen_from(frames, 0.5, 0.0)
    np.testing.assert_array_equal(moved[:, :, :horizon], frames[:, :, :horizon])
    assert not np.array_equal(moved[:, :, horizon + 1 :], frames[:, :, horizon + 1 :])

    turn = math.atan(5 / augmentation.focal_pixels)  # five columns
    for sign in (1, -1):
        turned = augmentation._seen_from(frames, 0.0, sign * turn)
        inner = slice(6, -6)
        np.testing.assert_array_equal(turned[..., inner], np.roll(frames, sign * 5, axis=-1)[..., inner])


def test_a_moved_camera_is_steered_back() -> None:
    frames, targets = clip()
    # moved to the left, the road moves to the right, and the car has to steer to the right
    options = {"shift_m": 1.0}
    seed = seed_where(lambda shown, angles: (angles[:, 0] < targets[:, 0]).all(), **options)
    shown, angles = varied(frames, targets, seed, **options)
    correction = angles[:, 0] - targets[:, 0]
    displacement = math.tan(-correction[0]) * 15 * 2
    assert 0 < displacement <= 1 and np.ptp(correction) < 1e-12
    augmentation = ClipAugmentation(AugmentationOptions(**options), FRAMES, CAMERA)
    np.testing.assert_array_equal(shown, augmentation._seen_from(frames, displacement, 0.0))
    np.testing.assert_array_equal(angles[:, 1:], targets[:, 1:])

    options = {"rotation_deg": 5.0}
    for seed in range(5):
        shown, angles = varied(frames, targets, seed, **options)
        turn = targets[0, 0] - angles[0, 0]
        assert abs(turn) <= math.radians(5)
        np.testing.assert_array_equal(shown, augmentation._seen_from(frames, 0.0, turn))


def test_side_cameras_lead_back_to_the_centre() -> None:
    options = AugmentationOptions(baseline_m=0.508, recovery_s=2.0, default_speed_mps=10.0)
    targets = np.array([[0.1, 0.5, 3.05], [0.1, 0.5, 20.0], [0.1, 0.5, np.nan], [0.1, 0.5, 0.0]])
    left, right = (side_camera_targets(targets, side, options)[:, 0] - 0.1 for side in ("left", "right"))
    # twenty inches in two seconds at 3.05 m/s are the 0.0831 rad of cg23
    np.testing.assert_allclose(right[:3], [0.0831, math.atan(0.508 / 40), math.atan(0.508 / 20)], atol=1e-4)
    np.testing.assert_allclose(left, -right)
    assert right[3] == pytest.approx(math.atan(0.508 / 6)), "standing still asks for no full lock"
    assert side_camera_targets(targets, "center", options) is targets
    # a left camera's picture, mirrored, is a right camera's
    mirrored = side_camera_targets(targets * [-1, -1, 1], "right", options)
    np.testing.assert_allclose(mirrored[:, 0], -side_camera_targets(targets, "left", options)[:, 0])


def test_a_displacement_to_the_left_is_a_left_camera() -> None:
    options = AugmentationOptions()
    speed = np.array([5.0, 12.0])
    targets = np.stack([np.zeros(2), np.zeros(2), speed], 1)
    left = side_camera_targets(targets, "left", options)[:, 0]
    np.testing.assert_allclose(recovery_angle(options.baseline_m, speed, options), left)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"brightness": 1.0}, r"data.augmentation.brightness is 1.0; it has to be from 0 to below 1"),
        ({"shadow": 1.5}, r"data.augmentation.shadow is 1.5; it has to be from 0 to 1"),
        ({"shift_m": -1.0}, r"data.augmentation.shift_m is -1.0"),
        ({"recovery_s": 0.0}, r"data.augmentation.recovery_s is 0.0; it has to be above 0"),
        ({"rotation_deg": 90.0}, r"rotation_deg below 45"),
    ],
)
def test_options_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AugmentationOptions(**options)
    assert not AugmentationOptions().changes_pixels and AugmentationOptions(shadow=0.1).changes_pixels
