"""Divergences and probabilities of pixels, beside PyTorch's distributions and sums that have to be 1."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from modules.house_numbers.bound import Bound, Gaussian, gaussian, means, pixel_nats

pytestmark = pytest.mark.usefixtures("one_thread")


def test_equal_distributions_do_not_diverge():
    q = gaussian(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(q.divergence_from(q), torch.zeros(3), rtol=0, atol=0)


def test_divergence_is_that_of_normal_distributions():
    generator = torch.Generator().manual_seed(1)
    q, p = (gaussian(torch.randn(3, 8, generator=generator, dtype=torch.float64)) for _ in range(2))
    normal = [Normal(g.mean, g.log_deviation.exp()) for g in (q, p)]
    torch.testing.assert_close(q.divergence_from(p), kl_divergence(*normal).sum(1))
    standard = Gaussian(torch.zeros(3, 4, dtype=torch.float64), torch.zeros(3, 4, dtype=torch.float64))
    variance = (2 * q.log_deviation).exp()
    papers = 0.5 * (q.mean**2 + variance - variance.log()).sum(1) - 4 / 2  # DRAW, eq. 11
    torch.testing.assert_close(q.divergence_from(standard), papers)


def test_samples_have_the_mean_and_deviation_that_are_said():
    q = Gaussian(torch.full((4000, 1), 2.0), torch.full((4000, 1), math.log(3)))
    drawn = q.sample(torch.randn(4000, 1, generator=torch.Generator().manual_seed(0)))
    assert drawn.mean().item() == pytest.approx(2, abs=0.15)
    assert drawn.std().item() == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("logit", [-30.0, -2.0, 0.0, 5.0])
@pytest.mark.parametrize("log_scale", [-9.0, -4.0, -1.0, 2.0])
def test_the_probabilities_of_all_grey_values_add_up_to_one(logit, log_scale):
    canvas = torch.tensor([logit, log_scale], dtype=torch.float64).view(1, 2, 1, 1).expand(256, 2, 1, 1)
    levels = torch.arange(256, dtype=torch.float64).view(256, 1, 1, 1) / 255
    assert torch.exp(-pixel_nats(canvas, levels)).sum().item() == pytest.approx(1, abs=1e-9)


def test_gradients_stay_finite_at_the_ends():
    canvas = torch.tensor([[-40.0, -120.0], [40.0, -12.0], [40.0, 120.0]]).view(3, 2, 1, 1).requires_grad_()
    pixel_nats(canvas, torch.tensor([0.0, 0.0, 0.5]).view(3, 1, 1, 1)).sum().backward()
    assert canvas.grad is not None and canvas.grad.isfinite().all()


def test_a_bound_is_the_sum_of_its_parts_over_pixels_and_steps():
    canvas, images = torch.zeros(2, 2, 3, 4), torch.full((2, 1, 3, 4), 0.2)
    each = pixel_nats(canvas[:1, :, :1, :1], images[:1, :, :1, :1])
    torch.testing.assert_close(pixel_nats(canvas, images), 12 * each.expand(2))
    bound = Bound(torch.tensor([3.0, 4.0]), torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
    assert bound.total().tolist() == [6.0, 5.0]
    assert means(canvas).unique().tolist() == [0.5]
