"""The table of drives: read and written without loss, cut where a drive is broken, faults said with row."""

import re
from pathlib import Path

import numpy as np
import pytest

from data_prep.driving import read_drives
from data_prep.driving import table as drive_table
from data_prep.driving.checks import absent_files, problems
from data_prep.driving.clocks import frame_period
from data_prep.driving.cutting import cut_drives, shift_labels, smooth_angles
from data_prep.driving.summary import describe, prepared
from data_prep.driving.table import DriveTable, join_tables, read_drive_csv, split_reference, write_drive_csv
from modules.errors import InputError
from tests.data_prep.driving.driving_folders import draw, drive, drives, put


def said(table: DriveTable) -> str:
    lines = problems(table, absent_files(table))
    assert all("\n" not in line for line in lines)
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------ drive.csv


def test_drive_csv_comes_back_as_written(tmp_path: Path) -> None:
    table = drive(tmp_path, 5, time_s=1479425441.182877835 + np.arange(5) / 20, speed_mps=7.25)
    table.torque[2], table.angle_rad[3] = -0.5, np.nan
    write_drive_csv(table, tmp_path / "drive.csv")
    head, *rows = (tmp_path / "drive.csv").read_text().splitlines()
    assert head == "frame,file,time_s,angle_rad,torque,speed_mps,camera,drive"
    assert rows[3] == f"00003,images/00003.png,{float(table.time_s[3])!r},,,7.25,center,monday"
    again = drive_table.read(tmp_path)
    for name, column in table.columns().items():
        if name not in ("source", "line"):
            np.testing.assert_array_equal(getattr(again, name), column)
    assert again.where(4) == f"{tmp_path / 'drive.csv'}:6"
    assert not list(tmp_path.glob(".*")), "no unfinished file is left"


def test_drive_csv_elsewhere_still_finds_the_images(tmp_path: Path) -> None:
    table = drive(tmp_path / "data", 3, drawn=True)
    write_drive_csv(table, tmp_path / "tables/a/drive.csv")
    again = drive_table.read(tmp_path / "tables/a")
    assert again.file[0] == "../../data/images/00000.png" and not absent_files(again).any()


def test_columns_in_any_order_with_defaults(tmp_path: Path) -> None:
    path = put(
        tmp_path, "drive.csv", "\ufeffangle_rad;file;time_s;note\r\n0.5;a/b.jpg;1\r\n\r\n;c.mp4#7;2;\r\n"
    )
    with pytest.raises(InputError, match=r"drive\.csv:2: 3 cells under 4 columns"):
        read_drive_csv(path)
    put(tmp_path, "drive.csv", "\ufeffangle_rad;file;time_s;note\r\n0.5;a/b.jpg;1;x\r\n\r\n;c.mp4#7;2;\r\n")
    table = read_drive_csv(path)
    assert table.frame.tolist() == ["b", "7"] and table.camera.tolist() == ["center"] * 2
    assert table.angle_rad[0] == 0.5 and np.isnan(table.angle_rad[1]) and table.line.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,time_s\na.jpg,1\n", r"csv:1: no column for the angle_rad .*columns are: file, time_s"),
        ("file,time_s,angle_rad\na.jpg,1,left\n", r"csv:2: angle_rad is 'left', which is no number"),
        ("file,time_s,angle_rad\na.jpg,1,inf\n", r"csv:2: angle_rad is infinite"),
        ("file,time_s,angle_rad\na.jpg,,0\n", r"csv:2: the frame has no time_s"),
        ("file,time_s,angle_rad\n,1,0\n", r"csv:2: the frame has no file"),
        ("file,time_s,angle_rad,file\na,1,0,a\n", r"csv:1: has two columns 'file'"),
        ('file,time_s,angle_rad\n"a,1,0\nb,1,0\n', r"csv:2: is no csv .*quote"),
        ("file,time_s,angle_rad\n", r"csv: holds no rows"),
        ("", r"csv: holds no rows"),
        (b"file,time_s,angle_rad\na.jpg,1,0\n\xff\xfe,1,0\n", r"csv:3: is not UTF-8"),
    ],
)
def test_faults_of_drive_csv(tmp_path: Path, text: str | bytes, message: str) -> None:
    put(tmp_path, "drive.csv", text)
    with pytest.raises(InputError, match=message) as caught:
        drive_table.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_references_into_containers() -> None:
    assert split_reference("a/b.mp4#12") == ("a/b.mp4", "", 12)
    assert split_reference("b.bag#/camera/image#3") == ("b.bag", "/camera/image", 3)
    assert split_reference("center/12.jpg") is None and split_reference("a#1.jpg") is None


# --------------------------------------------------------------------------------------------------- cutting


def parts(table: DriveTable) -> dict[str, list[str]]:
    return {str(table.drive[rows[0]]): table.frame[rows].tolist() for rows in table.series()}


def test_a_drive_is_cut_where_time_leaps_over_more_than_three_periods(tmp_path: Path) -> None:
    times = np.arange(12) / 20
    times[4:] += 0.1  # a step of three periods: no cut
    times[8:] += 0.101  # and one of a little more
    table = cut_drives(drive(tmp_path, 12, time_s=times))
    assert {name: len(frames) for name, frames in parts(table).items()} == {"monday": 8, "monday~2": 4}
    assert frame_period(times) == pytest.approx(0.05)


def test_a_drive_is_cut_where_time_runs_backwards(tmp_path: Path) -> None:
    table = drive(tmp_path, 10, time_s=np.r_[np.arange(6), np.arange(4)] / 20)
    assert [len(frames) for frames in parts(cut_drives(table)).values()] == [6, 4]
    assert "row:7: time runs backwards to 0.000 s (1 such rows)" in said(table)


def test_a_drive_is_cut_at_unusable_frames_however_short_the_gap(tmp_path: Path) -> None:
    unusable = np.isin(np.arange(10), [0, 3, 4, 9])
    table = cut_drives(drive(tmp_path, 10), unusable)
    assert parts(table) == {"monday": ["00001", "00002"], "monday~2": [f"0000{n}" for n in (5, 6, 7, 8)]}
    assert set(table.recordings()) == {"monday"}
    again = cut_drives(table)
    assert parts(again) == parts(table), "cutting once more changes nothing"
    further = cut_drives(again, again.frame == "00006")
    assert list(parts(further)) == ["monday", "monday~2", "monday~3"]


def test_cameras_are_cut_by_themselves_and_lie_together(tmp_path: Path) -> None:
    table = drive(tmp_path, 30, time_s=np.arange(30) / 60, camera=["left", "center", "right"] * 10)
    cut = cut_drives(table, np.arange(30) == 9)  # a frame of the left camera
    assert [len(rows) for rows in cut.series()] == [3, 6, 10, 10]
    assert all((np.diff(rows) == 1).all() for rows in cut.series())


def test_repeated_frames_are_left_out_without_a_cut(tmp_path: Path) -> None:
    table = drive(tmp_path, 8, time_s=np.array([0, 1, 1, 2, 3, 4, 5, 6]) / 20)
    table.file[6] = table.file[5]
    cut = cut_drives(table)
    assert parts(cut) == {"monday": [f"0000{n}" for n in (0, 1, 3, 4, 5, 7)]}
    assert "row:3: 2 frames are repeated" in said(table)


def test_times_in_whole_seconds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row:2: most frames of monday stand at the time .*fractions"):
        cut_drives(drive(tmp_path, 60, time_s=np.arange(60) // 20))


# ---------------------------------------------------------------------------------------------------- checks


def test_absent_images_are_said_with_the_first(tmp_path: Path) -> None:
    table = drive(tmp_path, 5)
    assert "row:1: all images are absent, the first is" in said(table)
    draw(tmp_path, ["images/00000.png", "images/00001.png", "images/00003.png", "images/00004.png"])
    assert absent_files(table).tolist() == [False, False, True, False, False]
    line = said(table)
    assert "row:3: 1 image is absent, the drive is cut; (1 of 5)" in line and "00002.png" in line


@pytest.mark.parametrize(
    ("angles", "message"),
    [
        (np.zeros(60), r"drive monday \(center\): all 60 angles are 0; these are no labels"),
        (np.full(60, 0.3), r"all 60 angles are 0.3; these are no labels"),
        (np.r_[np.nan, np.arange(59) / 100], r"row:1: 1 frame is without an angle \(1 of 60\)"),
        (np.linspace(-90, 90, 60), r"row:1: drive monday: angles up to 90.0 rad look like degrees"),
        (np.linspace(-5.5, 5.5, 60), r"look like degrees"),
        (np.sin(np.arange(60)) * 1.5, r"look like degrees"),  # turned to and fro at 15 rad/s
        (np.linspace(-0.5, 0.3, 60) * np.pi / 180, r"no angle is above 0.0087 rad; .*they are 0.5 rad"),
    ],
)
def test_labels_that_cannot_be_right_are_said(tmp_path: Path, angles: np.ndarray, message: str) -> None:
    table = drive(tmp_path, 60, drawn=True, angle_rad=angles)

    assert re.search(message, said(table)), said(table)


def test_ordinary_driving_is_not_complained_of(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    angles = 0.2 * np.convolve(random.normal(size=79), np.ones(20) / 4, "valid")
    assert said(drive(tmp_path, 60, drawn=True, angle_rad=angles)) == ""


@pytest.mark.parametrize(
    "wrong",
    [{30: 90.0}, {30: 1e308}, {7: -5.0}, {0: 20.0}, {299: 20.0}, {**dict.fromkeys(range(40, 160), 7.0)}],
)
def test_outliers_are_named_and_left_out_not_taken_for_degrees(
    tmp_path: Path, wrong: dict[int, float]
) -> None:
    random = np.random.default_rng(0)
    angles = 0.2 * np.convolve(random.normal(size=319), np.ones(20) / 4, "valid")
    angles[list(wrong)] = list(wrong.values())
    table, warnings = prepared(drive(tmp_path, 300, drawn=True, angle_rad=angles))
    assert np.flatnonzero(np.isnan(table.angle_rad)).tolist() == sorted(wrong)
    assert len(warnings) == 1 and "degrees" not in warnings[0]
    first = min(wrong)
    assert (
        f"row:{first + 1}: drive monday: the angles of frames {first:05d} ({wrong[first]:.4g} rad)"
        in warnings[0]
    )
    assert ("and 115 more are outliers" in warnings[0]) == (len(wrong) > 5)


def test_wheels_that_leap_from_side_to_side_have_no_outliers(tmp_path: Path) -> None:
    keys = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 300, p=[0.05, 0.9, 0.05])
    assert said(drive(tmp_path, 300, drawn=True, angle_rad=keys)) == ""


def test_a_stretch_of_one_frame_says_nothing_of_the_rate(tmp_path: Path) -> None:
    table = drives(tmp_path, [3, 1, 1, 1])
    assert table.rate_hz() == pytest.approx(20)
    assert drives(tmp_path, [1, 1]).rate_hz(otherwise=9.0) == 9.0


def test_totals_do_not_add_cameras(tmp_path: Path) -> None:
    cameras = ("center", "left", "right")
    parts = [drives(tmp_path, [40, 60], camera=camera) for camera in cameras]
    for name, frames, seconds in (("a", "40", "2"), ("b", "60", "3")):
        one = join_tables([part.select(part.drive == name) for part in parts])
        cells = [list(column.cells) for column in describe(one).columns]
        assert cells[0] == [name] * 3 and cells[2] == [frames] * 3 and cells[3] == [seconds] * 3
    cells = [list(column.cells) for column in describe(join_tables(parts)).columns]
    assert cells[0][-3:] == ["2 drives"] * 3 and cells[1][-3:] == list(cameras)
    assert cells[2][-3:] == ["100"] * 3 and cells[3][-3:] == ["5"] * 3


@pytest.mark.parametrize("recorder", ["donkeycar", "simulator", "challenge"])
def test_a_drive_csv_says_whose_commands_its_angles_are(tmp_path: Path, recorder: str) -> None:
    table = drives(tmp_path, [9])
    table.recorder = recorder
    write_drive_csv(table, tmp_path / "drive.csv")
    has_unit = recorder != "challenge"
    assert ("recorder" in (tmp_path / "drive.csv").read_text()) == has_unit
    assert read_drives(tmp_path).recorder == (recorder if has_unit else "drive")
    (tmp_path / "drive.csv").write_text("file,time_s,angle_rad,recorder\n1.jpg,0,0.1,donkey\n")
    with pytest.raises(InputError, match=r"drive.csv:2: recorder is 'donkey'; one of donkeycar, simulator"):
        read_drives(tmp_path)


def test_a_throttle_comes_back_as_written(tmp_path: Path) -> None:
    write_drive_csv(drive(tmp_path, 3, throttle=[0.5, np.nan, -1]), tmp_path / "drive.csv")
    np.testing.assert_array_equal(drive_table.read(tmp_path).throttle, [0.5, np.nan, -1])


def test_shifted_labels_stay_in_their_stretch(tmp_path: Path) -> None:
    table = drives(tmp_path, [3, 2], throttle=np.arange(5) / 10)
    nan = np.nan
    later, before = shift_labels(table, 1), shift_labels(table, -2)
    np.testing.assert_allclose(later.angle_rad, [0.01, 0.02, nan, 0.04, nan])
    np.testing.assert_allclose(later.throttle, [0.1, 0.2, nan, 0.4, nan])
    np.testing.assert_allclose(before.angle_rad, [nan, nan, 0.0, nan, nan])
    assert shift_labels(table, 0) is table


def test_smoothed_angles_are_means_of_the_chosen_ones_around(tmp_path: Path) -> None:
    table = drives(tmp_path, [40, 5], angle_rad=np.where(np.arange(45) == 20, 1.0, 0.0))
    chosen = np.arange(45) != 41
    smooth = smooth_angles(table, 2.0, chosen).angle_rad
    assert smooth[:40].sum() == pytest.approx(1) and smooth[20] == pytest.approx(0.1997, abs=1e-3)
    np.testing.assert_allclose(smooth[14:21], smooth[26:19:-1])
    assert not smooth[40:].any() and smooth[13] == 0, "not across a cut, nor beyond three deviations"
    table.angle_rad[41] = 5.0
    again = smooth_angles(table, 2.0, chosen).angle_rad
    assert again[41] == 5.0 and not again[[40, 42, 43]].any(), "of others it knows nothing"
    assert smooth_angles(table, 0.0, chosen) is table
