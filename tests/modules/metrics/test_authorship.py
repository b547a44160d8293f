"""Probabilities of authors: Bayes' rule by default, less sure where texts show that it is too sure."""

import numpy as np

from modules.metrics.authorship import Calibration, calibrate


def test_without_calibration_it_is_bayes_rule():
    bits, lengths = np.array([[2.0, 2.1, 3.0]]), np.array([20])
    likelihoods = 2.0 ** (-bits * 20)
    np.testing.assert_allclose(Calibration().probabilities(bits, lengths), likelihoods / likelihoods.sum())


def test_a_long_text_does_not_overflow():
    found = Calibration().probabilities(np.array([[2.0, 2.5]]), np.array([10_000_000]))
    np.testing.assert_allclose(found, [[1.0, 0.0]], atol=1e-12)


def test_the_scale_and_power_that_made_the_labels_are_found_again():
    draw = np.random.default_rng(0)
    true = Calibration(0.1 * np.log(2), 0.6)
    lengths = draw.choice([50, 200, 1000, 5000], 4_000)
    bits = draw.normal(2.0, 0.3, (len(lengths), 3))
    chances = true.probabilities(bits, lengths)
    labels = (draw.random((len(lengths), 1)) > chances.cumsum(1)).sum(1)
    found = calibrate(bits, lengths, labels)
    assert abs(found.power - true.power) <= 0.21
    mean = found.probabilities(bits, lengths).max(1).mean()
    right = (bits.argmin(1) == labels).mean()
    assert abs(mean - right) < 0.03
    assert Calibration().probabilities(bits, lengths).max(1).mean() > right + 0.1
