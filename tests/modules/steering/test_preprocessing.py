"""Preprocessing of camera frames against OpenCV's own steps."""

import cv2
import numpy as np
import pytest
import torch

from modules.errors import InputError
from modules.steering.preprocessing import FramePreprocessing, equalise_histogram, to_yuv
from tests.modules.steering.steering_models import camera_frames


def test_crops_shares_of_the_rows_and_resizes_by_area():
    frame = camera_frames(1, height=240, width=320)[0]
    result = FramePreprocessing(60, 160, crop_top=0.5)(frame)
    expected = cv2.resize(frame[120:], (160, 60), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(result.permute(1, 2, 0).numpy(), expected)
    both = FramePreprocessing(48, 320, crop_top=0.5, crop_bottom=0.25)(frame)
    expected = cv2.resize(frame[120:180], (320, 48), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(both.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("size", [(3, 5), (200, 30), (1, 1)])
def test_takes_frames_of_any_size(size):
    frame = camera_frames(1, height=size[0], width=size[1])[0]
    assert FramePreprocessing(20, 40, crop_top=0.4, crop_bottom=0.3)(frame).shape == (3, 20, 40)


def test_the_whole_frame_at_its_own_size_is_left_as_it_is_and_copied():
    frame = camera_frames(1, height=20, width=40)[0]
    result = FramePreprocessing(20, 40)(frame)
    np.testing.assert_array_equal(result.permute(1, 2, 0).numpy(), frame)
    result.fill_(0)
    assert frame.any()


def test_yuv_is_opencvs_to_one_grey_value():
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = to_yuv(torch.from_numpy(frame).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - cv2.cvtColor(frame, cv2.COLOR_RGB2YUV)).max() <= 1


def test_equalises_each_plane_by_itself_as_opencv_does():
    random = np.random.default_rng(1)
    planes = random.normal(90, 12, (4, 30, 40)).clip(0, 255).astype(np.uint8)
    planes[1] = 77  # of one value
    planes[2, :, :20] = 0
    planes[3] = random.integers(0, 256, (30, 40))
    found = equalise_histogram(torch.from_numpy(planes).view(2, 2, 30, 40)).view(4, 30, 40)
    for plane, result in zip(planes, found.numpy(), strict=True):
        np.testing.assert_allclose(result, cv2.equalizeHist(plane), rtol=0, atol=1)
    assert (found[1] == 77).all()


def test_recolouring_a_batch_is_that_of_each_frame_and_equalises_luma_alone():
    preprocessing = FramePreprocessing(20, 30, colours="yuv", equalise=True)
    frames = torch.stack([preprocessing(frame) for frame in camera_frames(6)]).view(2, 3, 3, 20, 30)
    together = preprocessing.recolour(frames)
    assert torch.equal(together[1, 2], preprocessing.recolour(frames[1, 2]))
    plain = to_yuv(frames)
    assert torch.equal(together[:, :, 1:], plain[:, :, 1:])
    assert not torch.equal(together[:, :, 0], plain[:, :, 0])
    assert FramePreprocessing(20, 30).recolour(frames) is frames


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_top": 0.6, "crop_bottom": 0.4}, "leave no row"),
        ({"equalise": True}, "colours yuv"),
        ({"height": 0}, "model.frames.height is 0"),
        ({"crop_top": 1.0}, "model.frames.crop_top is 1.0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        FramePreprocessing(**options)
