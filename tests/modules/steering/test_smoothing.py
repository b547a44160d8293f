"""Smoothing is causal, follows its equations and forgets at a reset."""

import numpy as np
import pytest

from modules.steering.smoothing import ChauffeurSmoothing, ExponentialSmoothing, smoother

RAW = np.random.default_rng(0).normal(0, 0.3, 40).tolist()


def smoothed(name, angles, weight=0.4):
    made = smoother(name, weight)
    return [made.step(angle) for angle in angles]


def test_no_smoothing_changes_nothing():
    assert smoothed("none", RAW) == RAW


def test_exponential_is_the_weighted_sum_of_all_before():
    for t, said in enumerate(smoothed("exponential", RAW, 0.3)):
        weights = 0.3 * 0.7 ** np.arange(t + 1)
        weights[-1] = 0.7**t
        assert said == pytest.approx(float(weights @ np.array(RAW[t::-1])))


def test_chauffeur_is_between_the_raw_angle_and_the_line_through_the_ten_before():
    said = smoothed("chauffeur", RAW)
    assert said[:10] == RAW[:10]
    for t in range(10, len(RAW)):
        line = np.polyfit(range(10), RAW[t - 10 : t], 1)
        assert said[t] == pytest.approx(0.7 * RAW[t] + 0.3 * np.polyval(line, 10))
    assert np.std(np.diff(said)) < 0.8 * np.std(np.diff(RAW))


def test_chauffeur_does_not_lag_behind_a_constant_turn_and_exponential_does():
    turn = [0.01 * t for t in range(60)]
    assert smoothed("chauffeur", turn) == pytest.approx(turn)
    late = (turn[-1] - smoothed("exponential", turn, 0.4)[-1]) / 0.01
    assert late == pytest.approx(0.6 / 0.4, rel=1e-6)


@pytest.mark.parametrize("name", ["exponential", "chauffeur"])
def test_what_comes_later_and_what_came_before_a_reset_do_not_count(name):
    assert smoothed(name, RAW[:20]) == smoothed(name, RAW)[:20]
    made = smoother(name)
    for angle in RAW:
        made.step(angle)
    made.reset()
    assert [made.step(angle) for angle in RAW] == smoothed(name, RAW)


def test_a_weight_out_of_range_is_refused():
    for weight in (0.0, 1.5):
        with pytest.raises(ValueError, match="above 0"):
            ExponentialSmoothing(weight)
    assert ExponentialSmoothing(1.0).step(0.2) == 0.2
    assert ChauffeurSmoothing().step(0.2) == 0.2
