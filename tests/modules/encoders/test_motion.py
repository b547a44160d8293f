"""Shifts of strips between frames, found on pictures that were moved by known amounts."""

import numpy as np
import pytest
import torch

from modules.encoders.motion import ImageShifts
from modules.errors import InputError
from tests.modules.encoders.panned_frames import panned

pytestmark = pytest.mark.usefixtures("one_thread")


def test_finds_shifts_of_whole_and_part_pixels():
    shifts = np.array([0, 2, -3, 0, 1.5, 4, -0.5, 1])
    found = ImageShifts([(0.0, 1.0)])(panned(shifts).unsqueeze(0))
    np.testing.assert_allclose(80 * found[0, :, 0], shifts[1:], rtol=0, atol=0.25)


def test_each_strip_is_judged_by_itself():
    frames = torch.cat(
        [panned(np.array([0, 3, 3]))[:, :, :12], panned(np.array([0, -2, 1]), seed=1)[:, :, :12]], 2
    )
    found = 80 * ImageShifts([(0.0, 0.5), (0.5, 1.0)])(frames.unsqueeze(0))[0]
    np.testing.assert_allclose(found, [[3, -2], [3, 1]], rtol=0, atol=0.25)


def test_a_picture_that_stands_still_or_is_blank_has_no_shift():
    still = panned(np.zeros(3)).unsqueeze(0)
    assert not ImageShifts([(0.2, 0.8)])(still).any()
    assert not ImageShifts([(0.2, 0.8)])(torch.full_like(still, 90)).any()


def test_batches_are_their_rows_and_light_does_not_matter():
    both = torch.stack([panned(np.array([0, 2, 1])), panned(np.array([0, -4, 1]), seed=1)])
    motion = ImageShifts([(0.0, 0.6), (0.3, 1.0)])
    together = motion(both)
    torch.testing.assert_close(together[1:], motion(both[1:]))
    torch.testing.assert_close(motion(both // 2 + 60), together, rtol=0, atol=3e-3)


def test_strips_that_are_none_are_refused():
    for strip in [(0.5, 0.5), (0.6, 0.2), (-0.1, 0.5), (0.5, 1.2)]:
        with pytest.raises(InputError, match="two rising shares"):
            ImageShifts([strip])
