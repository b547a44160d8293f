"""What a glimpse shows: however dark, however large, wherever the picture ends."""

import torch

from modules.house_numbers.networks import GlimpseNetwork

POINTS, SCALES, WIDTH = 8, 3, 12


def network() -> GlimpseNetwork:
    torch.manual_seed(0)
    return GlimpseNetwork(POINTS, WIDTH).eval()


def glimpses() -> torch.Tensor:
    return torch.randn(4, SCALES, POINTS, POINTS, generator=torch.Generator().manual_seed(1))


PLACES = torch.linspace(-0.5, 0.5, 8).view(4, 2)


def test_light_and_contrast_of_a_window_count_nothing() -> None:
    seen = network()(glimpses(), PLACES)
    factors = torch.tensor([3.0, 1.0, 0.8]).view(1, SCALES, 1, 1)
    changed = (network()(glimpses() * factors - 0.7, PLACES) - seen).abs().max()
    other = (network()(glimpses().square(), PLACES) - seen).abs().max()
    assert changed < other / 20


def test_a_digit_is_the_same_in_whichever_window_it_shows() -> None:
    seen = network()(glimpses(), PLACES)
    assert torch.allclose(network()(glimpses().flip(1), PLACES), seen, atol=1e-6)


def test_each_unit_takes_the_window_that_shows_most() -> None:
    alone = [network()(glimpses()[:, [scale]], PLACES) for scale in range(SCALES)]
    assert torch.allclose(network()(glimpses(), PLACES), torch.stack(alone).amax(0), atol=1e-6)


def test_windows_of_one_grey_have_a_gradient() -> None:
    windows = torch.zeros(4, SCALES, POINTS, POINTS, requires_grad=True)
    network()(windows, PLACES).sum().backward()
    assert windows.grad is not None
    assert windows.grad.isfinite().all()
