"""`predict` over recordings as people have them: the model's own angles, a row a frame, videos, refusals."""

import csv
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from modules import SteeringPredictor
from modules.images import read_image
from modules.steering.smoothing import smoother
from modules.steering.steerer import Steerer
from pipelines.steer import main
from pipelines.steering.drawing.picture import write_video
from tests.modules.steering.steering_models import whole_drives
from tests.pipelines.steering.steering_recordings import (
    MODELS,
    camera_frame,
    save,
    stamps,
    write_checkpoint,
    write_frames,
)

DATA = Path(os.environ.get("SEQSIGHT_DATA", Path(__file__).parents[3] / "../shared/data"))
# two stretches; the first is longer than one piece
NAMES = stamps(*range(40), *range(60, 71))
GAP = 40


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {kind: write_checkpoint(kind, root / f"{kind}.ckpt") for kind in MODELS}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings") / "monday"
    write_frames(root, [f"center/{name}.png" for name in NAMES])
    labels = [f"{name},{0.01 * n:.3f},1\n" for n, name in enumerate(NAMES)]
    (root.parent / "labels.csv").write_text("frame_id,steering_angle,public\n" + "".join(labels[5:]))
    return root


@pytest.fixture
def predict(tmp_path, capfd):
    """Returns a function that steers and returns the rows of the csv."""

    def run(checkpoints, frames, *arguments, output="out.csv"):
        given = [str(path) for path in (checkpoints if isinstance(checkpoints, list) else [checkpoints])]
        command = ["predict", "--ckpt_path", *given, "--frames", str(frames), "--device", "cpu"]
        assert main([*command, "--output", str(tmp_path / output), *arguments]) == 0, capfd.readouterr().err
        with (tmp_path / output).open() as file:
            rows = list(csv.reader(file))
        several = isinstance(checkpoints, list) and len(checkpoints) > 1
        assert rows[0] == ["frame_id", "steering_angle", *["standard_deviation"] * several]
        return rows[1:]

    return run


def angles(rows):
    return np.array([float(row[1]) if row[1] else np.nan for row in rows])


def angles_of_whole_drives(checkpoint, starts, count=51):
    """What the model says of the recording's first frames, each drive in one forward pass."""
    model = Steerer.load(checkpoint)
    pixels = torch.stack([model.preprocessing(camera_frame(n)) for n in range(count)])
    return whole_drives(model, pixels, starts)[:, 0]


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_angles_are_those_of_whole_drives_and_of_the_streaming_predictor(
    kind, checkpoints, recording, predict, capfd, monkeypatch
):
    # a bar is for terminals, and this makes one of what reads here
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    rows = predict(checkpoints[kind], recording)
    out, err = (re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text) for text in capfd.readouterr())
    assert [name for name, _ in rows] == NAMES
    expected = angles_of_whole_drives(checkpoints[kind], [0, GAP])
    np.testing.assert_allclose(angles(rows), expected, rtol=0, atol=1e-5)
    predictor, streamed = SteeringPredictor.load(checkpoints[kind]), []
    for n, name in enumerate(NAMES):
        if n == GAP:
            predictor.reset()
        streamed.append(predictor.step(read_image(recording / "center" / f"{name}.png")))
    np.testing.assert_allclose(angles(rows), streamed, rtol=0, atol=1e-5)
    # the gap matters, and so do the frames
    assert np.abs(angles_of_whole_drives(checkpoints[kind], [0]) - expected)[GAP:].max() > 1e-4
    assert len({angle for _, angle in rows}) > 40
    assert "51 in 2 unbroken stretches of 1 drive" in out and "out.csv" in out and "frames/s" in out
    assert "51/51" in err and "frames/s" in err and "images/s" not in err and "note" not in err


def test_several_checkpoints_are_averaged_whatever_they_see(checkpoints, recording, predict):
    rows = predict(list(checkpoints.values()), recording)
    both = angles(rows)
    single = [angles(predict(path, recording, output=f"{kind}.csv")) for kind, path in checkpoints.items()]
    np.testing.assert_allclose(both, np.mean(single, axis=0), atol=2e-6)
    assert np.abs(single[0] - single[1]).max() > 1e-3
    apart = np.array([float(row[2]) for row in rows])
    np.testing.assert_allclose(apart, np.std(single, axis=0, ddof=1), atol=2e-6)
    asked = ["--floor", "0.1", "--scale", "2", "--overlay", str(recording.parent / "sure.mp4")]
    sure = predict(list(checkpoints.values()), recording, *asked, output="sure.csv")
    np.testing.assert_allclose([float(row[2]) for row in sure], np.hypot(0.1, 2 * apart), atol=4e-6)


def test_a_throttle_that_a_model_says_has_a_column(checkpoints, recording, tmp_path):
    frames, encoder, decoder = MODELS["transfer"]
    model = Steerer(frames, encoder, replace(decoder, outputs=2)).eval()
    model.target_mean.copy_(torch.tensor([0.0, 0.4]))
    given = [str(save(model, tmp_path / "two.ckpt")), str(checkpoints["transfer"])]
    assert (
        main(["predict", "--ckpt_path", *given, "--frames", str(recording), "--output", str(tmp_path / "o")])
        == 0
    )
    with (tmp_path / "o").open() as file:
        rows = list(csv.DictReader(file))
    pixels = torch.stack([model.preprocessing(camera_frame(n)) for n in range(len(NAMES))])
    said = whole_drives(model, pixels, [0, GAP])[:, 1]  # the other one says none
    np.testing.assert_allclose([float(row["throttle"]) for row in rows], said, atol=1e-5)
    assert list(rows[0]) == ["frame_id", "steering_angle", "standard_deviation", "throttle"]


@pytest.mark.parametrize("name", ["exponential", "chauffeur"])
def test_smoothing_starts_afresh_at_a_gap(name, checkpoints, recording, predict):
    raw = angles(predict(checkpoints["komanda"], recording))
    found = angles(predict(checkpoints["komanda"], recording, "--smoothing", name, output="smooth.csv"))
    expected = []
    for part in (raw[:GAP], raw[GAP:]):
        smoothing = smoother(name)
        expected += [smoothing.step(angle) for angle in part]
    np.testing.assert_allclose(found, expected, atol=3e-6)
    assert np.abs(found - raw).max() > 1e-4


def test_a_damaged_frame_is_named_keeps_an_empty_row_and_cuts_the_drive(
    checkpoints, tmp_path, predict, capfd
):
    root, names = tmp_path / "monday", stamps(*range(12))
    write_frames(root, [f"center/{name}.png" for name in names])
    damaged = root / "center" / f"{names[4]}.png"
    damaged.write_bytes(damaged.read_bytes()[:300])
    (root / "center" / f"{names[0]}.png").write_bytes(b"")
    video = tmp_path / "out.mp4"
    rows = predict(checkpoints["komanda"], root, "--overlay", str(video))
    out, err = capfd.readouterr()
    assert [name for name, _ in rows] == names
    found = angles(rows)
    assert np.flatnonzero(np.isnan(found)).tolist() == [0, 4]
    expected = angles_of_whole_drives(checkpoints["komanda"], [0, 1, 5], 12)
    np.testing.assert_allclose(found[[1, 2, 3, *range(5, 12)]], expected[[1, 2, 3, *range(5, 12)]], atol=1e-5)
    assert str(damaged) in err and err.count("warning:") == 2
    assert re.search(rf"unreadable +2.*{names[0]}, {names[4]}", out)
    reader = cv2.VideoCapture(str(video))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 12


def test_a_video_is_steered_by_its_frame_numbers(checkpoints, tmp_path, predict):
    path = write_video([camera_frame(n) for n in range(40)], tmp_path / "monday.mp4", 20)
    rows = predict(checkpoints["transfer"], path)
    assert [name for name, _ in rows] == [str(n) for n in range(40)]
    reader, predictor, expected = (
        cv2.VideoCapture(str(path)),
        SteeringPredictor.load(checkpoints["transfer"]),
        [],
    )
    for _ in range(40):
        expected.append(predictor.step(reader.read()[1][..., ::-1]))
    np.testing.assert_allclose(angles(rows), expected, rtol=0, atol=1e-5)


def test_frames_at_another_rate_than_in_training_are_said(tmp_path, predict, capfd):
    model = Steerer(*MODELS["transfer"])
    model.rate_hz = 20.0
    trained = save(model, tmp_path / "trained.ckpt")
    for rate, is_said in ((20, False), (60, True)):
        path = write_video([camera_frame(n) for n in range(30)], tmp_path / f"{rate}.mp4", rate)
        predict(trained, path, output=f"{rate}.csv")
        assert ("60 frames a second, 20 in training" in capfd.readouterr().err) == is_said


@pytest.mark.slow
def test_the_overlay_shows_every_frame_the_driver_and_where_the_model_looks(
    checkpoints, recording, tmp_path, predict
):
    pictures, models = {}, list(checkpoints.values())
    labels = ["--labels", str(recording.parent / "labels.csv")]
    given = {"plain": [], "labels": labels, "saliency": [*labels, "--saliency"]}
    for name, arguments in given.items():
        path = tmp_path / f"{name}.mp4"
        predict(models, recording, "--overlay", str(path), *arguments, output=f"{name}.csv")
        reader = cv2.VideoCapture(str(path))
        assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == len(NAMES)
        assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(20, abs=0.01)
        pictures[name] = [reader.read()[1][..., ::-1].astype(int) for _ in NAMES]
    assert (tmp_path / "plain.csv").read_text() == (tmp_path / "saliency.csv").read_text()
    bluish = {
        name: [int(((p[400:, :, 2] - p[400:, :, 0]) > 110).sum()) for p in shown]
        for name, shown in pictures.items()
    }
    # the driver's wheel, from the first labelled frame on
    assert max(bluish["plain"]) < 200 and min(bluish["labels"][6:]) > 250
    difference = [
        np.abs(a - b)[:400].mean() for a, b in zip(pictures["labels"], pictures["saliency"], strict=True)
    ]
    assert min(difference) > 5


def test_nothing_is_overwritten_unless_asked_for(checkpoints, recording, tmp_path, predict, capfd):
    kept = tmp_path / "out.csv"
    kept.write_text("mine")
    video = tmp_path / "out.mp4"
    video.write_text("mine")
    command = ["predict", "--ckpt_path", str(checkpoints["komanda"]), "--frames", str(recording)]
    for arguments in (
        ["--output", str(kept)],
        ["--output", str(tmp_path / "b.csv"), "--overlay", str(video)],
    ):
        assert main([*command, *arguments]) == 2
        error = capfd.readouterr().err
        assert "exists already" in error and "--overwrite" in error and error.count("\n") == 1
    assert kept.read_text() == video.read_text() == "mine"
    assert len(predict(checkpoints["komanda"], recording, "--overlay", str(video), "--overwrite")) == len(
        NAMES
    )
    assert video.stat().st_size > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.mp4"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--ckpt_path": "absent.ckpt"}, "absent.ckpt: does not exist"),
        ({"--ckpt_path": "labels.csv"}, "no readable checkpoint"),
        ({"--ckpt_path": "words.ckpt"}, "task 'text'"),
        ({"--frames": "absent"}, "absent: no such file or folder"),
        ({"--frames": "empty"}, "holds no images"),
        ({"--frames": "damaged"}, "no frame can be read"),
        ({"--rate": "0"}, "--rate is 0"),
        ({"--smoothing": "expo"}, "exponential"),
        ({"--smoothing_weight": "1.5"}, "--smoothing_weight is 1.5"),
        ({"--labels": "labels.csv"}, "--overlay"),
        ({"--saliency": "true"}, "--overlay"),
        ({"--overlay": "out.avi"}, "out.mp4"),
        ({"--overlay": "out.mp4", "--labels": "other.csv"}, "an angle of none of the frames"),
        ({"--overlay": "out.mp4", "--labels": "wrong.csv"}, "wrong.csv:1: no column for the steering angle"),
        ({"--overlay": "out.mp4", "--labels": "latin.csv"}, "latin.csv"),
        ({"--overlay": "out.mp4", "--car.horizon": "2"}, "car.horizon is 2"),
        ({"--output": "empty"}, "is a folder"),
        (
            {"--output": "labels.csv", "--overlay": "o.mp4", "--labels": "labels.csv", "--overwrite": "true"},
            "is read",
        ),
        ({"--output": "out.mp4", "--overlay": "./out.mp4"}, "read or written already"),
        ({"--output": "labels.csv/out.csv"}, "labels.csv"),
        ({"--fames": "x"}, "'frames'"),
        ({"--frames": None}, "needs --frames"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(changed, said, checkpoints, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_frames(tmp_path, [f"good/{n}.png" for n in range(3)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/1.png").write_bytes(b"no image")
    (tmp_path / "labels.csv").write_text("frame_id,steering_angle\n1,0.1\n")
    (tmp_path / "other.csv").write_text("frame_id,steering_angle\n9,0.1\n")
    (tmp_path / "wrong.csv").write_text("frame,angel\n9,0.1\n")
    (tmp_path / "latin.csv").write_bytes(b"frame_id,steering_angle\n1,\xe9\n")
    torch.save({"state_dict": {}, "task": "text", "hyper_parameters": {}}, tmp_path / "words.ckpt")
    before = sorted(os.walk(tmp_path))
    given = {"--ckpt_path": str(checkpoints["komanda"]), "--frames": "good", "--output": "out.csv"} | changed
    status = main(["predict", *[word for pair in given.items() if pair[1] is not None for word in pair]])
    error = capfd.readouterr().err
    last = error.splitlines()[-1]
    assert status == 2, error
    assert said in last and last.startswith("error: ") and "Traceback" not in error
    assert all(line.startswith("note: ") for line in error.splitlines()[:-1])
    assert sorted(os.walk(tmp_path)) == before


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("recording", "rows", "stretches"),
    [("udacity_ch2", 4354, 3), ("donkey_tub", 1500, 13), ("udacity_sim", 120, 1)],
)
def test_real_recordings_get_a_row_a_frame(recording, rows, stretches, checkpoints, predict, capfd):
    if not (DATA / recording).exists():
        pytest.skip(f"{DATA / recording} is absent")
    found = predict(checkpoints["komanda"], DATA / recording)
    assert len(found) == len({name for name, _ in found}) == rows
    assert np.isfinite(angles(found)).all()
    assert f"{rows:,} in {stretches} unbroken stretch" in capfd.readouterr().out


@pytest.mark.parametrize(("recorder", "full_lock"), [("donkeycar", 1.0), ("simulator", math.radians(25))])
def test_angles_that_are_no_radians_are_named_and_scored_as_shares(
    recorder, full_lock, checkpoints, recording, predict, tmp_path, capfd
):
    stored = torch.load(checkpoints["transfer"], weights_only=False)
    shares = tmp_path / "shares.ckpt"
    torch.save(stored | {"recorder": recorder}, shares)
    internal = angles(predict(checkpoints["transfer"], recording))
    assert main(["predict", "--ckpt_path", str(shares), "--frames", str(recording), "--output",
                 str(tmp_path / "shares.csv"), "--device", "cpu"]) == 0  # fmt: skip
    assert "unit         share of full lock\n" in capfd.readouterr().out
    with (tmp_path / "shares.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == ["frame_id", "share_of_full_lock"]
    np.testing.assert_allclose(
        [float(share) for _, share in rows], internal / full_lock, atol=2e-6 / full_lock
    )

    def labels(told: str) -> list[str]:
        lines = [
            f"{name},{n / 20},{angle:.9f},{told}"
            for n, (name, angle) in enumerate(zip(NAMES, internal, strict=True))
        ]
        (tmp_path / "drive.csv").write_text("\n".join(["frame,time_s,angle_rad,recorder", *lines]))
        return ["--labels", str(tmp_path / "drive.csv")]

    score = ["score", "--predictions", str(tmp_path / "shares.csv"), *labels(recorder)]
    assert main([*score, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["rmse_rad"] < 2e-6
    assert told["unit"] == ("share of full lock" if full_lock == 1 else "rad")
    labels("")  # radians of a steering wheel
    assert main(score) == 2
    assert "holds share of full lock, radians of the steering wheel are needed" in capfd.readouterr().err
    both = ["predict", "--ckpt_path", str(shares), str(recorded_in_a_car(stored, tmp_path)), "--frames"]
    assert main([*both, str(recording), "--output", str(tmp_path / "mean.csv")]) == 2
    assert "models of one recorder go together" in capfd.readouterr().err


def recorded_in_a_car(stored: dict, folder: Path) -> Path:
    torch.save(stored | {"recorder": "udacity"}, folder / "car.ckpt")
    return folder / "car.ckpt"
