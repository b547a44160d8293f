"""The glimpse sensor shows what NumPy says it shows, wherever it looks."""

import numpy as np
import pytest
import torch
from torch import Tensor

from modules.house_numbers.glimpse import VARIANCE, GlimpseSensor

SIZE, POINTS, SIDES = 32, 8, [0.25, 0.5, 1.0]


def pictures(count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 1, SIZE, SIZE, generator=generator, dtype=torch.float64)


def shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    step = len(picture) // side
    return picture.reshape(side, step, side, step).mean((1, 3))


def bilinear(level: np.ndarray, x: float, y: float) -> np.ndarray:
    """Returns what lies one pixel apart about a place, 0 outside."""
    side = len(level)
    rim = np.pad(level, 40)
    seen = np.empty((POINTS, POINTS))
    for row in range(POINTS):
        for column in range(POINTS):
            # pixel centres lie at halves
            px = (x + 1) * side / 2 + column - (POINTS - 1) / 2 - 0.5 + 40
            py = (y + 1) * side / 2 + row - (POINTS - 1) / 2 - 0.5 + 40
            left, top = int(np.floor(px)), int(np.floor(py))
            dx, dy = px - left, py - top
            four = rim[top : top + 2, left : left + 2]
            seen[row, column] = np.array([1 - dy, dy]) @ four @ np.array([1 - dx, dx])
    return seen


def filtered(level: np.ndarray, x: float, y: float) -> np.ndarray:
    """Returns Gaussian filters one pixel apart about a place (Gregor et al. 2015, eq. 19-27)."""
    side = len(level)
    rim = np.pad(level, POINTS)
    a = np.arange(1, len(rim) + 1)

    def bank(place: float) -> np.ndarray:
        g = (place + 1) * side / 2 + POINTS + 0.5
        mu = g + np.arange(1, POINTS + 1) - POINTS / 2 - 0.5
        weights = np.exp(-((a - mu[:, None]) ** 2) / (2 * VARIANCE))
        return weights / weights.sum(1, keepdims=True)

    return bank(y) @ rim @ bank(x).T


@pytest.mark.parametrize(("reading", "reference"), [("bilinear", bilinear), ("filterbank", filtered)])
def test_a_glimpse_shows_what_numpy_says(reading, reference) -> None:
    sensor = GlimpseSensor(POINTS, SIDES, reading)
    assert sensor.levels == [32, 16, 8]
    images = pictures(3)
    places = torch.tensor([[0.0, 0.0], [0.31, -0.77], [-1.0, 1.0]], dtype=torch.float64)
    seen = sensor(sensor.pyramid(images), places).numpy()
    for picture, (x, y), windows in zip(images[:, 0].numpy(), places.tolist(), seen, strict=True):
        for side, window in zip(sensor.levels, windows, strict=True):
            assert np.abs(window - reference(shrunk(picture, side), x, y)).max() < 1e-6


@pytest.mark.parametrize("reading", ["bilinear", "filterbank"])
def test_a_picture_that_moves_moves_the_glimpse(reading) -> None:
    sensor = GlimpseSensor(POINTS, SIDES, reading)
    images = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.float64)
    images[..., 8:16, 8:16] = pictures(1)[..., :8, :8]
    place = torch.tensor([[-0.25, -0.25]], dtype=torch.float64)
    # four pixels, a whole one of every level
    moved = images.roll((4, 4), (2, 3))
    before = sensor(sensor.pyramid(images), place)
    after = sensor(sensor.pyramid(moved), place + 2 * 4 / SIZE)
    assert torch.allclose(before, after, atol=1e-9)
    assert not torch.allclose(before, sensor(sensor.pyramid(moved), place), atol=0.1)


@pytest.mark.parametrize("reading", ["bilinear", "filterbank"])
def test_the_gradient_on_the_place_is_that_of_small_steps(reading) -> None:
    sensor = GlimpseSensor(POINTS, SIDES, reading)
    pyramid = sensor.pyramid(pictures())
    places = torch.tensor(
        [[0.13, -0.42], [0.53, 0.21]],  # none on a pixel's edge, where the slope jumps
        dtype=torch.float64,
        requires_grad=True,
    )
    weights = torch.randn(2, len(SIDES), POINTS, POINTS, generator=torch.Generator().manual_seed(1)).double()
    assert torch.autograd.gradcheck(lambda p: (sensor(pyramid, p) * weights).sum(), places, eps=1e-7)


def test_a_larger_picture_costs_a_glimpse_no_more() -> None:
    sensor = GlimpseSensor(POINTS, SIDES, "bilinear")
    large = torch.nn.functional.interpolate(pictures(), scale_factor=4)
    place = torch.tensor([[0.2, 0.1]] * 2, dtype=torch.float64)
    levels = sensor.pyramid(large)
    assert [level.shape[-1] for level in levels] == sensor.levels
    assert torch.allclose(sensor(levels, place), sensor(sensor.pyramid(pictures()), place))
    assert sensor.multiply_adds() == 4 * len(SIDES) * POINTS**2
