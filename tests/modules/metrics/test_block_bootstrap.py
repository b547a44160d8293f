"""The interval of a drive's RMSE, where neighbouring frames say the same."""

import numpy as np
import pytest

from modules.metrics.block_bootstrap import rmse_interval


def errors(seed: int, frames: int = 6000) -> np.ndarray:
    """Returns errors that stay nearly the same for a second."""
    noise = np.random.default_rng(seed).normal(size=frames + 40)
    return np.convolve(noise, np.ones(20) / np.sqrt(20), "valid")[:frames] * 0.05


def test_it_covers_the_true_value_about_as_often_as_it_says():
    stretch = np.zeros(6000, np.int64)
    intervals = [rmse_interval(errors(seed), stretch, 20.0, samples=400, seed=seed) for seed in range(200)]
    covered = np.mean([low < 0.05 < high for low, high in intervals])
    assert 0.88 <= covered <= 0.99


def test_blocks_lie_in_one_stretch_and_too_few_give_no_interval():
    error = np.concatenate([np.full(200, 0.1), np.full(200, 0.3)])
    assert rmse_interval(error, np.repeat([0, 1], 200), 20.0) is None  # two blocks each
    # of twelve blocks, half of them bad, 3 to 9 bad ones are drawn in 95 % of the samples
    wanted = np.sqrt([(9 * 0.01 + 3 * 0.09) / 12, (3 * 0.01 + 9 * 0.09) / 12])
    assert rmse_interval(np.tile(error, 3), np.repeat(np.arange(6), 200), 20.0) == pytest.approx(wanted)
    same = np.full(1000, 0.2)
    assert rmse_interval(same, np.zeros(1000, np.int64), 20.0) == pytest.approx((0.2, 0.2))
