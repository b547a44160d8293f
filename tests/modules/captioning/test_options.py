"""A captioner's training options, and the learning rate of its self-critical epochs."""

import pytest

from modules.captioning.options import CaptioningTrainingOptions, reinforced_rate_factor
from modules.errors import InputError


def test_the_cosine_rises_falls_and_hands_over():
    options = CaptioningTrainingOptions(
        learning_rate=1e-3, warmup_steps=10, reinforce_epochs=1, reinforce_learning_rate=2e-5
    )
    factor = reinforced_rate_factor(options, 200, 2)
    assert factor(0) == pytest.approx(0.1, rel=0.01)
    assert factor(9) == pytest.approx(1.0, rel=0.03)
    assert factor(99) == pytest.approx(0.01, rel=0.05)
    assert factor(100) == factor(1000) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", 0.0), ("label_smoothing", 1.0), ("reinforce_samples", 1)]
)
def test_options_out_of_range_are_named(name, value):
    with pytest.raises(InputError, match=f"model.training.{name} is {value}"):
        CaptioningTrainingOptions(**{name: value})
