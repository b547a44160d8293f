"""Metrics against hand examples and independent readings."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from modules.errors import InputError
from modules.metrics.steering import baselines, lag, per_drive, rms, score_steering, whiteness


def drive(seed: int = 0, frames: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a smooth truth with every bin in it, a prediction with noise and bias, and three stretches."""
    random = np.random.default_rng(seed)
    truth = 0.7 * np.sin(np.arange(frames) / 17) * np.sin(np.arange(frames) / 61)
    prediction = truth * 0.9 + 0.01 + random.normal(0, 0.04, frames)
    return prediction, truth, np.searchsorted([90, 170], np.arange(frames), side="right")


def test_equals_an_independent_reading():
    prediction, truth, stretch = drive()
    public = np.arange(300) % 3 == 0
    scores = score_steering(prediction, truth, stretch, 20.0, public)
    pairs = list(zip(prediction.tolist(), truth.tolist(), strict=True))
    errors = [p - y for p, y in pairs]
    mean = math.fsum(y for _, y in pairs) / 300
    sst = math.fsum((y - mean) ** 2 for _, y in pairs)
    bias = math.fsum(errors) / 300
    assert scores.rmse_rad == pytest.approx(math.sqrt(math.fsum(e * e for e in errors) / 300))
    assert scores.mae_rad == pytest.approx(math.fsum(abs(e) for e in errors) / 300)
    assert scores.max_error_rad == pytest.approx(max(abs(e) for e in errors))
    assert scores.bias_rad == pytest.approx(bias)
    assert scores.r2 == pytest.approx(1 - math.fsum(e * e for e in errors) / sst)
    assert scores.explained_variance == pytest.approx(1 - math.fsum((e - bias) ** 2 for e in errors) / sst)
    mean_p = math.fsum(p for p, _ in pairs) / 300
    covariance = math.fsum((p - mean_p) * (y - mean) for p, y in pairs)
    spread = math.fsum((p - mean_p) ** 2 for p, _ in pairs)
    assert scores.correlation == pytest.approx(covariance / math.sqrt(spread * sst))
    assert scores.prediction_std_rad == pytest.approx(math.sqrt(spread / 300))
    for wanted, found in ((True, scores.public_rmse_rad), (False, scores.private_rmse_rad)):
        mine = [e for e, flag in zip(errors, public, strict=True) if flag == wanted]
        assert found == pytest.approx(math.sqrt(math.fsum(e * e for e in mine) / len(mine)))
    relative = sum(abs(e) > 0.1 * abs(y) for e, (_, y) in zip(errors, pairs, strict=True))
    assert scores.thresholded_relative_error == pytest.approx(relative / 300)

    def side(angle: float, border: float) -> int:
        return -1 if angle < -border else 1 if angle >= border else 0

    wrong = sum(side(p, 0.03) != side(y, 0.03) for p, y in pairs)
    assert scores.quantised_classification_error == pytest.approx(wrong / 300)
    f1 = []
    for which in (-1, 0, 1):
        hits = sum(side(p, 0.02) == which == side(y, 0.02) for p, y in pairs)
        precision = hits / sum(side(p, 0.02) == which for p, _ in pairs)
        recall = hits / sum(side(y, 0.02) == which for _, y in pairs)
        f1.append(2 * precision * recall / (precision + recall))
    assert scores.f1 == pytest.approx(sum(f1) / 3)

    borders = [0, 0.05, 0.2, 0.5, math.inf]
    maes = []
    for (low, high), found in zip(pairwise(borders), scores.bins.values(), strict=True):
        mine = [e for e, (_, y) in zip(errors, pairs, strict=True) if low <= abs(y) < high]
        maes.append(math.fsum(map(abs, mine)) / len(mine))
        assert found["frames"] == len(mine)
        assert found["mae_rad"] == pytest.approx(maes[-1])
        assert found["bias_rad"] == pytest.approx(math.fsum(mine) / len(mine))
        assert found["rmse_rad"] == pytest.approx(math.sqrt(math.fsum(e * e for e in mine) / len(mine)))
    assert scores.balanced_mae_rad == pytest.approx(sum(maes) / 4)


def test_whiteness_by_hand_and_never_across_a_gap():
    angles = np.array([0.0, 0.1, 0.1, 5.0, 5.2])
    together = np.zeros(5, dtype=int)
    assert whiteness(angles[:3], together[:3], 20.0) == pytest.approx(math.sqrt((4 + 0) / 2))
    cut = np.array([0, 0, 0, 1, 1])
    assert whiteness(angles, cut, 20.0) == pytest.approx(math.sqrt((4 + 0 + 16) / 3))
    assert whiteness(angles, together, 20.0) > 40
    assert whiteness(angles, np.arange(5), 20.0) is None
    scores = score_steering(angles, angles * 2, cut, 10.0)
    assert scores.human_whiteness_rad_s == pytest.approx(scores.whiteness_rad_s * 2)


@pytest.mark.parametrize("late", [-7, -1, 0, 1, 3, 20])
def test_lag_is_by_how_many_frames_the_prediction_comes_late(late):
    _, truth, _ = drive(frames=400)
    prediction = np.roll(truth, late)[50:350]
    assert lag(prediction, truth[50:350], np.zeros(300, dtype=int)) == late


def test_lag_is_judged_within_stretches():
    _, truth, stretch = drive()
    prediction = np.concatenate([np.roll(truth[stretch == i], 2) for i in range(3)])
    assert lag(prediction, truth, stretch) == 2
    # one pair 20 frames apart may fit by chance: too few to count
    assert lag(np.array([0.3, 0.0, 0.3]), np.array([0.3, 0.0, 0.3]), np.zeros(3, dtype=int)) == 0


def test_scoring_zeros_gives_the_root_mean_square_of_the_labels():
    _, truth, stretch = drive()
    said = baselines(truth, stretch, training_mean_rad=0.02)
    assert list(said) == ["zeros", "training_mean", "persistence_oracle"]
    zeros = score_steering(said["zeros"], truth, stretch)
    assert zeros.rmse_rad == rms(truth)
    assert zeros.correlation is None and zeros.lag_frames is None and zeros.prediction_std_rad == 0
    assert zeros.whiteness_rad_s == 0
    mean = score_steering(said["training_mean"], truth, stretch)
    assert mean.rmse_rad == pytest.approx(np.sqrt(np.mean((truth - 0.02) ** 2)))


def test_the_oracle_repeats_the_last_true_angle_of_its_stretch():
    truth, stretch = np.array([0.1, 0.2, 0.4, -1.0, -1.5]), np.array([0, 0, 0, 1, 1])
    assert baselines(truth, stretch)["persistence_oracle"].tolist() == [0.1, 0.1, 0.2, -1.0, -1.0]
    assert "training_mean" not in baselines(truth)


def test_perfect_predictions_have_no_error():
    _, truth, stretch = drive()
    scores = score_steering(truth, truth, stretch)
    assert (scores.rmse_rad, scores.bias_rad, scores.lag_frames) == (0, 0, 0)
    assert (scores.r2, scores.f1) == (1, 1)
    assert scores.thresholded_relative_error == scores.quantised_classification_error == 0


def test_scores_are_plain_json_and_what_is_undefined_is_none():
    scores = score_steering(np.array([0.1, 0.1]), np.array([0.2, 0.2]), np.array([0, 1]))
    decoded = json.loads(json.dumps(scores.as_dict(), allow_nan=False))
    for name in (
        "r2",
        "explained_variance",
        "correlation",
        "public_rmse_rad",
        "whiteness_rad_s",
        "lag_frames",
    ):
        assert decoded[name] is None, name
    assert decoded["frames"] == 2 and list(decoded["bins"]) == ["0.2-0.5"]
    flagged = score_steering(np.array([0.1]), np.array([0.2]), is_public=np.array([True]))
    assert flagged.public_rmse_rad == pytest.approx(0.1) and flagged.private_rmse_rad is None


def test_float32_angles_are_scored_in_double():
    prediction, truth, stretch = drive()
    single = score_steering(prediction.astype(np.float32), truth.astype(np.float32), stretch)
    assert single.rmse_rad == pytest.approx(score_steering(prediction, truth, stretch).rmse_rad, rel=1e-6)


def test_each_drive_is_scored_by_itself():
    prediction, truth, stretch = drive()
    names = np.array(["monday", "tuesday", "monday~2"])[stretch]
    scores = per_drive(prediction, truth, names)
    assert list(scores) == ["monday", "tuesday", "monday~2"]
    for i, of_drive in enumerate(scores.values()):
        alone = score_steering(prediction[stretch == i], truth[stretch == i])
        assert of_drive["rmse_rad"] == pytest.approx(alone.rmse_rad)
        assert of_drive["frames"] == alone.frames


def test_what_cannot_be_scored_is_refused():
    angles = np.zeros(3)
    with pytest.raises(InputError, match="no frame to score"):
        score_steering(angles[:0], angles[:0])
    with pytest.raises(InputError, match=r"1 of 3 frames have no number as prediction, the first is frame 1"):
        score_steering(np.array([0, np.nan, 0]), angles)
    with pytest.raises(InputError, match="as true angle"):
        score_steering(angles, np.array([0, 0, np.inf]))
