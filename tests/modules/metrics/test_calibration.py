"""A standard deviation that says what the errors are is told from one that does not."""

import numpy as np
import pytest

from modules.metrics.calibration import Calibration, calibrated


@pytest.mark.parametrize(("models", "scale"), [(2, 1.0), (5, 0.5), (50, 3.0)])
def test_floor_and_scale_are_found_again(models, scale):
    random = np.random.default_rng(models)
    sure = np.exp(random.normal(-3, 1, 4000))
    # what models say of a frame that they are so sure of
    given = (random.normal(size=(models, 4000)) * sure).std(0, ddof=1)
    error = random.normal(size=4000) * np.hypot(0.05, scale * given)
    found = Calibration.fit(error, given)
    assert found.floor == pytest.approx(0.05, rel=0.06) and found.scale == pytest.approx(scale, rel=0.12)
    told = calibrated(error, given)
    for many, share in told["expected"].items():
        assert told["calibrated"][many] == pytest.approx(share, abs=0.02)
    assert told["gain"] > 0.1 and abs(told["one_for_all"][1] - 0.683) > 0.03


def test_a_spread_that_tells_nothing_gains_nothing():
    """Two models that err alike are hardly apart: as given that claims far too much."""
    random = np.random.default_rng(0)
    error, given = random.normal(size=3000), np.abs(random.normal(size=3000)) * 0.1
    told = calibrated(error, given)
    assert told["as_given"][2] < 0.2
    assert told["calibrated"][2] == pytest.approx(0.954, abs=0.01)
    assert told["scale"] < 2 and abs(told["gain"]) < 0.01


def test_few_frames_and_models_that_agree_are_no_fault():
    assert set(calibrated(np.ones(5), np.ones(5))) == {"expected", "as_given"}
    told = calibrated(np.tile([0.1, -0.1], 30), np.zeros(60))
    assert told["floor"] == pytest.approx(0.1) and told["scale"] == 0 and told["gain"] == 0
    assert told["as_given"][3] == 0
