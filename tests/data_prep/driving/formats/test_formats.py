"""Every format of frames and a table gives the same columns: radians, left positive, metres a second."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.driving import FORMATS, read_drives, recognise
from data_prep.driving.checks import absent_files
from data_prep.driving.cutting import cut_drives
from data_prep.driving.formats import challenge, donkeycar, simulator, sullychen, udacity
from data_prep.driving.summary import prepared
from data_prep.driving.table import DriveTable, write_drive_csv
from modules.errors import InputError
from tests.data_prep.driving.driving_folders import DATA, draw, drive, put

START = 1479424215873184606


def lengths(table: DriveTable) -> dict[tuple[str, str], int]:
    return {(str(table.drive[r[0]]), str(table.camera[r[0]])): len(r) for r in table.series()}


# --------------------------------------------------------------------------------------------------- udacity


def interpolated(rows: int, cameras: tuple[str, ...] = ("left", "right", "center")) -> str:
    lines = ["index,timestamp,width,height,frame_id,filename,angle,torque,speed,lat,long,alt"]
    for row in range(rows):
        camera = cameras[row % len(cameras)]
        stamp = START + row * 50_000_000 // len(cameras)
        angle, torque = 0.001 * row, 0.375
        image = f"{camera}_camera,{camera}/{stamp}.jpg"
        lines.append(f"2016-11-17 23:10:15.87,{stamp},640,480,{image},{angle},{torque},23.0,37,-122,8")
    return "\n".join(lines)


def test_udacity_with_three_cameras(tmp_path: Path) -> None:
    put(tmp_path, "interpolated.csv", interpolated(30))
    files = udacity.read(tmp_path).file
    draw(tmp_path, files)
    assert recognise(tmp_path) == "udacity"
    table, warnings = prepared(read_drives(tmp_path))
    assert not warnings
    assert list(lengths(table).values()) == [10, 10, 10] and set(table.camera) == {"left", "right", "center"}
    row = table.series()[2][3]  # the fourth of the centre camera: row 11 of the file
    assert (table.camera[row], table.angle_rad[row], table.torque[row]) == ("center", 0.011, 0.375)
    assert table.speed_mps[row] == 23.0
    assert table.frame[row] == table.file[row].removeprefix("center/").removesuffix(".jpg")
    assert table.time_s[row] == pytest.approx(int(table.frame[row]) / 1e9, abs=1e-6)
    assert table.where(row) == f"{tmp_path / 'interpolated.csv'}:13"


def test_udacity_folders_of_several_bags(tmp_path: Path) -> None:
    for name in ("HMB_1", "HMB_2"):
        put(tmp_path, f"{name}/interpolated.csv", interpolated(4, ("center",)))
    table = read_drives(tmp_path)
    assert lengths(table) == {("HMB_1", "center"): 4, ("HMB_2", "center"): 4}
    assert table.file[7] == f"HMB_2/center/{START + 150_000_000}.jpg"


# ------------------------------------------------------------------------------------------------- challenge


def stamps(count: int) -> list[int]:
    return [START + n * 50_000_000 for n in range(count)]


def evaluation(count: int, angle: float = 0.01) -> str:
    return "frame_id,steering_angle,public\n" + "".join(
        f"{s},{-angle * n},1\n" for n, s in enumerate(stamps(count))
    )


def test_challenge_files_are_cut_where_images_are_absent(tmp_path: Path) -> None:
    put(tmp_path, "CH2_final_evaluation.csv", evaluation(20))
    put(tmp_path, "CH2_final_example.csv", evaluation(20, 0.0))
    draw(tmp_path, [f"center/{stamp}.jpg" for stamp in stamps(20) if stamp != stamps(20)[7]])
    assert recognise(tmp_path) == "challenge"
    table, warnings = prepared(read_drives(tmp_path))
    assert lengths(table) == {(tmp_path.name, "center"): 7, (f"{tmp_path.name}~2", "center"): 12}
    assert table.frame[0] == str(START) and table.angle_rad[8] == pytest.approx(-0.09)
    assert len(warnings) == 1 and "CH2_final_evaluation.csv:9: 1 image is absent" in warnings[0]


def test_challenge_rows_out_of_order_and_other_names(tmp_path: Path) -> None:
    head, *rows = evaluation(6).splitlines()
    path = put(tmp_path, "labels.csv", "\n".join(["\ufeff" + head.upper(), *rows[3:], *rows[:3]]))
    draw(tmp_path, [f"{stamp}.png" for stamp in stamps(6)])
    table = read_drives(path)
    assert table.frame.tolist() == [str(stamp) for stamp in stamps(6)] and not absent_files(table).any()
    assert table.notes == (f"{path}:5: rows are not in the order of time; they were sorted",)


def test_challenge_numbers_of_frames(tmp_path: Path) -> None:
    put(tmp_path, "labels.csv", "frame_id,steering_angle\n0,0.1\n1,0.2\n2,0.2\n9,0.3\n")
    table = read_drives(tmp_path)
    assert table.time_s.tolist() == [0.0, 0.05, 0.1, 0.45] and "is no time in nanoseconds" in table.notes[0]
    assert len(cut_drives(table).series()) == 2


# ------------------------------------------------------------------------------------------------- simulator

WINDOWS = "C:\\Users\\some one\\data\\IMG\\"


def log(header: bool = False, count: int = 6) -> tuple[str, list[str]]:
    lines = ["center,left,right,steering,throttle,brake,speed"] if header else []
    names = []
    for n in range(count):
        trio = [f"{side}_2020_05_09_22_59_59_{100 * n + 9:03d}.jpg" for side in ("center", "left", "right")]
        names += trio
        lines.append(", ".join([*(WINDOWS + name for name in trio), f"{0.1 * n:.1f}", "1", "0", "30.0"]))
    return "\n".join(lines), names


@pytest.mark.parametrize("header", [False, True])
def test_simulator_log_of_another_machine(tmp_path: Path, header: bool) -> None:
    text, names = log(header)
    put(tmp_path, "driving_log.csv", text)
    draw(tmp_path, [f"IMG/{name}" for name in names])
    assert recognise(tmp_path) == "simulator"
    table, warnings = prepared(read_drives(tmp_path))
    assert [(str(table.camera[r[0]]), len(r)) for r in table.series()] == [
        ("center", 6),
        ("left", 6),
        ("right", 6),
    ]
    assert not warnings
    np.testing.assert_allclose(np.degrees(table.angle_rad[:6]), -25 * 0.1 * np.arange(6))
    np.testing.assert_allclose(table.angle_rad[6:12], table.angle_rad[:6])
    assert np.signbit(table.angle_rad[0]) == np.False_
    assert table.speed_mps[0] == pytest.approx(30 * 1.609344 / 3.6)
    np.testing.assert_allclose(np.diff(table.time_s[:6]), 0.1, atol=1e-6)
    assert table.line[0] == (2 if header else 1)


def test_simulator_log_with_semicolons_decimal_commas_and_a_cut_end(tmp_path: Path) -> None:
    text, names = log(count=9)
    draw(tmp_path, [f"IMG/{name}" for name in names])
    put(tmp_path, "driving_log.csv", text)
    plain = simulator.read(tmp_path)
    for separator in (";", "\t"):
        european = text.replace(", ", separator).replace(".", ",").replace(",jpg", ".jpg")
        put(tmp_path, "driving_log.csv", european[: european.rindex(separator)] + "\0\0")
        table = simulator.read(tmp_path)
        kept = plain.select(np.isin(plain.line, np.arange(1, 9)))
        np.testing.assert_array_equal(table.angle_rad, kept.angle_rad)
        np.testing.assert_array_equal(table.speed_mps, kept.speed_mps)
        assert table.notes == (
            f"{tmp_path / 'driving_log.csv'}:9: the last line is cut off; it was left out",
        )
    put(tmp_path, "driving_log.csv", text.replace(".0", ",0"))
    with pytest.raises(
        InputError, match=r"csv:1: has 9 cells and no header; .*decimal commas need semicolons"
    ):
        simulator.read(tmp_path)


def test_rare_steering_beyond_full_lock_is_clipped_or_unknown(tmp_path: Path) -> None:
    rows = [f"IMG/{n}.jpg,,,{0.01 * (n % 50)},0,0,1" for n in range(100)]
    rows[3], rows[70] = "IMG/3.jpg,,,-1.00003,0,0,1", "IMG/70.jpg,,,1e308,0,0,1"
    path = put(tmp_path, "driving_log.csv", "\n".join(rows))
    table = simulator.read(tmp_path)
    assert table.angle_rad[3] == pytest.approx(np.radians(25)) and np.isnan(table.angle_rad[70])
    assert np.isnan(table.angle_rad).sum() == 1
    assert f"{path}:4: steering is -1.00003; 1 such became full lock" in table.notes
    assert f"{path}:71: steering is 1e+308; it has to be from -1 to 1; 1 such are unknown" in table.notes[1]


@pytest.mark.parametrize("lead", ["", "..\\", "C:\\Users\\some one\\", "/home/other/", "data/"])
@pytest.mark.parametrize("name", ["drive.csv", "interpolated.csv"])
def test_paths_of_another_machine_or_system(tmp_path: Path, name: str, lead: str) -> None:
    slash = "/" if lead.endswith("/") else "\\"
    draw(tmp_path, [f"{side}/{n}.png" for side in ("center", "left") for n in range(10)])
    rows = [
        f"{lead}{s}{slash}{n}.png,{START + 10**8 * n},0.01" for s in ("center", "left") for n in range(10)
    ]
    head = {"drive.csv": "file,time_s,angle_rad", "interpolated.csv": "filename,timestamp,angle"}[name]
    put(tmp_path, name, "\n".join([head, *rows]))
    table = read_drives(tmp_path)
    assert table.file.tolist() == [f"{side}/{n}.png" for side in ("center", "left") for n in range(10)]
    assert table.camera.tolist() == ["center"] * 10 + ["left"] * 10, "no column has them, but the folders do"
    assert table.frame.tolist() == [str(n) for n in range(10)] * 2


def test_simulator_without_side_cameras_or_times(tmp_path: Path) -> None:
    put(tmp_path, "a/driving_log.csv", "IMG/1.jpg,,,-1,0,0,10\nIMG/2.jpg,,,1,0,0,10\n")
    table = simulator.read(tmp_path)
    assert table.file.tolist() == ["a/IMG/1.jpg", "a/IMG/2.jpg"] and set(table.drive) == {"a"}
    assert table.time_s.tolist() == [0.0, 0.1] and "has no time" in table.notes[0]


# ------------------------------------------------------------------------------------------------- sullychen


def test_sullychen_with_and_without_times(tmp_path: Path) -> None:
    put(tmp_path, "old/data.txt", "0.jpg 0.000000\n1.jpg -90.0\r\n2.jpg 18\n30.jpg 0\n\n")
    times = ("44:912", "44:945", "45:5")
    put(tmp_path, "new/data.txt", "\n".join(f"{n}.jpg 1.5,2018-07-01 17:09:{t}" for n, t in enumerate(times)))
    draw(tmp_path, [f"old/{n}.jpg" for n in (0, 1, 2, 30)] + [f"new/data/{n}.jpg" for n in range(3)])
    assert recognise(tmp_path / "old") == recognise(tmp_path / "new") == "sullychen"
    old, warnings = prepared(read_drives(tmp_path / "old"))
    np.testing.assert_allclose(old.angle_rad, [0, np.pi / 2, -np.pi / 10, 0])
    assert (
        len(old.series()) == 2 and "data.txt:1: has no times; 30 frames a second are assumed" in warnings[0]
    )
    new = read_drives(tmp_path / "new")
    assert not absent_files(new).any()
    np.testing.assert_allclose(np.diff(new.time_s), [0.033, 0.06], atol=1e-6)


# --------------------------------------------------------------------------------------- recognition, faults


def test_every_format_has_its_reader() -> None:
    for name in set(FORMATS) - {"road"}:
        with pytest.raises(InputError, match="no such file or folder"):
            read_drives("/absent", name)
    with pytest.raises(
        InputError, match=r"format 'udacty': did you mean 'udacity'\? There are auto, road, drive, "
    ):
        read_drives("/absent", "udacty")


def test_what_is_recognised_first_and_what_is_not(tmp_path: Path) -> None:
    put(tmp_path, "notes.txt", "nothing")
    with pytest.raises(
        InputError, match=r"no drives in a known format; looked for .*drive.csv .*interpolated.csv"
    ) as e:
        recognise(tmp_path)
    assert all(f"({name})" in str(e.value) for name in FORMATS)
    put(tmp_path, "interpolated.csv", interpolated(3))
    assert recognise(tmp_path) == "udacity"
    write_drive_csv(drive(tmp_path, 3), tmp_path / "drive.csv")
    assert recognise(tmp_path) == "drive"


FAULTS = [
    ("udacity", "interpolated.csv", "", r"csv: holds no rows"),
    ("udacity", "interpolated.csv", "a,b\n1,2\n", r"csv:1: no column for the image \(filename\); .*: a, b"),
    ("udacity", "interpolated.csv", interpolated(3)[:-4] + "\n", r"csv:4: \d+ cells under 12"),
    ("udacity", "interpolated.csv", interpolated(3).replace("0.375", "x"), r"csv:2: torque is 'x'"),
    (
        "udacity",
        "interpolated.csv",
        interpolated(2).replace(str(START), "1.5e18"),
        r"csv:2: timestamp is '1.5e18'",
    ),
    (
        "challenge",
        "l.csv",
        "frame_id,steering_angle\nx,1\n",
        r"csv:2: frame_id is 'x'; a whole number is needed",
    ),
    ("challenge", "l.csv", "frame_id,steering_angle\n1,1e\n", r"csv:2: steering_angle is '1e'"),
    ("challenge", "l.csv", "frame_id,steering_angle\n", r"csv: holds no rows"),
    ("challenge", "l.csv", b"frame_id,steering_angle\n1,\xe9\n", r"csv:2: is not UTF-8"),
    ("challenge", "l.csv", "frame,angle\n1,1\n", r"no csv with the columns frame_id and steering_angle"),
    (
        "simulator",
        "driving_log.csv",
        "a.jpg,b.jpg,c.jpg,0\n",
        r"csv:1: has 4 cells and no header; .*steering",
    ),
    ("simulator", "driving_log.csv", "a.jpg,,,0,0,0,1\na.jpg,,,0,0,0\n", r"csv:2: 6 cells under 7"),
    (
        "simulator",
        "driving_log.csv",
        "a.jpg,,,12.5,0,0,1\n",
        r"csv:1: steering is 12.5; it has to be from -1",
    ),
    ("simulator", "driving_log.csv", "a.jpg,,,left,0,0,1\n", r"csv:1: steering is 'left'"),
    ("simulator", "driving_log.csv", "", r"csv"),
    (
        "sullychen",
        "data.txt",
        "0.jpg 1\nonly words here\n",
        r"txt:2: 'only words here' is no image and an angle",
    ),
    ("sullychen", "data.txt", "0.jpg 1\n1.jpg x\n", r"txt:2: the angle is 'x'"),
    ("sullychen", "data.txt", "0.jpg 1,yesterday\n", r"txt:1: time 'yesterday' is not as 2018"),
    ("sullychen", "data.txt", "0.jpg 1,2018-07-01 17:09:44:912\n1.jpg 2\n", r"txt:2: has no time, though"),
    ("sullychen", "data.txt", "\n", r"txt: holds no rows"),
]


@pytest.mark.parametrize(("format", "name", "text", "message"), FAULTS)
def test_faults_are_one_line_with_file_and_row(
    tmp_path: Path, format: str, name: str, text: str | bytes, message: str
) -> None:
    put(tmp_path, name, text)
    with pytest.raises(InputError, match=message) as caught:
        read_drives(tmp_path, format)
    assert "\n" not in str(caught.value)


def test_a_folder_without_the_file_and_two_label_files(tmp_path: Path) -> None:
    for reader in (udacity, challenge, simulator, sullychen, donkeycar):
        with pytest.raises(InputError, match=r"^\S+: (no |\S+: no such file)"):
            reader.read(tmp_path)
    for name in ("a.csv", "b.csv"):
        put(tmp_path, name, evaluation(3))
    with pytest.raises(InputError, match=r"a.csv: b.csv holds labels too; name the file instead"):
        challenge.read(tmp_path)
    assert len(challenge.read(tmp_path / "b.csv")) == 3


# ------------------------------------------------------------------------------------------- real recordings


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "format", "frames", "stretches"),
    [
        ("udacity_ch2", "challenge", 4354, [960, 1120, 2274]),
        ("udacity_sim", "simulator", 360, [120, 120, 120]),
        ("udacity_interpolated", "udacity", 600, [200, 200, 200]),
        ("donkey_tub", "donkeycar", 1500, None),
    ],
)
def test_real_recordings(name: str, format: str, frames: int, stretches: list[int] | None) -> None:
    root = DATA / name
    if not root.is_dir():
        pytest.skip(f"no {root}: set SEQSIGHT_DATA to the folder that holds {name}")
    assert recognise(root) == format
    table, warnings = prepared(read_drives(root))
    assert len(table) == frames and (abs(table.angle_rad) < 1.1).all()
    assert [len(rows) for rows in table.series()] == (stretches or [len(rows) for rows in table.series()])
    assert len(warnings) == (name == "udacity_interpolated"), "it alone is without its images"
