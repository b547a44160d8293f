"""Optical flow in the cells of a grid, found on pictures that were moved by known amounts."""

import cv2
import numpy as np
import pytest
import torch
from jaxtyping import Float

from modules.encoders.flow import ImageFlow
from modules.errors import InputError
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.steerer import Steerer

pytestmark = pytest.mark.usefixtures("one_thread")


def moved(
    places: Float[np.ndarray, "N 2"], size: tuple[int, int] = (64, 120), zoom: float = 1.0, seed: int = 0
) -> torch.Tensor:
    """Returns frames (1, N, 3, H, W) of one picture that lies so many pixels further right and down."""
    random = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(random.uniform(0, 255, (400, 400)).astype(np.float32), (0, 0), 2)
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    views = []
    for n, (right, down) in enumerate(places):
        grown = zoom**n
        across = 200 + (x - size[1] / 2) / grown - right
        along = 200 + (y - size[0] / 2) / grown - down
        views.append(
            cv2.remap(picture, across.astype(np.float32), along.astype(np.float32), cv2.INTER_LINEAR)
        )
    return torch.from_numpy(np.repeat(np.stack(views)[:, None], 3, axis=1).astype(np.uint8)).unsqueeze(0)


@pytest.mark.parametrize("refinements", [0, 5])
def test_finds_moves_of_whole_and_part_pixels_in_hundredths_of_the_width(refinements: int):
    steps = np.array([[0, 0], [2, 0], [-3, 0.5], [0.4, -1], [5, 2]])
    found = ImageFlow((2, 3), refinements)(moved(np.cumsum(steps, axis=0)))
    assert found.shape == (1, 4, 12)
    pixels = 120 / 100 * found[0].view(4, 2, 6)
    np.testing.assert_allclose(pixels.mean(-1), steps[1:], rtol=0, atol=0.15)
    np.testing.assert_allclose(pixels, np.repeat(steps[1:, :, None], 6, 2), rtol=0, atol=0.6)


def test_a_large_frame_and_a_small_one_say_the_same():
    steps = np.array([[0.0, 0], [6, 2], [2, -2]])
    small, large = (80, 160), (240, 480)
    frames = moved(np.cumsum(steps, axis=0), large)[0]
    reduced = [
        cv2.resize(f.permute(1, 2, 0).numpy(), small[::-1], interpolation=cv2.INTER_AREA) for f in frames
    ]
    shown = torch.from_numpy(np.stack(reduced)).permute(0, 3, 1, 2).unsqueeze(0)
    flow = ImageFlow((2, 2))
    torch.testing.assert_close(flow(frames.unsqueeze(0)), flow(shown), rtol=0, atol=0.02)


def test_driving_on_moves_the_picture_away_from_its_middle():
    found = ImageFlow((2, 2))(moved(np.zeros((2, 2)), zoom=1.05)).view(2, 2, 2)
    right, down = found
    assert (right[:, 1] > 0.5).all() and (right[:, 0] < -0.5).all()
    assert (down[1] > 0.2).all() and (down[0] < -0.2).all()


def test_a_picture_that_stands_still_or_is_blank_does_not_move():
    still = moved(np.zeros((3, 2)))
    assert not ImageFlow((3, 4))(still).any()
    assert not ImageFlow((3, 4))(torch.full_like(still, 90)).any()


@pytest.mark.parametrize("size", [(1, 1), (3, 160), (8, 8), (240, 20), (16, 300)])
def test_frames_of_any_size_have_flow(size: tuple[int, int]):
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 2, 3, *size), dtype=np.uint8))
    found = ImageFlow((4, 5))(frames)
    assert found.shape == (1, 1, 40) and found.isfinite().all()


def test_clips_pieces_and_threads_change_nothing():
    both = torch.cat([moved(np.cumsum(np.full((5, 2), 1.5), 0), seed=seed) for seed in (0, 1)])
    flow = ImageFlow((2, 3))
    together = flow(both)
    torch.testing.assert_close(together[1:], flow(both[1:]), rtol=0, atol=0)
    torch.testing.assert_close(together[:, 2:], flow(both[:, 2:]), rtol=0, atol=0)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        torch.testing.assert_close(flow(both), together, rtol=0, atol=0)
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(threads)


def test_floats_are_read_as_bytes_and_get_no_gradient():
    frames = moved(np.cumsum(np.ones((3, 2)), 0))
    wanted = frames.float().requires_grad_()
    found = ImageFlow((2, 2))(wanted)
    assert not found.requires_grad
    torch.testing.assert_close(found, ImageFlow((2, 2))(frames), rtol=0, atol=0)


def test_refinements_make_the_flow_smooth_and_come_from_the_options():
    frames = moved(np.cumsum(np.full((4, 2), 1.5), 0))[0]
    noise = np.random.default_rng(1).integers(-25, 26, frames.shape)
    noisy = torch.from_numpy((frames.numpy() + noise).clip(0, 255).astype(np.uint8)).unsqueeze(0)
    spread = {}
    for rounds in (0, 5):
        steerer = Steerer(encoder=SteeringEncoderOptions(flow=(4, 6), flow_refinements=rounds))
        assert steerer.flow is not None
        spread[rounds] = float(steerer.flow(noisy).view(3, 2, 24).std(-1).mean())
    assert spread[5] < spread[0]
    with pytest.raises(InputError, match=r"model.encoder.flow_refinements is -1"):
        SteeringEncoderOptions(flow=(2, 2), flow_refinements=-1)


def test_a_grid_without_cells_is_refused():
    with pytest.raises(InputError, match=r"model.encoder.flow is \[0, 3\]; it takes rows and columns"):
        Steerer(encoder=SteeringEncoderOptions(flow=(0, 3)))
