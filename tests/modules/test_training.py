"""Learning rates over a run, and which weights decay."""

import pytest
import torch
from torch import nn

from modules.errors import InputError
from modules.training import ScheduleOptions, clip_gradients, learning_rate_factor, parameter_groups


def test_the_cosine_rises_and_falls_to_one_percent():
    factor = learning_rate_factor(ScheduleOptions(learning_rate=1e-3, warmup_steps=10), 100)
    assert factor(0) == pytest.approx(0.1, rel=0.01)
    assert factor(9) == pytest.approx(1.0, rel=0.03)
    assert factor(50) == pytest.approx(0.505, rel=0.01)
    assert factor(99) == pytest.approx(0.01, rel=0.05)
    assert factor(100) == factor(1000) == pytest.approx(0.01)


def test_the_constant_schedule_stays():
    factor = learning_rate_factor(ScheduleOptions(warmup_steps=0, schedule="constant"), 100)
    assert {factor(step) for step in (0, 50, 500)} == {1.0}


def test_matrices_decay_and_vectors_do_not():
    layer = nn.Linear(3, 4)
    groups = parameter_groups([(layer.parameters(), 0.1), ([], 0.2)], 0.5)
    assert [(g["params"], g["lr"], g["weight_decay"]) for g in groups] == [
        ([layer.weight], 0.1, 0.5),
        ([layer.bias], 0.1, 0.0),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 0.0), ("weight_decay", -0.1), ("warmup_steps", -1), ("seed", -1), ("seed", 2**32)],
)
def test_options_out_of_range_are_named(name, value):
    with pytest.raises(InputError, match=f"model.training.{name} is {value}"):
        ScheduleOptions(**{name: value})


@pytest.mark.parametrize(
    ("algorithm", "limit", "expected"),
    [
        ("value", 2.0, [1.0, -2.0]),
        ("value", 9.0, [1.0, -7.0]),
        ("norm", 0.5, [0.5 / 50**0.5, -3.5 / 50**0.5]),
        (None, 9.0, [1.0, -7.0]),
    ],
)
def test_gradients_are_clipped_each_by_value_or_all_by_their_norm(algorithm, limit, expected):
    without, layer = nn.Linear(2, 2), nn.Linear(2, 1, bias=False)
    layer.weight.grad = torch.tensor([[1.0, -7.0]])
    groups = [{"params": part.parameters()} for part in (without, layer)]
    clip_gradients(torch.optim.SGD(groups, 0.1), limit, algorithm)
    torch.testing.assert_close(layer.weight.grad, torch.tensor([expected]))
