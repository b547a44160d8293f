"""The steering report: what it shows, that it is one safe file, and its errors for what is no run."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from data_prep.driving.table import DriveTable
from modules.errors import InputError
from modules.metrics.calibration import calibrated
from modules.steering.units import SHARE, UNITS
from pipelines.steer import main
from pipelines.steering.moments import worst_moments
from pipelines.steering.predicted_drives import read_predictions, write_predictions
from pipelines.steering.report import write_report
from pipelines.steering.runs import read_steer_run
from tests.pipelines.pages import Page, log

HOSTILE = "<script>alert(1)</script>$x_{"


def table(folder: Path, frames: int = 300, drive: str = "monday") -> DriveTable:
    """Returns two drives at 10 Hz, with pictures of the second one's frames alone."""
    folder.mkdir(parents=True, exist_ok=True)
    half = frames // 2
    for i in range(half, frames):
        picture = np.full((48, 64, 3), (i % 256, 90, 160), np.uint8)
        cv2.imwrite(str(folder / f"{i:04}.jpg"), picture)
    time_s = np.arange(frames) / 10
    time_s[half:] += 100
    return DriveTable.build(
        folder,
        file=[f"{i:04}.jpg" for i in range(frames)],
        time_s=time_s,
        angle_rad=0.4 * np.sin(np.arange(frames) / 9),
        drive=[drive] * half + [f"{drive}~2"] * (frames - half),
    )


def make_run(run: Path, drives: DriveTable, said: np.ndarray, **metrics: object) -> Path:
    run.mkdir(parents=True, exist_ok=True)
    write_predictions(run / "predictions.csv", drives, np.arange(len(drives)), said)
    if metrics:
        (run / "metrics.json").write_text(json.dumps(metrics))
    return run


def noisy(drives: DriveTable, seed: int = 0) -> np.ndarray:
    return 0.8 * drives.angle_rad + np.random.default_rng(seed).normal(0, 0.05, len(drives))


@pytest.fixture(scope="module")
def drives(tmp_path_factory) -> DriveTable:
    return table(tmp_path_factory.mktemp("drives"))


@pytest.fixture(scope="module")
def run(drives, tmp_path_factory) -> Path:
    """A complete run; its report is written."""
    loop = {"interventions": 2, "failures": 2, "lateral_rmse_m": 0.31, "elapsed_s": 90.0, "roads": 6}
    run = make_run(
        tmp_path_factory.mktemp("runs") / "road" / "version_0",
        drives,
        noisy(drives),
        split="test",
        baselines={"zeros": {"rmse_rad": 9.0}, "ridge": {"rmse_rad": 0.1234}, "broken": 3},
        closed_loop={
            "autonomy": 0.875,
            "latency_s": 0.1,
            **loop,
            "controls": {"always_straight": {"autonomy": 0.25, **loop}},
        },
        seconds={"fit": 65.0},
    )
    (run / "config.yaml").write_text(yaml.safe_dump({"model": {"decoder": {"kind": "recurrent"}}}))
    steps = range(0, 300, 50)
    log(run, {"train/loss": {s: 5 - s / 100 for s in steps}, "val/rmse_rad": {s: 1 - s / 300 for s in steps}})
    assert write_report([run]) == run / "report.html"
    return run


def test_one_self_contained_file_of_moderate_size(run):
    page = Page(run / "report.html")
    assert len(page.html) < 1_500_000
    addresses = [a[name] for _, a in page.tags for name in ("src", "href", "xlink:href") if name in a]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert not any(tag in ("script", "link", "iframe") for tag, _ in page.tags)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_it_shows_scores_beside_baselines_and_the_closed_loop(run, drives):
    page = Page(run / "report.html")
    error = noisy(drives).round(6) - drives.angle_rad
    assert f"{np.sqrt(np.mean(error**2)):.4f}" in page.text
    zeros = np.sqrt(np.mean(drives.angle_rad**2))
    assert f"zeros {zeros:.4f}" in page.text and "9.0000" not in page.text  # counted, not believed
    assert "0.1234" in page.text and "oracle" in page.text
    assert "2 unbroken stretches, 10.0 Hz" in page.text
    assert "0.31 m 0.1 s" in page.text  # off the centre, late by
    assert "87.5 %" in page.text and "always straight 25.0 %" in page.text
    assert "kind recurrent" in page.text and "fit 1 min 05 s" in page.text
    titles = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg" and "aria-label" in attrs]
    assert titles.count("Angle over time, of the driver and predicted") == 2
    assert "Training loss over training steps" in titles and "RMSE by shift in time" in titles


def test_one_run_has_no_mean_of_runs(run):
    assert "mean of the runs" not in Page(run / "report.html").text


def test_a_good_run_raises_no_alarm_and_a_constant_one_does(run, drives, tmp_path):
    assert not [1 for tag, attrs in Page(run / "report.html").tags if attrs.get("class") == "alarms"]
    page = Page(write_report([make_run(tmp_path / "flat", drives, np.full(len(drives), 0.01))]))
    assert "The prediction is constant: 0.0100 rad at each of 300 frames." in page.text


def test_worst_moments_are_the_worst_and_no_neighbours(run, drives):
    error = noisy(drives).round(6) - drives.angle_rad
    page = Page(run / "report.html")
    assert f"{error.max():+.3f}" in page.text and f"{error.min():+.3f}" in page.text
    stretch = np.repeat([0, 1], 150)
    rows = worst_moments(error, stretch, drives.time_s, most=8)
    assert rows[0] == int(np.argmax(error)) and len(rows) == 8
    assert (np.diff(error[rows]) <= 0).all()
    for place, row in enumerate(rows):
        near = [r for r in rows[:place] if stretch[r] == stretch[row]]
        assert all(abs(drives.time_s[row] - drives.time_s[r]) >= 2 for r in near)
    # what was passed over is near something worse
    for row in np.flatnonzero(error > error[rows[-1]]):
        assert any(
            stretch[r] == stretch[row]
            and abs(drives.time_s[r] - drives.time_s[row]) < 2
            and error[r] >= error[row]
            for r in rows
        )


def test_frames_that_are_gone_are_left_out_with_a_remark(run):
    page = Page(run / "report.html")
    shown, absent = len(page.images("frame")), page.html.count('class="missing"')
    assert shown > 0 and absent > 0  # the first drive has no pictures
    assert page.text.count("frames are gone or cannot be read") == 2


def test_frames_in_a_container_that_is_gone_cost_no_report(tmp_path):
    drives = table(tmp_path / "drives")
    drives.file = np.array([f"gone.{'mp4' if i % 2 else 'bag'}#{i}" for i in range(len(drives))])
    page = Page(write_report([make_run(tmp_path / "run", drives, noisy(drives))]))
    assert not page.images("frame") and 'class="missing"' in page.html


def test_what_users_named_is_escaped(tmp_path):
    drives = table(tmp_path / "drives", drive=HOSTILE)
    drives.frame[:] = [f"{HOSTILE}{i}" for i in range(len(drives))]
    run = make_run(
        tmp_path / "<b>" / "version_0",
        drives,
        noisy(drives),
        split=HOSTILE,
        checkpoint=HOSTILE,
        baselines={HOSTILE: {"rmse_rad": 0.1}},
        closed_loop={"autonomy": 1, "controls": HOSTILE},
    )
    (run / "config.yaml").write_text(yaml.safe_dump({"data": {"root": HOSTILE}}))
    other = make_run(tmp_path / "other", drives, noisy(drives, 1))
    for page in (Page(write_report([run])), Page(write_report([run, other]))):
        assert page.text.count(HOSTILE) > 5 and "<script" not in page.html


def test_several_runs_stand_side_by_side(run, drives, tmp_path):
    other = make_run(tmp_path / "better", drives, drives.angle_rad + 0.02)
    path = tmp_path / "better" / "comparison.html"
    assert write_report([other, run]) == path
    page = Page(path)
    assert "A" in page.text and "road/version_0" in page.text and "0.0200" in page.text
    assert "different frames" not in page.text
    titles = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg" and "aria-label" in attrs]
    assert titles.count("Angle over time, of the driver and predicted") == 2  # both runs in each
    assert "monday, RMSE A 0.0200, B" in page.text


def test_the_mean_of_several_runs_is_judged_with_the_spread_of_theirs(drives, tmp_path):
    random = np.random.default_rng(0)
    errors = np.where(np.arange(300) % 3 == 0, 0.1, 0.02) * random.normal(size=(3, 300))  # of each run
    folders = [
        make_run(tmp_path / name, drives, drives.angle_rad + error)
        for name, error in zip("abc", errors, strict=True)
    ]
    page = Page(write_report(folders))
    said = np.stack([read_predictions(folder / "predictions.csv").prediction_rad for folder in folders])
    error = said.mean(0) - drives.angle_rad
    told = calibrated(error, said.std(0, ddof=1))
    assert f"say has RMSE {np.sqrt(np.mean(error**2)):.4f} rad" in page.text
    for many in (1, 2, 3):
        shares = " ".join(f"{told[name][many]:.3f}" for name in ("expected", "as_given", "calibrated"))
        assert f"{many} {shares} {told['one_for_all'][many]:.3f}" in page.text
    assert f"predict --floor {told['floor']:.4f} --scale {told['scale']:.3f}" in page.text
    assert told["gain"] > 0 and f"gains {told['gain']:.3f} nats" in page.text
    titles = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg" and "aria-label" in attrs]
    assert "RMS error of the mean by the spread of the runs" in titles


def test_few_frames_have_shares_and_no_calibration(tmp_path):
    drives = table(tmp_path / "drives", frames=10)
    said = [drives.angle_rad + off for off in (0.01, 0.03)]
    folders = [make_run(tmp_path / name, drives, angles) for name, angles in zip("ab", said, strict=True)]
    page = Page(write_report(folders))
    assert "say has RMSE 0.0200 rad" in page.text and "--floor" not in page.text


def test_runs_on_different_frames_are_not_compared(run, tmp_path):
    drives = table(tmp_path / "drives", frames=100)
    page = Page(write_report([make_run(tmp_path / "short", drives, noisy(drives)), run]))
    assert "The runs were scored on different frames" in page.text and "mean of the runs" not in page.text
    titles = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg" and "aria-label" in attrs]
    assert titles.count("Angle over time, of the driver and predicted") == 4
    assert "oracle" not in [cell for tag, cell in page.tags if tag == "th"]


def test_unknown_truth_is_left_out_and_ends_a_stretch(tmp_path):
    drives = table(tmp_path / "drives")
    said = noisy(drives)
    drives.angle_rad[50] = np.nan
    run = make_run(tmp_path / "run", drives, said)
    known = read_predictions(run / "predictions.csv").known()
    assert len(known) == 299 and known.stretch.max() == 2
    assert (np.diff(known.time_s)[np.diff(known.stretch) == 0] < 0.11).all()
    assert "1 more have no true angle" in Page(write_report([run])).text


@pytest.mark.slow
def test_long_drives_show_their_worst_pieces(tmp_path):
    drives = DriveTable.build(
        tmp_path,
        file=[f"{i}.jpg" for i in range(20_000)],
        time_s=np.arange(20_000) / 10,
        angle_rad=0.3 * np.sin(np.arange(20_000) / 30),
    )
    said = drives.angle_rad + 0.01
    said[9_000:9_100] += 0.5
    page = Page(write_report([make_run(tmp_path / "run", drives, said)]))
    assert "The 12 of 23 pieces with the largest RMSE" in page.text
    assert len(page.html) < 3_000_000


def test_the_command_prints_the_path(run, tmp_path, drives, capsys):
    assert main(["report", "--run", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report.html")
    other = make_run(tmp_path / "other", drives, noisy(drives, 1))
    assert main(["report", "--run", str(other), str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(other / "comparison.html")


def test_score_takes_a_runs_predictions(run, drives, tmp_path, capsys):
    from data_prep.driving.table import write_drive_csv

    write_drive_csv(drives, tmp_path / "drive.csv")
    given = ["--predictions", str(run / "predictions.csv"), "--labels", str(tmp_path / "drive.csv")]
    assert main(["score", *given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    error = noisy(drives).round(6) - drives.angle_rad
    assert found["rmse_rad"] == pytest.approx(float(np.sqrt(np.mean(error**2))))
    assert found["stretches"] == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("predictions.csv", "frame_id,steering_angle\n1,0.5\n", "lacks true_angle_rad"),
        ("predictions.csv", "", "holds no rows"),
        ("predictions.csv", "a\tb\n\xff", "is not UTF-8"),
        ("metrics.json", "{", "is no JSON"),
        ("metrics.json", "[]", "is no JSON object"),
        ("config.yaml", "a: [\n", "is no YAML"),
    ],
)
def test_a_wrong_file_is_named_and_the_old_report_stays(name, content, said, drives, tmp_path, capsys):
    run = make_run(tmp_path / "run", drives, noisy(drives))
    (run / name).write_bytes(content.encode("latin-1"))
    (run / "report.html").write_text("old")
    assert main(["report", "--run", str(run)]) == 2
    error = capsys.readouterr().err
    assert name in error and said in error and error.count("\n") == 1
    assert (run / "report.html").read_text() == "old"


def test_a_folder_that_is_no_run(run, tmp_path):
    for folders, said in (
        ([tmp_path / "absent"], "no such folder"),
        ([tmp_path], r"no predictions\.csv"),
        ([run, run], "named twice"),
    ):
        with pytest.raises(InputError, match=said):
            write_report(folders)


def test_a_wrong_cell_is_named_with_its_line(drives, tmp_path):
    run = make_run(tmp_path / "run", drives, noisy(drives))
    rows = (run / "predictions.csv").read_text().splitlines()
    for cell, said in (("left", ":3: steering_angle is 'left'"), ("", ":3: steering_angle is empty")):
        changed = rows[2].split(",")
        changed[1] = cell
        (run / "predictions.csv").write_text("\n".join([*rows[:2], ",".join(changed), *rows[3:]]))
        with pytest.raises(InputError, match=said):
            write_report([run])


def test_a_run_of_the_simulator_holds_shares_and_an_older_one_is_read_as_they_are(drives, tmp_path):
    angles = np.arange(len(drives)) * 1e-3
    said, unit = replace(drives, recorder="simulator"), UNITS["simulator"]
    new = make_run(tmp_path / "new", said, angles, recorder="simulator")
    old = make_run(tmp_path / "old", drives, angles, recorder="simulator")
    header = (new / "predictions.csv").read_text().partition("\n")[0]
    assert header.startswith("frame_id,share_of_full_lock,true_share_of_full_lock,time_s")
    for run in (new, old):
        found = read_steer_run(run)
        assert found.unit == unit
        np.testing.assert_allclose(found.frames.prediction_rad, angles / unit.full_lock, atol=2e-6)
        np.testing.assert_allclose(found.frames.truth_rad, drives.angle_rad / unit.full_lock)
    (new / "metrics.json").unlink()
    assert read_steer_run(new).unit == SHARE
