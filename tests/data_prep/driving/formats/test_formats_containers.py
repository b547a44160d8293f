"""Frames inside HDF5 files and videos: labels at the right frames, frames at the right numbers."""

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep.driving import read_drives, recognise
from data_prep.driving.cutting import cut_drives
from data_prep.driving.formats import comma, video
from data_prep.driving.formats.frame_folder import frames_of
from data_prep.driving.frame_sources import decode_frames
from data_prep.driving.summary import prepared
from modules.errors import InputError
from tests.data_prep.driving.driving_folders import numbered, put


def decoded(root: Path, files: list[str]) -> list:
    return [image for _, image in sorted(decode_frames(root, files, lambda image: image), key=lambda p: p[0])]


# ------------------------------------------------------------------------------------------------------ HDF5


def write_comma(root: Path, name: str = "2016-06-08--11-46-01", frames: int = 10, **changed: object) -> None:
    """Camera at 20 Hz and log at 100 Hz: 5 entries a frame, the angle 10 n tenths of a degree at frame n."""
    h5py = pytest.importorskip("h5py", reason="HDF5 needs h5py")
    (root / "camera").mkdir(parents=True, exist_ok=True)
    (root / "log").mkdir(exist_ok=True)
    with h5py.File(root / f"camera/{name}.h5", "w") as file:
        images = np.stack([numbered(n, 16, 32) for n in range(frames)])
        file["X"] = changed.get("X", images.transpose(0, 3, 1, 2))
    pointer = np.repeat(np.arange(frames), 5).astype(np.float64)
    columns = {
        "cam1_ptr": pointer,
        "steering_angle": 10 * pointer + np.tile([-2.0, -1, 0, 1, 2], frames),
        "speed": pointer / 2,
        "times": 100 + np.arange(5 * frames) / 100,
    }
    with h5py.File(root / f"log/{name}.h5", "w") as file:
        for column, values in {**columns, **changed}.items():
            if column != "X" and values is not None:
                file[column] = values


def test_comma_research_files(tmp_path: Path) -> None:
    write_comma(tmp_path)
    write_comma(tmp_path, "b", frames=4)
    assert recognise(tmp_path) == "comma"
    table, warnings = prepared(read_drives(tmp_path))
    assert not warnings and [len(rows) for rows in table.series()] == [10, 4]
    np.testing.assert_allclose(np.degrees(table.angle_rad[:10]), -np.arange(10), atol=1e-9)
    np.testing.assert_allclose(table.speed_mps[:10], np.arange(10) / 2)
    np.testing.assert_allclose(table.time_s[:10], 100.02 + np.arange(10) / 20)
    images = decoded(tmp_path, [table.file[7], table.file[2], table.file[11]])
    for image, number in zip(images, (7, 2, 1), strict=True):
        np.testing.assert_array_equal(image, numbered(number, 16, 32))
    assert decoded(tmp_path, ["camera/b.h5#4"]) == ["has 4 frames, not frame 4"]


def test_comma_frames_without_log_entries(tmp_path: Path) -> None:
    pointer = np.repeat([1, 2, 5, 99], 5).astype(np.float64)  # 99 is no frame
    times = np.repeat([10.05, 10.10, 10.25, 0], 5)
    write_comma(tmp_path, cam1_ptr=pointer, times=times, steering_angle=0 * pointer, speed=0 * pointer)
    table = read_drives(tmp_path)
    np.testing.assert_allclose(table.time_s, 10 + np.arange(10) / 20)
    assert np.flatnonzero(~np.isnan(table.angle_rad)).tolist() == [1, 2, 5]
    assert "7 of 10 frames have no log entry" in table.notes[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steering_angle": None}, r"log/.*h5: has no 'steering_angle'; it holds cam1_ptr, speed, times"),
        ({"cam1_ptr": None}, r"log/.*h5: has no 'cam1_ptr'"),
        ({"speed": np.zeros(3)}, r"log/.*h5: speed has 3 entries, cam1_ptr 50"),
        ({"cam1_ptr": np.full(50, 70.0)}, r"no cam1_ptr points to one of the 10 frames"),
        ({"X": np.zeros((3, 8, 8))}, r"camera/.*h5: X is float64 \(3, 8, 8\); frames are uint8"),
    ],
)
def test_faults_of_comma_files(tmp_path: Path, changed: dict, message: str) -> None:
    write_comma(tmp_path, **changed)
    with pytest.raises(InputError, match=message):
        comma.read(tmp_path)


def test_comma_without_times_and_files_that_are_none(tmp_path: Path) -> None:
    write_comma(tmp_path / "a", times=None)
    table = read_drives(tmp_path / "a")
    np.testing.assert_allclose(table.time_s, np.arange(10) / 20)
    assert "has no times; 20 frames a second are assumed" in table.notes[0]
    with pytest.raises(InputError, match=r"no camera/NAME.h5 with a log/NAME.h5"):
        comma.read(tmp_path)
    put(tmp_path, "b/camera/a.h5", "no hdf5")
    put(tmp_path, "b/log/a.h5", "no hdf5")
    with pytest.raises(InputError, match=r"camera/a.h5: is no HDF5 file that can be read"):
        comma.read(tmp_path / "b")


def test_without_h5py_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "camera/a.h5")
    put(tmp_path, "log/a.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"camera/a.h5: HDF5 files need the package h5py: pip install h5py"):
        read_drives(tmp_path)


# ----------------------------------------------------------------------------------------------------- video


def write_video(path: Path, frames: int = 30, rate: float = 10.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, (64, 48))
    assert writer.isOpened()
    for n in range(frames):
        writer.write(numbered(5 * n, 48, 64)[:, :, ::-1])
    writer.release()


def test_a_video_and_a_table_of_times(tmp_path: Path) -> None:
    write_video(tmp_path / "monday.mp4")
    # labels every 0.25 s from 0.1 s on: a frame takes the nearest that is not later
    times = 0.1 + 0.25 * np.arange(9)
    rows = "\n".join(f"{time:.2f},{n / 10:.1f},{10 + n}" for n, time in enumerate(times))
    put(tmp_path, "monday.csv", f"t,angle,speed\n{rows}\n")
    assert recognise(tmp_path) == "video"
    table = read_drives(tmp_path)
    np.testing.assert_allclose(table.time_s, np.arange(30) / 10, atol=1e-6)
    assert np.isnan(table.angle_rad[0]), "nothing is known before the first label"
    expected = np.floor((np.arange(1, 22) / 10 - 0.1 + 1e-9) / 0.25)
    np.testing.assert_allclose(table.angle_rad[1:22], expected / 10)
    np.testing.assert_allclose(table.speed_mps[1:22], 10 + expected)
    # the last label is at 2.1 s: three steps of the table later it counts no more
    assert not np.isnan(table.angle_rad[28]) and np.isnan(table.angle_rad[29])
    images = decoded(tmp_path, [table.file[17], table.file[3], table.file[4]])
    for image, number in zip(images, (17, 3, 4), strict=True):
        np.testing.assert_allclose(image.mean((0, 1)), numbered(5 * number)[0, 0], atol=4)
    assert decoded(tmp_path, ["monday.mp4#30"]) == ["frame 30 cannot be read"]


def test_degrees_numbers_of_frames_and_epoch_times(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 6)
    put(tmp_path, "a.csv", "frame;angle_deg\n0;90\n1;-90\n3;0\n4;0\n5;0\n")
    table = read_drives(tmp_path / "a.mp4")
    np.testing.assert_allclose(table.angle_rad, [np.pi / 2, -np.pi / 2, -np.pi / 2, 0, 0, 0])
    put(
        tmp_path,
        "a.csv",
        "timestamp,steering\n" + "\n".join(f"{1.5e9 + n / 10},{n}" for n in (1, 0, 2, 3, 4, 5)),
    )
    table = read_drives(tmp_path)
    np.testing.assert_allclose(table.angle_rad, np.arange(6))
    assert "a.csv:3: time runs backwards; the labels were sorted" in table.notes[0]
    assert (
        "a.csv:3: times begin at 1500000000 s; taken as the time of the video's first frame" in table.notes[1]
    )


def test_several_videos_are_several_drives(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.avi", 5)
        put(tmp_path, f"{name}.csv", "time,angle\n0,0\n0.1,0.1\n0.4,0.2\n")
    write_video(tmp_path / "without_labels.mp4", 3)
    table = cut_drives(read_drives(tmp_path))
    assert [(str(table.drive[r[0]]), len(r)) for r in table.series()] == [("a", 5), ("b", 5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,wheel\n0,1\n", r"a.csv:1: no column for the angle \(one of angle_rad, angle"),
        ("angle\n1\n", r"a.csv:1: no column for the time"),
        ("time,angle\n,1\n", r"a.csv:2: the label has no time"),
        ("time,angle\n9,1\n", r"a.csv:2: the first label is at 9.0 s, after the end of the video at 0.4 s"),
        ("frame,angle\n5,1\n", r"a.csv:2: frame 5 is none of the video's 5"),
        ("frame,angle\n0.5,1\n", r"a.csv:2: frame 0.5 is none"),
    ],
)
def test_faults_of_a_videos_labels(tmp_path: Path, text: str, message: str) -> None:
    write_video(tmp_path / "a.mp4", 5)
    put(tmp_path, "a.csv", text)
    with pytest.raises(InputError, match=message):
        video.read(tmp_path)


def test_what_is_no_video(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    put(tmp_path, "a.mp4", "no video")
    with pytest.raises(InputError, match=r"no video with a csv of the same name"):
        video.read(tmp_path)
    put(tmp_path, "a.csv", "time,angle\n0,1\n")
    with pytest.raises(InputError, match=r"a.mp4: is no video that can be read"):
        video.read(tmp_path)
    message = re.escape(f"{tmp_path / 'a.mp4'}")
    with pytest.raises(InputError, match=message):
        decoded(tmp_path, ["a.mp4#0"])
    assert decoded(tmp_path, ["b.mp4#0"]) == ["is absent"]


def raw_h264(frames: int) -> bytes:
    """Returns a stream of uncompressed grey pictures of 128 x 96 pixels, without a container (I_PCM)."""
    block = b"\x0d\x00" + bytes([100]) * 256 + bytes([128]) * 128
    picture = b"\0\0\0\1\x05\x88\x84\x21\xa0" + (block * 48)[2:] + b"\x80"
    return b"\0\0\0\1\x67\x42\x00\x0a\xf8\x41\xa2" + b"\0\0\0\1\x68\xce\x38\x80" + picture * frames


def test_a_raw_stream_is_read_and_its_rate_said(tmp_path: Path) -> None:
    path = put(tmp_path, "a.h264", raw_h264(4))
    table, notes = frames_of(path)
    np.testing.assert_allclose(table.time_s, np.arange(4) / 25)
    assert "a raw stream tells no times; 25 frames a second are assumed" in notes[0]
    np.testing.assert_allclose(
        decoded(tmp_path, table.file.tolist())[3].mean(), (100 - 16) * 255 / 219, atol=1
    )
    put(tmp_path, "a.csv", "frame,angle\n0,0.1\n1,0.2\n2,0.2\n3,0.2\n")
    assert len(read_drives(tmp_path)) == 4 and "ffmpeg -r RATE -i a.h264" in read_drives(tmp_path).notes[0]
