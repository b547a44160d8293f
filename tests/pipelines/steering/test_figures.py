"""Charts of runs side by side."""

import pytest
from matplotlib.axes import Axes

from pipelines.steering.figures import lag_chart


def test_the_lag_of_each_run_is_shown_in_the_seconds_of_its_own_frames(monkeypatch):
    drawn, plot = [], Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda self, x, *args, **given: (drawn.append(x), plot(self, x, *args, **given))[1]
    )
    errors = {-4: 0.3, 0: 0.2, 4: 0.1}
    lag_chart({"A": errors, "B": errors}, {"A": 4, "B": 4}, {"A": 20.0, "B": 10.0}, "rad")
    of_a, lag_of_a, of_b, lag_of_b = drawn
    assert (lag_of_a, lag_of_b) == (0.2, 0.4)
    assert of_a.tolist() == pytest.approx([-0.2, 0, 0.2]) and of_b.tolist() == pytest.approx([-0.4, 0, 0.4])
