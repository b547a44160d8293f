"""Drawn drives: a driver who keeps to the lane, equal files for equal seeds, safe kills, unseen tests."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from data_prep.driving import read_drives
from data_prep.driving.__main__ import main
from data_prep.driving.road import dataset as road
from data_prep.driving.road import driver as road_driver
from data_prep.driving.road.course import draw_course
from data_prep.driving.road.driver import REACTION_S, Drive, Driver, drive, plan_speed
from data_prep.driving.road.drives import drive_frames, drive_road
from data_prep.driving.road.scene import SPLITS, draw_road
from data_prep.driving.road.vehicle import STEP_S, Car, curvature_of
from data_prep.driving.table import DriveTable
from modules.errors import InputError
from modules.images import read_image
from tests.data_prep.driving.road.flat_courses import flat_course

SMALL: Any = {"drives": 3, "seconds": 1.0}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roads") / "set"
    road.generate(folder, **SMALL, seed=7, workers=1)
    return folder


@pytest.fixture(scope="module")
def logs() -> list[Drive]:
    """Ten drives of 20 s on roads of many curves, without frames."""
    made = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        course = draw_course(700, 40, 0.2, 0.05, rng)
        speeds = plan_speed(course, rng.uniform(13, 17), 2.0)
        made.append(drive(course, -1.7, speeds, 400, 12.0, rng))
    return made


def joined(logs: list[Drive], name: str) -> np.ndarray:
    return np.concatenate([getattr(log, name) for log in logs])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_driver_keeps_to_the_lane_but_not_to_its_centre(logs: list[Drive]) -> None:
    offset, angle = joined(logs, "offset_m"), joined(logs, "angle_rad")
    assert np.abs(offset).max() < 1.0, "a driver who needs interventions himself"
    # recovery is seen: far from the centre on both sides, brought back
    assert min((offset > 0.4).mean(), (offset < -0.4).mean()) > 0.02
    assert np.abs(offset.mean()) < 0.1
    assert angle.max() > 0.5
    assert angle.min() < -0.5
    # a human's hand: neither still nor shaking (0.21 rad/s on a real test drive)
    whiteness = np.sqrt(np.mean([np.mean(np.diff(log.angle_rad) ** 2) for log in logs])) / STEP_S
    assert 0.1 < whiteness < 0.4


def test_the_driver_does_what_was_intended_a_reaction_time_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    course = flat_course(300)
    intended = iter(range(20))
    monkeypatch.setattr(road_driver, "pursue", lambda *_: next(intended))
    driver, car = Driver(np.random.default_rng(0)), Car(course, -1.7, 12.0, 15.0)
    late = round(REACTION_S / STEP_S)
    assert 0.2 <= late * STEP_S <= 0.5  # people's
    # but for the trembling hand
    assert [driver.steer(car) for _ in range(20)] == pytest.approx([0] * late + [*range(20 - late)], abs=0.1)


def test_angle_torque_and_speed_go_with_the_road(logs: list[Drive]) -> None:
    for log in logs:
        assert np.allclose(np.diff(log.time_s), STEP_S)
        # what the wheel says is what the car does
        turned = np.diff(log.heading_rad) / (np.diff(log.distance_m) + 1e-9)
        driven = np.array([curvature_of(a) for a in (log.angle_rad[1:] + log.angle_rad[:-1]) / 2])
        assert np.abs(turned - driven).max() < 0.006
    angle, torque, speed = (joined(logs, name) for name in ("angle_rad", "torque", "speed_mps"))
    assert np.corrcoef(angle, torque)[0, 1] > 0.6
    assert speed[np.abs(angle) > 0.6].mean() < speed[np.abs(angle) < 0.1].mean() - 1
    lateral = speed**2 * np.array([curvature_of(a) for a in angle])
    assert np.abs(lateral).max() < 5


def test_planned_speed_brakes_before_a_curve() -> None:
    course = flat_course(400)
    bend = course.curvature.copy()
    bend[200:260] = 1 / 40
    course = type(course)(bend, course.grade, course.bumps)
    speed = plan_speed(course, 20.0, 2.0)
    assert speed[200:260].max() == pytest.approx(np.sqrt(2.0 * 40))
    assert speed[0] == speed[399] == 20.0
    assert 12 < speed[180] < 20
    rise = np.diff(speed**2) / 2
    assert -1.8001 <= rise.min() < 0 < rise.max() <= 1.2001


def test_gusts_make_the_difference() -> None:
    course, speeds = flat_course(900), np.full(901, 15.0)
    spread = []
    for every in (np.inf, 3.0):
        runs = [drive(course, -1.7, speeds, 400, 12.0, np.random.default_rng(s), every) for s in range(3)]
        spread.append(np.std([run.offset_m for run in runs]))
    assert spread[1] > 1.4 * spread[0]


def test_the_set_is_as_it_says(root: Path) -> None:
    table = road.read(root)
    assert list(dict.fromkeys(table.drive)) == ["train_000", "val_000", "test_000"]
    assert len(table) == 60
    assert table.file[21] == "frames/val_000/val_000_00001.jpg"
    assert len(np.unique(table.frame)) == 60
    assert (np.diff(table.time_s) > 0).all()
    assert read_image(root / str(table.file[0])).shape == (80, 160, 3)
    for row in table.series():
        assert np.allclose(np.diff(table.time_s[row]), STEP_S)
    for name in ("angle_rad", "torque", "speed_mps"):
        assert np.isfinite(getattr(table, name)).all()
    # labels belong to frames: drawing the road anew gives both
    name, seed = road.names_and_seeds(3, 7)[0]
    again = draw_road(seed, 1.0)
    log = drive_road(again, 1.0)
    np.testing.assert_allclose(table.angle_rad[:20], log.angle_rad, atol=1e-5)
    frame = list(drive_frames(again, log))[19]
    kept = read_image(root / str(table.file[19]))
    assert np.abs(frame.astype(int) - kept).mean() < 4, "JPEG"
    assert isinstance(read_drives(root), DriveTable)


def test_the_drawing_has_the_name_it_is_known_by(root: Path) -> None:
    """Whoever changes what is drawn gives it another name in `road._SET` and its new numbers here."""
    thumbnails, angles = {
        "c08a1b8ad23d9c6b": (
            [
                [33, 85, 160, 165, 114, 68, 72, 87, 99, 92, 62, 55, 99, 104, 104, 103, 105, 89],
                [116, 174, 207, 207, 203, 196, 85, 114, 141, 141, 101, 85, 107, 109, 109, 109, 113, 98],
                [138, 144, 171, 169, 170, 159, 35, 60, 105, 119, 105, 95, 69, 85, 85, 85, 86, 74],
            ],
            [0.0, 0.0181, -0.0212, -0.0332, -0.0006],
        ),
    }[road._SET.drawing]
    table = road.read(root)
    for row, expected in zip((0, 20, 40), thumbnails, strict=True):
        frame = read_image(root / str(table.file[row])).mean(2)
        seen = cv2.resize(frame, (6, 3), interpolation=cv2.INTER_AREA).ravel()
        assert np.abs(seen - expected).mean() < 1.5, "other machines round otherwise, by less"
    np.testing.assert_allclose(table.angle_rad[::12], angles, atol=1e-3)


def test_test_roads_are_never_trained_on() -> None:
    for seed in (0, 3):
        jobs = road.names_and_seeds(30, seed)
        assert [sum(name.startswith(split) for name, _ in jobs) for split in SPLITS] == [24, 3, 3]
        assert len({road for _, road in jobs}) == 30
    first, second = ({road for _, road in road.names_and_seeds(200, seed)} for seed in (0, 1))
    assert not first & second


def test_equal_seeds_give_equal_files_however_many_draw(root: Path, tmp_path: Path) -> None:
    road.generate(tmp_path / "deep" / "set", **SMALL, seed=7, workers=2)
    assert contents(tmp_path / "deep" / "set") == contents(root)
    assert len(contents(root)) == 62


def test_a_complete_set_is_kept_and_any_other_drawn_anew(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(root, folder)
    before = contents(folder)
    (folder / "frames/train_000/train_000_00000.jpg").write_bytes(b"as it was")
    road.read(folder)
    assert (folder / "frames/train_000/train_000_00000.jpg").read_bytes() == b"as it was"

    marker = json.loads((folder / "road.json").read_text())
    (folder / "road.json").write_text(json.dumps({**marker, "generator": "former"}))
    (folder / "notes.txt").write_text("mine")
    road.generate(folder, **SMALL, seed=7, workers=1)
    assert contents(folder) == {**before, "notes.txt": b"mine"}
    assert not list(tmp_path.glob(".*.partial"))


def test_a_killed_run_leaves_nothing_that_is_trusted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real, drawn_so_far = tmp_path / "set", road.draw_drive, []

    def killed(job: Any) -> Any:
        drawn_so_far.append(job)
        if len(drawn_so_far) == 2:
            raise KeyboardInterrupt
        return real(job)

    monkeypatch.setattr(road, "draw_drive", killed)
    with pytest.raises(KeyboardInterrupt):
        road.generate(folder, **SMALL, seed=7, workers=1)
    assert not folder.exists()
    monkeypatch.setattr(road, "draw_drive", real)
    (tmp_path / ".set.abc.partial" / "frames").mkdir(parents=True)  # what SIGKILL leaves
    road.generate(folder, **SMALL, seed=7, workers=1)
    assert contents(folder) == contents(root)
    assert not (tmp_path / ".set.abc.partial").exists()


def test_command_prints_what_it_made(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "set"
    shutil.copytree(root, folder)
    options = ["--drives", "3", "--seconds", "1", "--seed", "7", "--sheet", str(tmp_path / "sheet.png")]
    assert main(["draw", str(folder), *options]) == 0
    printed = capsys.readouterr().out
    assert "left positive" in printed
    assert "train_000" in printed
    assert "wrote " in printed
    assert read_image(tmp_path / "sheet.png").shape == (8 * 160, 5 * 320, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--drives", "2"], "2 drives cannot be drawn"),
        (["--seconds", "0"], "drives of 0 s"),
        (["--seconds", "151"], "choose from 1 to 150"),
        (["--seed", "-1"], "seeds from 0 to 999"),
        (["--drives", "3", "--seconds", "1"], "holds something else than drawn drives"),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"a photograph")
    assert main(["draw", str(tmp_path), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert contents(tmp_path) == {"holiday.jpg": b"a photograph"}


def test_a_file_in_the_way_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written"):
        road.generate(tmp_path / "file" / "set", **SMALL)
