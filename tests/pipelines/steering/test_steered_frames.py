"""Steering along a recording: how far ahead its frames are decoded."""

import numpy as np

from data_prep.driving.formats.frame_folder import frames_of
from modules.steering.smoothing import Smoother
from modules.steering.steerer import Steerer
from pipelines.steering.steered_frames import PIECE, steer_frames
from tests.pipelines.steering.steering_recordings import camera_frame, stamps, write_checkpoint, write_frames

COLUMNS = ("frame", "time_s", "angle_rad", "drive", "camera", "line", "source", "torque", "speed_mps")


def test_frames_are_decoded_as_they_are_needed(tmp_path, monkeypatch):
    write_frames(tmp_path / "drive", [f"center/{name}.png" for name in stamps(*range(40))])
    table, _ = frames_of(tmp_path / "drive")
    table.file = np.tile(table.file, 10)
    for name in COLUMNS:
        setattr(table, name, np.tile(getattr(table, name), 10))
    read = []
    monkeypatch.setattr(
        "data_prep.driving.frame_sources.read_image", lambda path: read.append(path) or camera_frame(3)
    )
    model = Steerer.load(write_checkpoint("komanda", tmp_path / "komanda.ckpt"))
    steered = steer_frames(table, [model], Smoother())
    for _ in range(100):
        next(steered)
    assert 100 <= len(read) <= 100 + 3 * PIECE < len(table)
    steered.close()
