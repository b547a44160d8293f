"""Gaussian windows beside an independent NumPy reading of DRAW's equations 19-29."""

import numpy as np
import pytest
import torch

from modules.house_numbers.filterbank import filterbank, read_window, window_of, write_window

pytestmark = pytest.mark.usefixtures("one_thread")

B, C, N, HEIGHT, WIDTH = 3, 2, 5, 12, 17


def papers_filters(raw, height, width):
    """Returns F_X, F_Y and gamma of one picture, element by element as the paper writes them."""
    x, y, log_variance, log_stride, log_gamma = (float(number) for number in raw)
    centre_x, centre_y = (width + 1) / 2 * (x + 1), (height + 1) / 2 * (y + 1)
    delta = (max(width, height) - 1) / (N - 1) * np.exp(log_stride)
    filters = []
    for centre, size in ((centre_x, width), (centre_y, height)):
        rows = np.zeros((N, size))
        for i in range(1, N + 1):
            mu = centre + (i - N / 2 - 0.5) * delta
            for a in range(1, size + 1):
                rows[i - 1, a - 1] = np.exp(-((a - mu) ** 2) / (2 * np.exp(log_variance)))
            rows[i - 1] /= rows[i - 1].sum()
        filters.append(rows)
    return *filters, np.exp(log_gamma)


@pytest.fixture
def raw():
    numbers = np.random.default_rng(0).normal(0, 0.4, (B, 5))
    return torch.tensor(numbers)


def test_reading_and_writing_are_the_papers_equations(raw):
    random = np.random.default_rng(1)
    images, patch = random.normal(size=(B, C, HEIGHT, WIDTH)), random.normal(size=(B, C, N, N))
    window = window_of(raw, N, HEIGHT, WIDTH)
    seen = read_window(torch.tensor(images), window, N).numpy()
    written = write_window(torch.tensor(patch), window, HEIGHT, WIDTH).numpy()
    for b in range(B):
        f_x, f_y, gamma = papers_filters(raw[b], HEIGHT, WIDTH)
        for c in range(C):
            np.testing.assert_allclose(seen[b, c], gamma * f_y @ images[b, c] @ f_x.T, rtol=0, atol=1e-6)
            np.testing.assert_allclose(
                written[b, c], 1 / gamma * f_y.T @ patch[b, c] @ f_x, rtol=0, atol=1e-6
            )


def test_five_zeros_look_at_the_whole_picture():
    window = window_of(torch.zeros(1, 5), N, WIDTH, WIDTH)
    torch.testing.assert_close(window.box(N), torch.tensor([[1.0, 1.0, WIDTH, WIDTH]]))


def test_a_window_moves_with_the_picture():
    picture = torch.zeros(1, 1, 30, 30)
    picture[0, 0, 8:12, 9:13] = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    window = window_of(torch.tensor([[-0.3, -0.35, -1.0, -1.5, 0.2]]), N, 30, 30)
    moved = window._replace(centre_x=window.centre_x + 7, centre_y=window.centre_y + 4)
    seen = read_window(picture, window, N)
    torch.testing.assert_close(read_window(picture.roll((4, 7), (2, 3)), moved, N), seen)
    assert seen.std() > 0.05


@pytest.mark.parametrize("centre", [-1e4, 8.0, 1e4])
@pytest.mark.parametrize("variance", [1e-6, 1.0, 1e6])
def test_every_filter_is_a_mean_wherever_it_lies(centre, variance):
    numbers = [torch.tensor([value], requires_grad=True) for value in (centre, 0.5, variance)]
    weights = filterbank(*numbers, N, 16)
    torch.testing.assert_close(weights.sum(2), torch.ones(1, N))
    weights.square().sum().backward()
    assert all(number.grad is not None and number.grad.isfinite().all() for number in numbers)


def test_gradients_are_those_of_finite_differences(raw):
    images = torch.rand(B, C, 6, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, r: read_window(x, window_of(r, 3, 6, 7), 3), (images, raw.requires_grad_()), fast_mode=True
    )
    patch = torch.rand(B, C, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda w, r: write_window(w, window_of(r, 3, 6, 7), 6, 7), (patch, raw), fast_mode=True
    )


def test_each_picture_has_its_own_window(raw):
    images = torch.rand(B, C, HEIGHT, WIDTH, dtype=torch.float64)
    together = read_window(images, window_of(raw, N, HEIGHT, WIDTH), N)
    for b in range(B):
        alone = read_window(images[b : b + 1], window_of(raw[b : b + 1], N, HEIGHT, WIDTH), N)
        torch.testing.assert_close(alone[0], together[b])
