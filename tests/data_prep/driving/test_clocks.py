"""Times in any unit become seconds, by their steps and their size; what fits no unit is refused."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.driving import read_drives
from data_prep.driving.clocks import are_times, in_seconds, time_in_name
from data_prep.driving.formats import challenge, udacity
from data_prep.driving.formats.frame_folder import image_times
from data_prep.driving.table import write_drive_csv
from modules.errors import InputError
from pipelines.steering.angle_files import read_true_angles
from tests.data_prep.driving.driving_folders import drive, put
from tests.data_prep.driving.formats.test_formats_containers import write_video

UNITS = {"seconds": 1, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
MINUTES = {**UNITS, "minutes": 1 / 60}
EPOCH = 1479425441.0


@pytest.mark.parametrize("rate", [1, 9, 20, 30, 100, 200])
@pytest.mark.parametrize("start", [0.0, 900.0, EPOCH])
@pytest.mark.parametrize("announced", UNITS)
@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_of_a_cameras_times_is_told(unit: str, announced: str, start: float, rate: float) -> None:
    times = start + np.arange(60) / rate
    found, notes = in_seconds(times * UNITS[unit], "a.csv:2", announced)
    np.testing.assert_allclose(found, times, atol=1e-5)
    assert bool(notes) == (unit != announced)
    if notes:
        assert notes[0].startswith(f"a.csv:2: times are read as {unit}, ") and " a second" in notes[0]


def test_times_of_no_recording_are_refused_and_few_are_believed() -> None:
    for step in (1e-5, 1e13):
        with pytest.raises(InputError, match=r"a.csv:2: times step by 1e[-+]?\d+, .*write them in seconds"):
            in_seconds(np.arange(60) * step, "a.csv:2")
    assert in_seconds(np.array([0.0, 50, 100]), "a.csv:2") == (pytest.approx([0, 50, 100]), [])


def test_times_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match=r"a.csv:2: all 9 times are 5; write the time of each frame"):
        in_seconds(np.full(9, 5.0), "a.csv:2")
    with pytest.raises(InputError, match=r"times span 0.00.*in no unit is about the 6 s of the video"):
        in_seconds(np.linspace(0, 6 / 3600, 120), "a.csv:2", duration_s=6.0)  # hours


def test_numbers_of_frames_are_no_times() -> None:
    assert not are_times(np.arange(0, 300_000, 5)) and not are_times(np.array([7]))
    assert are_times(np.arange(20) * 50_000_000) and are_times(np.array([1479425441182]))


@pytest.mark.parametrize("unit", MINUTES)
def test_drive_csv_in_any_unit(tmp_path: Path, unit: str) -> None:
    table = drive(tmp_path, 40)
    table.time_s *= MINUTES[unit]
    write_drive_csv(table, tmp_path / "drive.csv")
    again = read_drives(tmp_path)
    np.testing.assert_allclose(again.time_s, np.arange(40) / 20, atol=1e-9)
    assert len(again.notes) == (unit != "seconds")
    labels = read_true_angles(tmp_path / "drive.csv")  # as score reads them
    np.testing.assert_allclose(labels.time_s, np.arange(40) / 20, atol=1e-9)
    assert labels.notes == again.notes


@pytest.mark.parametrize("unit", MINUTES)
def test_labels_of_a_video_in_any_unit(tmp_path: Path, unit: str) -> None:
    write_video(tmp_path / "a.mp4", 50, 5.0)  # of 10 s
    for every, start in ((0.001, 0.0), (0.01, EPOCH), (0.1, 0.0), (1.0, EPOCH)):
        start *= unit in UNITS
        times = start + np.arange(0, 10, every)
        rows = "\n".join(f"{time * MINUTES[unit]!r},{time - start}" for time in times.tolist())
        put(tmp_path, "a.csv", f"time,angle\n{rows}\n")
        table = read_drives(tmp_path)
        np.testing.assert_allclose(table.angle_rad, np.arange(50) / 5, atol=every + 1e-3)
        assert any(f"read as {unit}" in note for note in table.notes) == (unit != "seconds")


@pytest.mark.parametrize("unit", ["milliseconds", "microseconds", "nanoseconds"])
def test_stamps_of_challenge_udacity_and_images(tmp_path: Path, unit: str) -> None:
    times = EPOCH + np.arange(20) / 20
    stamps = [round(time * UNITS[unit]) for time in times]
    put(tmp_path, "l.csv", "frame_id,steering_angle\n" + "\n".join(f"{stamp},0.1" for stamp in stamps))
    rows = "\n".join(f"{stamp},center/{stamp}.jpg,0.1" for stamp in stamps)
    put(tmp_path, "interpolated.csv", f"timestamp,filename,angle\n{rows}")
    for table in (challenge.read(tmp_path), udacity.read(tmp_path)):
        np.testing.assert_allclose(table.time_s, times, atol=1e-6)
        assert len(table.notes) == (unit != "nanoseconds")
    np.testing.assert_allclose(image_times([str(stamp) for stamp in stamps], 20)[0], times, atol=1e-6)
    np.testing.assert_allclose(read_true_angles(tmp_path / "l.csv").time_s, times, atol=1e-6)


def test_a_date_in_a_name() -> None:
    assert time_in_name("left_1970_01_02_00_00_01_250.jpg") == 86401.25
    assert np.isnan(time_in_name("1970_01_02"))
