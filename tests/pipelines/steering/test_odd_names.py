"""Frames are called whatever a file system takes, and are steered at and scored all the same."""

import os

import numpy as np

from data_prep.driving.table import DriveTable
from pipelines.steer import main
from pipelines.steering.predicted_drives import read_predictions, write_predictions
from tests.pipelines.steering.steering_recordings import write_checkpoint, write_frames


def test_frames_whose_names_are_no_utf8_are_steered_at(tmp_path):
    write_frames(tmp_path, [f"monday/{number}.png" for number in range(3)])
    for picture in list((tmp_path / "monday").iterdir()):
        picture.rename(picture.with_name(os.fsdecode(b"caf\xe9") + picture.name))
    checkpoint, output = write_checkpoint("transfer", tmp_path / "a.ckpt"), tmp_path / "out.csv"
    files = ["--output", str(output), "--overlay", str(tmp_path / "out.mp4")]
    assert (
        main(["predict", "--ckpt_path", str(checkpoint), "--frames", str(tmp_path / "monday"), *files]) == 0
    )
    rows = [line.split(",") for line in output.read_text().splitlines()[1:]]
    assert [name for name, _ in rows] == [rf"caf\udce9{number}" for number in range(3)]


def test_drives_whose_names_are_no_utf8_are_read_again(tmp_path):
    names = {"file": ["caf\udce9/1.jpg", "caf\udce9/2.jpg"], "drive": "caf\udce9"}
    table = DriveTable.build(tmp_path, **names, time_s=np.arange(2.0), angle_rad=np.array([0.1, 0.2]))
    path = write_predictions(tmp_path / "predictions.csv", table, np.arange(2), np.array([0.3, 0.4]))
    read = read_predictions(path)
    assert read.prediction_rad.tolist() == [0.3, 0.4] and read.drive.tolist() == [r"caf\udce9"] * 2
