"""Videos of driving are there whole or not at all."""

import numpy as np
import pytest

from modules.errors import InputError
from pipelines.steering.drawing.picture import write_video

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
