"""Videos of driving are there whole or not at all."""

import cv2
import numpy as np
import pytest

from modules.errors import InputError
from pipelines.steering.drawing.picture import write_text, write_video

resource = pytest.importorskip("resource")  # not on Windows


def test_a_video_that_was_cut_off_is_said(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (20, 120, 160, 3), dtype=np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"a.mp4: the video could not be written to its end"):
            write_video(noise, tmp_path / "a.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    assert write_video(noise, tmp_path / "a.mp4").stat().st_size > 50_000


@pytest.mark.parametrize(
    ("rate_hz", "kept"), [(99.987, 99.99), (200 / 3, 66.67), (30000 / 1001, 29.97), (1e-3, 0.01)]
)
def test_a_video_of_any_rate_can_be_written(tmp_path, rate_hz, kept):
    video = write_video(np.zeros((3, 96, 128, 3), np.uint8), tmp_path / "a.mp4", rate_hz)
    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FPS) == pytest.approx(kept)


def test_a_name_that_is_no_utf8_is_written_on_a_picture():
    written, picture = np.zeros((2, 30, 100, 3), np.uint8)
    write_text(written, "frame caf\udce9", (4, 20))
    write_text(picture, "frame caf?", (4, 20))
    assert written.any() and np.array_equal(written, picture)
