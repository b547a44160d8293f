"""Frames without labels: what their names tell, where they lie, what is refused."""

from itertools import product

import numpy as np
import pytest

from data_prep.driving import read_drives
from data_prep.driving.formats.frame_folder import frames_of, image_times
from data_prep.driving.frame_sources import decode_in_order
from data_prep.driving.table import write_drive_csv
from modules.errors import InputError
from pipelines.steering.drawing.picture import write_video
from pipelines.steering.true_angles import true_angles
from tests.data_prep.driving.driving_folders import draw, drive, numbered, put

START = 1479425441182877835
STAMPS = [START + 50_000_000 * n for n in (0, 1, 2, 6, 7, 30, 31)]


def frames(path, **options):
    table, notes = frames_of(path, **options)
    return table.frame.tolist(), table.drive.tolist(), notes


def test_held_out_stretches_of_a_challenge_drive_need_no_labels(tmp_path):
    root = tmp_path / "monday"
    draw(root, [f"center/{stamp}.jpg" for stamp in reversed(STAMPS)])
    names, drives, notes = frames(root)
    assert names == [str(stamp) for stamp in STAMPS] and notes == []
    assert drives == ["monday"] * 3 + ["monday~2"] * 2 + ["monday~3"] * 2
    # nor does a table that lacks most of them, or the model's own angles, hide any
    put(root, "CH2_final_evaluation.csv", f"frame_id,steering_angle\n{STAMPS[0]},0.1\n")
    put(root, "predictions.csv", f"frame_id,steering_angle\n{STAMPS[0]},0.1\n")
    put(root, "preview.png")
    assert frames(root)[0] == names
    assert frames(root / "center")[0] == names


def test_numbers_count_frames_and_leaps_are_gaps(tmp_path):
    # every fifth frame was kept; 11 to 25 are the usual step, 45 is four of them on
    draw(tmp_path, [f"{n}_cam.png" for n in (10, 15, 20, 25, 45, 50, 5)])
    names, drives, notes = frames(tmp_path, rate_hz=10)
    assert names == ["5_cam", "10_cam", "15_cam", "20_cam", "25_cam", "45_cam", "50_cam"]
    assert [part.partition("~")[2] for part in drives] == [""] * 5 + ["2"] * 2
    assert len(notes) == 1 and "10 frames a second" in notes[0]
    table, _ = frames_of(tmp_path, rate_hz=10)
    np.testing.assert_allclose(table.time_s, np.array([0, 1, 2, 3, 4, 8, 9]) / 10)


def test_other_names_are_in_natural_order_without_gaps(tmp_path):
    draw(tmp_path, ["b2.png", "b10.png", "a100 x.png", "a9 y.png"])
    names, drives, notes = frames(tmp_path)
    assert names == ["a9 y", "a100 x", "b2", "b10"]
    assert len(set(drives)) == 1 and "natural order" in notes[0]


@pytest.mark.parametrize(
    ("names", "times"),
    [
        (["1479425441.25", "1479425441.5", "1479425440.875"], [1479425441.25, 1479425441.5, 1479425440.875]),
        (
            ["1479425441182", "1479425441232", "1479425441282"],
            [1479425441.182, 1479425441.232, 1479425441.282],
        ),  # milliseconds
        (["frame"], [0]),
        (["frame7"], [0]),
        (["x²", "x1"], [0.05, 0]),
    ],
)
def test_times_of_other_names(names, times):
    np.testing.assert_allclose(image_times(names, 20)[0], times)


def test_a_stray_image_among_times_is_named_and_left_out(tmp_path):
    draw(tmp_path, [f"{stamp}.png" for stamp in STAMPS[:3]] + ["map.png"])
    names, _, notes = frames(tmp_path)
    assert names == [str(stamp) for stamp in STAMPS[:3]]
    assert len(notes) == 1 and "'map'" in notes[0]


def test_a_video_is_read_without_labels_and_several_are_told_apart(tmp_path):
    for name, many in (("a", 5), ("b", 3)):
        write_video([numbered(50 + n, 32, 48) for n in range(many)], tmp_path / f"{name}.mp4", 10)
    table, _ = frames_of(tmp_path / "a.mp4")
    assert table.frame.tolist() == ["0", "1", "2", "3", "4"]
    np.testing.assert_allclose(table.time_s, np.arange(5) / 10, atol=1e-3)
    names, drives, _ = frames(tmp_path)
    assert names == ["0", "1", "2", "3", "4", "0", "1", "2"]
    assert drives == ["a"] * 5 + ["b"] * 3
    # a table for one of them is not looked at
    put(tmp_path, "a.csv", "frame,angle_rad\n0,0.1\n")
    assert frames(tmp_path)[0] == names
    assert true_angles(tmp_path / "a.mp4", table)[0] == pytest.approx(0.1)
    both, _ = frames_of(tmp_path)
    labels = put(tmp_path, "labels.csv", "frame_id,steering_angle,drive\n1,0.1,a\n1,0.2,b\n2,0.3,b\n")
    np.testing.assert_array_equal(true_angles(labels, both)[[0, 1, 5, 6, 7]], [np.nan, 0.1, np.nan, 0.2, 0.3])


def test_a_known_recording_is_read_by_its_reader_one_camera_at_a_time(tmp_path):
    table = drive(tmp_path, 6, drawn=True, camera=np.array(["center", "left"] * 3))
    write_drive_csv(table, tmp_path / "drive.csv")
    assert frames(tmp_path)[0] == ["00000", "00002", "00004"]
    assert frames(tmp_path, camera="left")[0] == ["00001", "00003", "00005"]
    with pytest.raises(InputError, match=r"--camera top: .* center, left"):
        frames_of(tmp_path, camera="top")
    center, _ = frames_of(tmp_path)
    for labels in (tmp_path, tmp_path / "drive.csv"):
        np.testing.assert_allclose(true_angles(labels, center), [0, 0.02, 0.04])
    (tmp_path / "images/00002.png").unlink()
    names, drives, notes = frames(tmp_path)
    assert names == ["00000", "00004"] and len(set(drives)) == 2
    assert any("absent" in note for note in notes) and not any("angle" in note for note in notes)


@pytest.mark.parametrize(
    "pattern",
    [
        "{side}_2020_05_09_22_59_59_{n:03d}.png",
        "{side}/{n:03d}.png",
        "{n:03d}_{side}.png",
        "images/{side}-{n:03d}.png",
    ],
)
def test_cameras_are_told_apart_by_names(tmp_path, pattern):
    draw(tmp_path, [pattern.format(side=s, n=50 * n) for s in ("center", "left", "right") for n in range(4)])
    for camera in ("center", "left"):
        table, notes = frames_of(tmp_path, camera)
        assert len(table) == 4 and all(camera in file for file in table.file)
        assert set(table.camera) == {camera} and len(set(table.drive)) == 1
        assert sum(f"camera {camera} is taken" in note for note in notes) == 1
        np.testing.assert_allclose(np.diff(table.time_s), 0.05, atol=1e-6)


@pytest.mark.parametrize(("names", "drives"), [("{side}", ["drive"]), ("{n}_{side}", ["1", "2"])])
@pytest.mark.parametrize("read", [lambda root: frames_of(root)[0], read_drives])
def test_videos_called_by_cameras_are_of_one_drive(tmp_path, names, drives, read):
    for n, side in product(range(1, len(drives) + 1), ("left", "center")):
        name = names.format(n=n, side=side)
        write_video([numbered(50, 32, 48)] * 3, tmp_path / f"{name}.mp4", 10)
        put(tmp_path, f"{name}.csv", "time_s,angle_rad\n0,0.1\n0.1,0.2\n0.2,0.3\n")
    table = read(tmp_path)
    table = table.select(table.camera == "center")
    assert table.drive.tolist() == [drive for drive in drives for _ in range(3)]
    assert all("center" in file for file in table.file)


def test_turns_to_left_and_right_are_no_cameras(tmp_path):
    draw(tmp_path, [*(f"left_turn_{n}.png" for n in range(4)), *(f"right_turn_{n}.png" for n in range(4, 8))])
    assert len(frames(tmp_path)[0]) == 8


@pytest.mark.parametrize(
    ("files", "path", "said"),
    [
        ([], "absent", "no such file or folder"),
        (["notes.txt"], "", "holds no images"),
        (["deep/1.png", "deep/2.png"], "", "such as .*deep"),
        (["1.png", "1.jpg", "2.png"], "", "both frame '1'"),
        (["1.png"], "1.png", "no drives in a known format"),
        (["empty.mp4"], "empty.mp4", "no video that can be read"),
    ],
)
def test_what_is_refused(tmp_path, files, path, said):
    for name in files:
        put(tmp_path, name)
    with pytest.raises(InputError, match=said):
        frames_of(tmp_path / path)


def test_frames_come_in_the_order_of_the_list_from_anywhere(tmp_path):
    for name in ("a", "b"):
        write_video([numbered(60 + 20 * n, 32, 48) for n in range(4)], tmp_path / f"{name}.mp4", 10)
    draw(tmp_path, ["0.png", "1.png"])
    put(tmp_path, "bad.png", b"no image")
    files = ["a.mp4#1", "a.mp4#3", "a.mp4#2", "1.png", "bad.png", "0.png", "b.mp4#0", "a.mp4#0", "a.mp4#9"]
    found = list(decode_in_order(tmp_path, files, lambda image: float(image[..., 0].mean())))
    np.testing.assert_allclose(
        [found[n] for n in (0, 1, 2, 3, 5, 6, 7)], [80, 120, 100, 1, 0, 60, 60], atol=4
    )
    assert isinstance(found[4], str) and "frame 9" in found[8]
