"""`steer.py drive` at the public entry: a tiny model on short roads, beside drivers of known skill."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data_prep.driving.road.dataset import names_and_seeds
from data_prep.driving.road.drives import draw_roads
from data_prep.driving.road.scene import ROADS_PER_SEED
from modules.decoders.steering import SteeringDecoderOptions
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer
from pipelines.steer import main
from pipelines.steering.drive import drive_controls
from pipelines.steering.loop.closed_loop import Conditions
from tests.pipelines.pages import Page


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint that stands alone: untrained, and its angle hangs on the frame a little."""
    encoder = SteeringEncoderOptions(
        kind="clip",
        channels=4,
        kernels=(3, 3, 3, 3),
        strides=(2, 2, 1, 1),
        pool=(1, 4),
        dense_sizes=(16,),
        feature_size=8,
    )
    decoder = SteeringDecoderOptions(kind="autoregressive", outputs=3, hidden_size=8, projection_size=6)
    model = Steerer(FramePreprocessing(24, 32), encoder, decoder)
    model.use_target_statistics(torch.tensor([0.0, 0.0, 15.0]), torch.tensor([0.2, 0.5, 4.0]))
    stored = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(stored)
    path = tmp_path_factory.mktemp("model") / "checkpoints" / "best.ckpt"
    path.parent.mkdir()
    torch.save(stored, path)
    return path


def drive(checkpoint: Path, *arguments: str) -> int:
    return main(["drive", "--ckpt_path", str(checkpoint), *arguments])


def driven(checkpoint: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert drive(checkpoint, *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_the_ready_made_model_stands_beside_who_knows_the_road_and_a_wheel_held_straight(tmp_path, capsys):
    page = tmp_path / "deep" / "drive.html"
    asked = ["--roads", "2", "--seconds", "5", "--gusts", "--report", str(page), "--json"]
    assert main(["drive", *asked]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert "the ready-made one, which has learnt drawn roads alone" in err and "road.md" in err
    assert told["latency_s"] == 0.1 and told["gusts"] is True and told["report"] == str(page)
    assert told["model"]["interventions"] == 0
    assert told["model"]["lateral_rmse_m"] < 0.7 * told["always_straight"]["lateral_rmse_m"]
    text = " ".join(Page(page).texts)
    assert "angles reach the wheel 0.1 s late, gusts every 5 s or so" in text
    assert "Road 1" in text and "human like driver" in text
    for name in ("model", "human_like_driver", "always_straight"):
        assert told[name]["roads"] == 2 and told[name]["elapsed_s"] == 10
        assert len(told[name]["interventions_by_road"]) == len(told[name]["lateral_rmse_m_by_road"]) == 2
    assert told["human_like_driver"]["interventions"] == 0
    assert told["always_straight"]["interventions"] >= 2
    assert told["human_like_driver"]["autonomy"] == 1 > told["always_straight"]["autonomy"]


def test_a_drive_can_be_repeated_and_its_roads_train_no_model(checkpoint, capsys):
    first, again, other = (
        driven(checkpoint, capsys, "--roads", "1", "--seconds", "1", "--seed", seed)
        for seed in ("0", "0", "7")
    )
    assert first == again
    assert first["road_seeds"] != other["road_seeds"]
    for seed in (0, 7):
        drives = names_and_seeds(ROADS_PER_SEED, seed)
        known = {road for name, road in drives if not name.startswith("test")}
        assert not known & {*first["road_seeds"], *other["road_seeds"]}


@pytest.mark.slow
def test_angles_that_arrive_late_lead_farther_off_the_lane(checkpoint, capsys):
    asked = ["--roads", "1", "--seconds", "5", "--latency_s"]
    prompt, late = (driven(checkpoint, capsys, *asked, n)["human_like_driver"] for n in ("0", "0.7"))
    assert late["lateral_rmse_m"] > 1.2 * prompt["lateral_rmse_m"]


@pytest.mark.slow
def test_several_checkpoints_drive_by_their_mean_and_a_control_beside_them_drives(
    checkpoint, tmp_path, capsys
):
    stored = torch.load(checkpoint, weights_only=False)
    for name, sign in (("a.ckpt", 1), ("b.ckpt", -1), ("single_frame.ckpt", 1)):
        mean = torch.tensor([1.5 * sign, 0.0, 15.0])
        torch.save(
            stored | {"state_dict": stored["state_dict"] | {"target_mean": mean}, "recorder": "road"},
            tmp_path / name,
        )
    both, page = [str(tmp_path / name) for name in ("a.ckpt", "b.ckpt")], tmp_path / "drive.html"
    asked = ["--roads", "1", "--seconds", "2", "--seed", "3", "--json"]
    assert main(["drive", "--ckpt_path", *both, *asked, "--report", str(page)]) == 0
    together, err = capsys.readouterr()
    assert "note" not in err
    assert main(["drive", "--ckpt_path", both[0], *asked]) == 0
    alone = json.loads(capsys.readouterr().out)
    told = json.loads(together)
    assert told["checkpoints"] == both
    # each of the two turns off the road, their mean goes on
    assert alone["model"]["interventions"] > told["model"]["interventions"]
    assert told["single_frame"]["interventions"] > told["model"]["interventions"]
    assert "of 2 models" in " ".join(Page(page).texts)
    assert main(["drive", "--ckpt_path", both[0], both[0], *asked]) == 2
    assert "names a checkpoint twice" in capsys.readouterr().err


def test_tables_say_it_in_all_and_road_by_road(checkpoint, capsys):
    assert drive(checkpoint, "--roads", "2", "--seconds", "2") == 0
    out = capsys.readouterr().out
    assert "Closed loop on 2 unseen roads, 4 s together" in out
    for name in (
        "autonomy",
        "interventions",
        "model",
        "human like driver",
        "always straight",
        "Road by road",
    ):
        assert name in out


@pytest.mark.slow
def test_a_video_shows_the_chosen_roads_and_is_not_overwritten_unasked(checkpoint, tmp_path, capsys):
    video = tmp_path / "deep" / "drive.mp4"
    asked = ["--roads", "3", "--seconds", "1", "--video", str(video), "--video_roads", "[2,0]"]
    assert drive(checkpoint, *asked) == 0
    assert f"video in {video}" in capsys.readouterr().out
    film = cv2.VideoCapture(str(video))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 40
    frames = np.stack([film.read()[1] for _ in range(40)]).astype(int)
    # from one road to the other the picture changes more than within one
    change = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert change.argmax() == 19
    held = video.read_bytes()
    assert drive(checkpoint, *asked) == 2
    assert "--overwrite" in capsys.readouterr().err and video.read_bytes() == held
    assert drive(checkpoint, *asked[:-1], "1", "--overwrite") == 0
    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) == 20


@pytest.mark.parametrize(
    ("root", "noted"),
    [("null", False), ("/recordings/udacity", True)],
)
def test_frames_of_another_camera_are_said(checkpoint, tmp_path, capsys, root, noted):
    copy = tmp_path / "version_0" / "checkpoints" / "best.ckpt"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(checkpoint.read_bytes())
    (tmp_path / "version_0" / "config.yaml").write_text(f"data: {{root: {root}, format: auto}}\n")
    assert drive(copy, "--roads", "1", "--seconds", "1") == 0
    assert ("/recordings/udacity, whose camera" in capsys.readouterr().err) == noted
    assert drive(checkpoint, "--roads", "1", "--seconds", "1") == 0
    assert "nothing beside the checkpoint says" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--roads", "0"], "roads is 0"),
        (["--seconds", "200"], "seconds is 200; it has to be from 1 to 150"),
        (["--seconds", "nan"], "seconds is 'nan'"),
        (["--seed", "1000"], "seed is 1000"),
        (["--latency_s", "-1"], "latency_s is -1; it has to be from 0 to 1"),
        (["--latency_s", "0.12"], "latency_s is 0.12; it has to be a multiple of 0.05"),
        (["--report", "folder.mp4"], "is a folder"),
        (["--video", "a.avi"], "name it a.mp4"),
        (["--video", "a.mp4", "--video_roads", "10"], "there are 0 to 9"),
        (["--video", "a.mp4", "--video_roads", "[]"], "names no road"),
        (["--video", "folder.mp4"], "is a folder"),
        (["--video", "file/a.mp4"], "file: is a file"),
        (["--raods", "2"], "the nearest is 'roads'"),
    ],
)
def test_wrong_input_is_one_line_before_anything_is_driven(
    checkpoint, tmp_path, monkeypatch, capsys, arguments, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").touch()
    assert drive(checkpoint, *arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.mp4"]


def test_a_checkpoint_of_another_task_or_none_is_refused(tmp_path, capsys):
    torch.save({"state_dict": {}, "task": "caption", "hyper_parameters": {}}, tmp_path / "caption.ckpt")
    assert drive(tmp_path / "caption.ckpt") == 2
    assert "a checkpoint of the task 'caption'; this command needs one of 'steer'" in capsys.readouterr().err
    (tmp_path / "noise.ckpt").write_bytes(b"no checkpoint")
    for name, said in {"noise.ckpt": "no readable checkpoint", "absent.ckpt": "does not exist"}.items():
        assert drive(tmp_path / name) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


@pytest.mark.parametrize(("recorder", "said"), [("donkeycar", True), ("simulator", True), ("udacity", False)])
def test_a_model_whose_commands_are_no_radians_is_warned_of(checkpoint, recorder, said, tmp_path, capsys):
    stored = torch.load(checkpoint, weights_only=False)
    (tmp_path / "checkpoints").mkdir()
    torch.save(stored | {"recorder": recorder}, tmp_path / "checkpoints" / "best.ckpt")
    (tmp_path / "config.yaml").write_text("data: {root: [tub, other tub], format: auto}")
    assert drive(tmp_path / "checkpoints" / "best.ckpt", "--roads", "1", "--seconds", "1") == 0
    err = capsys.readouterr().err
    assert ("WARNING: the model says share of full lock" in err) == said
    assert "was trained on tub, other tub, whose camera" in err


def test_a_human_like_driver_who_was_put_back_starts_afresh_as_a_model_does():
    driven = drive_controls(draw_roads(6, 15.0), 15.0, Conditions(0.5))["human_like_driver"]
    steps, roads = np.nonzero(driven.intervened[:-1])
    assert len(steps) > 5
    # in the lane's centre again, with the wheel turned as the road is
    said, wheel = (values[steps + 1, roads] for values in (driven.predicted_rad, driven.angle_rad))
    np.testing.assert_allclose(said, wheel, atol=0.25)
