"""The score command at the public entry: any system's csv against any labels."""

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from pipelines.steer import main
from pipelines.steering.drawing.picture import write_video

DATA = Path(os.environ.get("SEQSIGHT_DATA", Path(__file__).parents[3] / "../shared/data"))
REAL = DATA / "udacity_ch2" / "CH2_final_evaluation.csv"
START, PERIOD = 1479425441182877835, 50_000_000


def ids(count: int = 200, gap_at: int = 120) -> list[str]:
    """Returns times in ns at 20 Hz, with a gap of a second."""
    return [str(START + PERIOD * i + 10**9 * (i >= gap_at)) for i in range(count)]


def truth(count: int = 200) -> list[float]:
    return [round(0.6 * math.sin(i / 15), 4) for i in range(count)]


def write(path: Path, header: str, *columns: list) -> Path:
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def labels(tmp_path):
    return write(
        tmp_path / "labels.csv",
        "frame_id,steering_angle,public",
        ids(),
        truth(),
        [int(i % 2 == 0) for i in range(200)],
    )


@pytest.fixture
def predictions(tmp_path):
    return write(tmp_path / "out.csv", "frame_id,steering_angle", ids(), [0.9 * y + 0.01 for y in truth()])


def scored(capsys, predictions: Path, labels: Path, *more: str) -> dict:
    assert main(["score", "--predictions", str(predictions), "--labels", str(labels), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, predictions: Path, labels: Path, *more: str) -> str:
    assert main(["score", "--predictions", str(predictions), "--labels", str(labels), *more]) == 2
    streams = capsys.readouterr()
    assert streams.out == "" and streams.err.count("\n") == 1
    return streams.err


def test_scores_equal_hand_sums_beside_trivial_systems(predictions, labels, capsys):
    found = scored(capsys, predictions, labels)
    errors = [0.9 * y + 0.01 - y for y in truth()]
    assert found["rmse_rad"] == pytest.approx(math.sqrt(sum(e * e for e in errors) / 200))
    assert found["mae_rad"] == pytest.approx(sum(map(abs, errors)) / 200)
    assert found["public_rmse_rad"] == pytest.approx(math.sqrt(sum(e * e for e in errors[::2]) / 100))
    assert found["private_rmse_rad"] == pytest.approx(math.sqrt(sum(e * e for e in errors[1::2]) / 100))
    assert (found["frames"], found["stretches"], found["lag_frames"]) == (200, 2, 0)
    assert found["rate_hz"] == pytest.approx(20)
    steps = [0.9 * (b - a) * 20 for a, b in zip(truth(), truth()[1:], strict=False)]
    del steps[119]  # across the gap
    assert found["whiteness_rad_s"] == pytest.approx(math.sqrt(sum(s * s for s in steps) / len(steps)))
    assert set(found["baselines"]) == {"zeros", "labels_mean", "persistence_oracle"}
    assert found["baselines"]["zeros"]["rmse_rad"] == pytest.approx(
        math.sqrt(sum(y * y for y in truth()) / 200)
    )
    assert sum(of_bin["frames"] for of_bin in found["bins"].values()) == 200
    assert found["warnings"] == []


def test_the_order_of_the_rows_does_not_matter(predictions, labels, capsys):
    once = scored(capsys, predictions, labels)
    head, *rows = predictions.read_text().splitlines()
    predictions.write_text("\n".join([head, *rows[::-1]]) + "\n")
    head, *rows = labels.read_text().splitlines()
    labels.write_text("\n".join([head, *rows[7:], *rows[:7]]) + "\n")
    assert scored(capsys, predictions, labels) == once


@pytest.mark.parametrize(
    "header", ["Frame_ID;Steering_Angle", "timestamp;angle", "filename;steering", "frame_id;angle_rad"]
)
def test_columns_may_have_other_names_and_company(header, labels, tmp_path, capsys):
    rows = [f"center/{name}.jpg;{y};7" for name, y in zip(ids(), truth(), strict=True)]
    path = tmp_path / "out.csv"
    path.write_text("\ufeff" + "\r\n".join([header + ";speed", *rows]))
    assert scored(capsys, path, labels)["rmse_rad"] == 0


def test_labels_may_be_our_drive_csv_with_the_same_names_in_two_drives(tmp_path, capsys):
    names = [f"{i:04d}" for i in range(40)]
    drive = ["monday"] * 40 + ["tuesday"] * 40
    time_s = [i / 10 for i in range(40)] * 2
    angles = [*truth(40), *(2 * y for y in truth(40))]
    files = [f"{d}/{n}.jpg" for d, n in zip(drive, names * 2, strict=True)]
    labels = write(
        tmp_path / "drive.csv",
        "frame,file,time_s,angle_rad,drive",
        names * 2,
        files,
        time_s,
        ["", *angles[1:]],
        drive,
    )
    said = [y + (0.1 if d == "tuesday" else 0.3) for y, d in zip(angles, drive, strict=True)]
    path = write(tmp_path / "out.csv", "frame_id,steering_angle,drive", names * 2, said, drive)
    found = scored(capsys, path, labels)
    assert found["frames"] == 79  # the first angle is unknown
    assert found["rate_hz"] == pytest.approx(10)
    assert found["drives"]["monday"]["bias_rad"] == pytest.approx(0.3)
    assert found["drives"]["tuesday"]["bias_rad"] == pytest.approx(0.1)
    path = write(tmp_path / "out.csv", "frame_id,steering_angle", names * 2, said)
    assert "occur twice: " in (error := refused(capsys, path, labels)) and "labels of one drive" in error


def test_labels_may_be_udacitys_interpolated_csv_of_three_cameras(tmp_path, capsys):
    rows = ["index,timestamp,width,height,frame_id,filename,angle,torque,speed"]
    for i, (name, y) in enumerate(zip(ids(), truth(), strict=True)):
        for offset, camera in ((-5, "left"), (0, "center"), (5, "right")):
            stamp = int(name) + offset
            rows.append(f"{i},{stamp},640,480,{camera}_camera,{camera}/{stamp}.jpg,{y},0,9")
    labels = tmp_path / "interpolated.csv"
    labels.write_text("\n".join(rows))
    path = write(tmp_path / "out.csv", "frame_id,steering_angle", ids(), truth())
    found = scored(capsys, path, labels)
    assert (found["frames"], found["rmse_rad"], found["public_rmse_rad"]) == (200, 0, None)


@pytest.mark.parametrize("named", ["DashCam 1.csv", "DashCam 1.mp4", "."])
def test_labels_may_be_a_video_and_a_csv_of_times_as_fit_reads_them(named, tmp_path, capsys):
    """Labels in degrees, 50 a second on another clock, with a gap: 20 frames a second are scored by them."""
    recording = tmp_path / "rc"
    recording.mkdir()
    write_video((np.full((16, 32, 3), 4 * n, np.uint8) for n in range(60)), recording / "DashCam 1.mp4", 20)
    at = [n for n in range(150) if not 50 <= n < 100]  # from second 1 to second 2 none
    degrees = [round(10 * math.sin(n / 15), 3) for n in at]
    write(recording / "DashCam 1.csv", "timestamp,angle_deg", [1668211252201 + 20 * n for n in at], degrees)
    of_frame = {frame: math.radians(10 * math.sin(frame * 2.5 // 1 / 15)) for frame in range(60)}
    said = write(tmp_path / "out.csv", "frame_id,steering_angle", range(60), list(of_frame.values()))
    found = scored(capsys, said, recording / named)
    assert found["frames"] == 41  # 21 to 39 have no label of the last three steps
    assert found["rmse_rad"] < 2e-3 and found["rate_hz"] == pytest.approx(20)


def test_a_rate_serves_frames_whose_names_are_no_times(labels, predictions, tmp_path, capsys):
    names = [f"frame_{i}" for i in range(200)]
    numbered = write(tmp_path / "a.csv", "frame_id,steering_angle", names, truth())
    found = scored(capsys, numbered, numbered, "--rate", "10")
    assert found["rate_hz"] == pytest.approx(10)
    steps = [(b - a) * 10 for a, b in zip(truth(), truth()[1:], strict=False)]
    assert found["whiteness_rad_s"] == pytest.approx(math.sqrt(sum(s * s for s in steps) / len(steps)))
    assert "leave --rate out" in refused(capsys, predictions, labels, "--rate", "10")
    assert "above 0" in refused(capsys, numbered, numbered, "--rate", "0")


def test_a_subset_scores_the_named_frames_alone(labels, predictions, tmp_path, capsys):
    part = tmp_path / "part.csv"
    rows = predictions.read_text().splitlines()
    part.write_text("\n".join(rows[:51]))
    assert "--subset" in refused(capsys, part, labels)
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(ids()[:50]))
    of_list, of_table = (scored(capsys, part, labels, "--subset", str(file)) for file in (listed, part))
    assert of_list == of_table and of_list["frames"] == 50
    listed.write_text("nobody\n")
    assert f"{listed}:1: frame nobody" in refused(capsys, part, labels, "--subset", str(listed))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:-2], ["no angle for frame", ids()[198], "2 of 200", "labels.csv:200"]),
        (lambda rows: [*rows, rows[5]], [":202:", ids()[4], "already in line 6"]),
        (lambda rows: [*rows, "77,0.1"], [":202:", "frame 77 is not in"]),
        (lambda rows: [*rows[:9], f"{ids()[8]},", *rows[10:]], [":10:", ids()[8], "no steering angle"]),
        (lambda rows: [*rows[:9], f"{ids()[8]},nan", *rows[10:]], [":10:", ids()[8], "no steering angle"]),
        (lambda rows: [*rows[:9], f"{ids()[8]},left", *rows[10:]], [":10:", ids()[8], "'left'", "no number"]),
        (lambda rows: [*rows[:9], f"{ids()[8]},inf", *rows[10:]], [":10:", ids()[8], "infinite"]),
        (lambda rows: [*rows[:9], ",0.1", *rows[10:]], [":10:", "names no frame"]),
        (lambda rows: [*rows[:9], "1,2,3", *rows[10:]], [":10:", "3 cells under 2 columns"]),
        (lambda rows: rows[:1], ["holds no rows"]),
        (lambda rows: rows[1:], [":1:", "no column for the frame", "frame_id"]),
        (lambda rows: ["frame_id,torque", *rows[1:]], ["no column for the steering angle", "torque"]),
        (lambda rows: [rows[0], "1.4794254411828779e+18,0.1"], ["spreadsheet"]),
        (lambda rows: [rows[0], "frame_1,0.1"], ["like 1479425441182877835", "the same recording"]),
    ],
)
def test_what_is_wrong_with_predictions_is_one_line(change, said, predictions, labels, capsys):
    predictions.write_text("\n".join(change(predictions.read_text().splitlines())))
    error = refused(capsys, predictions, labels)
    assert all(part in error for part in ["out.csv", *said]), error


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{ids()[8]},,1", [":10:", ids()[8], "no steering_angle"]),
        (f"{ids()[8]},x,1", [":10:", ids()[8], "no number"]),
        (f"{ids()[8]},0.1,yes", [":10:", ids()[8], "'yes'", "0 or 1"]),
        (f"{ids()[7]},0.1,1", [":10:", ids()[7], "already in line 9"]),
    ],
)
def test_what_is_wrong_with_labels_is_one_line(line, said, predictions, labels, capsys):
    rows = labels.read_text().splitlines()
    labels.write_text("\n".join([*rows[:9], line, *rows[10:]]))
    error = refused(capsys, predictions, labels)
    assert all(part in error for part in ["labels.csv", *said]), error


def test_absent_and_unreadable_files_are_one_line(predictions, labels, tmp_path, capsys):
    assert "no such file" in refused(capsys, tmp_path / "absent.csv", labels)
    assert "name the file instead" in refused(capsys, predictions, tmp_path)
    predictions.write_bytes(b"frame_id,steering_angle\n\xff,0\n")
    assert "out.csv:2: is not UTF-8" in refused(capsys, predictions, labels)


@pytest.mark.parametrize(
    ("angles", "said"),
    [
        ([0.0] * 200, "constant: 0.0000 rad"),
        ([y / 50 for y in truth()], "nearly constant"),
        ([math.degrees(y) for y in truth()], "degrees"),
        ([-y for y in truth()], "other way"),
        ([0.0] * 4 + truth()[:-4], "4 frames (0.20 s) late"),
        ([y + 1 for y in truth()], "no better than straight on"),
    ],
)
def test_plain_mistakes_are_said_loudly(angles, said, labels, tmp_path, capsys):
    path = write(tmp_path / "out.csv", "frame_id,steering_angle", ids(), angles)
    assert main(["score", "--predictions", str(path), "--labels", str(labels)]) == 0
    streams = capsys.readouterr()
    assert said in streams.err and "WARNING" in streams.err
    assert "RMSE" in streams.out and "oracle" in streams.out
    warnings = scored(capsys, path, labels)["warnings"]
    assert any(said in warning for warning in warnings)


@pytest.mark.real_data
def test_zeros_equal_a_direct_computation_on_the_challenges_labels(tmp_path, capsys):
    if not REAL.exists():
        pytest.skip(f"{REAL} is absent")
    with REAL.open() as file:
        rows = list(csv.DictReader(file))
    path = write(
        tmp_path / "zeros.csv", "frame_id,steering_angle", [r["frame_id"] for r in rows], [0] * len(rows)
    )
    found = scored(capsys, path, REAL)
    for key, flags in (("rmse_rad", "01"), ("public_rmse_rad", "1"), ("private_rmse_rad", "0")):
        angles = [float(row["steering_angle"]) for row in rows if row["public"] in flags]
        wanted = math.sqrt(math.fsum(y * y for y in angles) / len(angles))
        assert found[key] == found["baselines"]["zeros"][key] == pytest.approx(wanted, rel=1e-12)
    assert found["stretches"] == 3 and found["rate_hz"] == pytest.approx(20, abs=0.01)


def test_an_angle_of_no_wheel_is_refused_and_decimal_commas_are_read(tmp_path, capsys):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("frame_id;steering_angle\n1;0,5\n2;0,25\n3;-0,1\n")
    bad.write_text("frame_id,steering_angle\n1,0.5\n2,1e308\n3,-0.1\n")
    for pair in ((bad, good), (good, bad)):
        assert main(["score", "--predictions", str(pair[0]), "--labels", str(pair[1])]) == 2
        assert (
            f"{bad}:3: frame 2 has the angle 1e+308, which no steering wheel has" in capsys.readouterr().err
        )
    assert main(["score", "--predictions", str(good), "--labels", str(good), "--json"]) == 0


def test_how_sure_a_system_is_is_held_against_its_errors(tmp_path, capsys):
    random = np.random.default_rng(1)
    deviation = np.exp(random.normal(-3, 0.7, 400)).round(6)
    errors = 2 * deviation * random.normal(size=400)
    lines = [f"{n},{e:.6f},{d:.6f}" for n, (e, d) in enumerate(zip(errors, deviation, strict=True))]
    said, labels = tmp_path / "said.csv", tmp_path / "labels.csv"
    said.write_text("\n".join(["frame_id,steering_angle,standard_deviation", *lines]))
    labels.write_text("\n".join(["frame_id,steering_angle", *(f"{n},0" for n in range(400))]))
    asked = ["score", "--predictions", str(said), "--labels", str(labels)]
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["uncertainty"]
    assert told["as_given"]["1"] == pytest.approx(0.38, abs=0.06)
    assert told["calibrated"]["1"] == pytest.approx(0.68, abs=0.06)
    assert told["scale"] == pytest.approx(2, rel=0.15) and told["gain"] > 0
    assert main(asked) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Share of errors within standard deviations" in out and f"--scale {told['scale']:.3f}" in out
    for wrong, complaint in (("-0.1", "said.csv:3: standard_deviation is -0.1"), ("", "no standard_dev")):
        said.write_text("\n".join(["frame_id,steering_angle,standard_deviation", lines[0], f"1,0,{wrong}"]))
        assert main(asked) == 2
        assert complaint in capsys.readouterr().err
