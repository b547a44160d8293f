"""The ridge baseline: it finds known shifts, and its regression is the textbook's."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from modules.encoders.motion import ImageShifts
from modules.metrics.steering import rms
from modules.steering.ridge_baseline import RidgeBaseline
from tests.modules.encoders.panned_frames import panned

UDACITY = Path(__file__).parents[4] / "shared" / "data" / "udacity_ch2"


def last_shifts(baseline: RidgeBaseline, frames: torch.Tensor, starts: list[int]) -> np.ndarray:
    """Returns the last shifts at every frame, none across the start of a drive."""
    found = []
    for drive in torch.tensor_split(frames, starts[1:]):
        shifts = ImageShifts([(0.2, 0.6)])(torch.cat([drive[:1], drive]).unsqueeze(0))
        found.append(baseline.last_shifts(shifts[0, :, 0].numpy()))
    return np.concatenate(found)


def test_finds_shifts_between_frames_and_remembers_the_last_ones():
    shifts = np.array([0, 2, -3, 0, 1.5, 4, -0.5, 1])
    features = last_shifts(RidgeBaseline(shifts=3), panned(shifts), [0])
    np.testing.assert_allclose(80 * features[:, 0], shifts, rtol=0, atol=0.25)
    assert np.array_equal(features[1:, 1], features[:-1, 0])
    assert np.array_equal(features[2:, 2], features[:-2, 0])
    assert not features[0].any() and not features[1, 2]


def test_a_drive_begins_without_shifts():
    features = RidgeBaseline(shifts=4).last_shifts(np.array([0.0, 0.1]))
    np.testing.assert_array_equal(features, [[0, 0, 0, 0], [0.1, 0, 0, 0]])


def test_the_regression_is_least_squares_with_a_penalty():
    random = np.random.default_rng(0)
    x, y = random.normal([1, -2, 0], [1, 3, 0], (50, 3)), random.normal(size=50)
    y[7] = np.nan
    found = RidgeBaseline(penalty=4.0).fit(x, y).predict(x)
    kept = np.arange(50) != 7
    mean, std = x[kept].mean(0), x[kept].std(0)
    scaled = np.column_stack([(x[:, :2] - mean[:2]) / std[:2], np.ones(50)])
    # the penalty as two more rows of data
    rows = np.vstack([scaled[kept], np.diag([2.0, 2.0, 0.0])[:2]])
    weights, *_ = np.linalg.lstsq(rows, np.concatenate([y[kept], [0, 0]]), rcond=None)
    np.testing.assert_allclose(found, scaled @ weights, rtol=0, atol=1e-9)


def test_learns_that_panning_is_steering():
    random = np.random.default_rng(3)
    angles = cv2.GaussianBlur(random.normal(0, 0.8, (200, 1)), (0, 0), 6)[:, 0]
    baseline = RidgeBaseline()
    features = last_shifts(baseline, panned(6 * angles), [0, 50, 100, 150])
    weights = baseline.fit(features[:100], angles[:100])
    assert rms(weights.predict(features[100:]) - angles[100:]) < 0.3 * rms(angles[100:])


@pytest.mark.real_data
@pytest.mark.skipif(not UDACITY.is_dir(), reason="the Udacity drive is not here")
def test_on_the_real_drive_it_is_far_better_than_zeros():
    with (UDACITY / "CH2_final_evaluation.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["frame_id"]))
    times = np.array([int(row["frame_id"]) for row in rows]) / 1e9
    angles = np.array([float(row["steering_angle"]) for row in rows])
    starts = [0, *(np.flatnonzero(np.diff(times) > 0.15) + 1).tolist()]
    files = [str(UDACITY / "center" / f"{row['frame_id']}.jpg") for row in rows]
    frames = np.stack([cv2.imread(file, cv2.IMREAD_REDUCED_COLOR_2)[..., ::-1] for file in files])
    baseline = RidgeBaseline()
    features = last_shifts(baseline, torch.from_numpy(frames.transpose(0, 3, 1, 2)), starts)
    scores = []
    for third in range(3):  # each third tested, with a guard gap, by what the others teach
        first, end = third * len(rows) // 3, (third + 1) * len(rows) // 3
        place = np.arange(len(rows))
        trains = (place < first - 20) | (place >= end + 20)
        weights = baseline.fit(features[trains], angles[trains])
        scores.append(rms(weights.predict(features[first:end]) - angles[first:end]))
    print("ridge on three temporal splits:", [round(score, 4) for score in scores])
    assert max(scores) < 0.6 * rms(angles)
