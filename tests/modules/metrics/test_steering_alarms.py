"""Alarms fire on plain mistakes and on nothing else."""

import numpy as np
import pytest

from modules.metrics.steering import score_steering
from modules.metrics.steering_alarms import steering_alarms

TRUTH = 0.4 * np.sin(np.arange(400) / 30)
NOISE = np.random.default_rng(0).normal(size=400)


def alarms(prediction: np.ndarray, truth: np.ndarray = TRUTH) -> list[str]:
    return steering_alarms(prediction, truth, score_steering(prediction, truth))


@pytest.mark.parametrize("prediction", [TRUTH, 0.6 * TRUTH + 0.02 * NOISE, np.roll(TRUTH, 1), TRUTH + 0.1])
def test_a_working_system_raises_none(prediction):
    assert alarms(prediction) == []


def test_noise_is_neither_late_nor_in_degrees():
    said = alarms(NOISE)
    assert len(said) == 1 and "no better than straight on" in said[0]


@pytest.mark.parametrize(("scale", "bias"), [(0.4, 0.2), (0.8, -0.4)])
def test_a_biased_or_small_prediction_is_not_late(scale, bias):
    truth = TRUTH[:120]
    assert score_steering(scale * truth + bias, truth).lag_frames == 0
    assert not any("late" in line or "early" in line for line in alarms(scale * truth + bias, truth))


@pytest.mark.parametrize("late", [0, 1, 4, -6])
def test_the_lag_of_the_score_is_that_of_the_alarm_whatever_bias_and_size(late):
    prediction = 0.6 * np.roll(TRUTH, late)[20:-20] - 0.2
    scores = score_steering(prediction, TRUTH[20:-20])
    assert (scores.lag_frames, scores.lag_s) == (late, late / 20)
    said = f"{abs(late)} frames ({abs(late) / 20:.2f} s) {'late' if late > 0 else 'early'}"
    assert any(said in line for line in alarms(prediction, TRUTH[20:-20])) == (abs(late) > 1)


def test_alarms_speak_in_the_unit_of_the_angles():
    share = steering_alarms(
        np.full(9, 0.2), np.ones(9), score_steering(np.full(9, 0.2), np.ones(9)), "% of lock"
    )
    assert "0.2000 % of lock at each" in share[0] and " rad" not in "".join(share)


def test_labels_in_degrees_are_named_as_such():
    said = alarms(TRUTH, np.degrees(TRUTH))
    assert "the true angles reach 23" in said[0] and "nearly constant" in said[1]


def test_a_prediction_on_a_straight_road_is_not_called_degrees():
    assert not any("degrees" in line for line in alarms(0.001 * NOISE[:1], np.zeros(1)))


def test_a_lag_at_the_edge_of_the_search_says_so():
    late = np.roll(TRUTH, 24)
    late[:24] = 0
    assert any("at least 20 frames (1.00 s) late" in line for line in alarms(late))


def test_a_mean_absolute_error_worse_than_straight_on_is_said():
    truth = np.where(np.arange(200) % 20 == 0, 1.0, 0.0)
    said = alarms(0.8 * truth + 0.1, truth)
    assert any("mean absolute error is 0.1000 rad, that of straight on 0.0500" in line for line in said)
    assert not any("mean absolute" in line for line in alarms(0.8 * truth + 0.01, truth))
