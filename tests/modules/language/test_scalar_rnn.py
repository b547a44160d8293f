"""The network of one unit: its loss by hand, its cliff, and descent without clipping and with it."""

import math

import pytest
import torch

from modules.language import scalar_rnn
from modules.language.scalar_rnn import descend, scalar_loss

pytestmark = pytest.mark.usefixtures("one_thread")


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_the_loss_is_that_of_the_equations(monkeypatch):
    monkeypatch.setattr(scalar_rnn, "TIME_STEPS", 2)
    w, b = torch.tensor([3.0, -2.0], dtype=torch.float64), torch.tensor([-1.0, 0.5], dtype=torch.float64)
    wanted = [
        (sigmoid(one * sigmoid(one * sigmoid(0.5) + other) + other) - 0.7) ** 2
        for one, other in zip(w.tolist(), b.tolist(), strict=True)
    ]
    assert scalar_loss(w, b).tolist() == pytest.approx(wanted)


def test_the_surface_has_a_cliff_where_the_unit_remembers_and_none_where_it_forgets():
    b = torch.linspace(-4.0, -1.0, 6001, dtype=torch.float64)
    slopes = [
        float(scalar_loss(torch.full_like(b, w), b).diff().abs().max() / (b[1] - b[0])) for w in (3.0, 6.0)
    ]
    assert slopes[0] < 2 and slopes[1] > 300


def test_an_update_follows_the_gradient_and_clipping_shortens_it_alone():
    free, clipped = (descend((5.0, -2.0), 3, 0.1, limit) for limit in (None, 0.01))
    for path, limit in ((free, math.inf), (clipped, 0.01)):
        for place, after, norm in zip(path.weights, path.weights[1:], path.gradient_norms, strict=False):
            weights = place.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(scalar_loss(weights[0], weights[1]), weights)
            assert float(norm) == pytest.approx(float(gradient.norm()))
            step = 0.1 * gradient * min(1.0, limit / float(norm))
            torch.testing.assert_close(after, place - step, rtol=1e-4, atol=1e-9)
    assert len(free.weights) == len(free.losses) == 4


def test_at_the_edge_one_path_is_thrown_away_and_the_clipped_one_takes_small_steps():
    free, clipped = (descend((5.0, -2.0), 60, 0.3, limit) for limit in (None, 0.1))
    lengths = [path.weights.diff(dim=0).norm(dim=1).max() for path in (free, clipped)]
    assert lengths[0] > 1 and lengths[1] < 0.0301
    assert free.gradient_norms.max() > 1 and clipped.gradient_norms.max() > 1
