"""fit, validate and test of steering models at the public entry, on a few drawn drives."""

import copy
import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.driving.datamodule import SteerDataModule
from data_prep.driving.road import dataset as road
from data_prep.driving.table import read_drive_csv
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer
from modules.steering.stream import SteeringStream
from pipelines.steer import main
from pipelines.steering import fit as steering
from pipelines.steering.baselines import FLOW, SHIFTS, fit_ridges, ridge_angles
from tests.modules.steering.steering_models import whole_drives
from tests.pipelines.golden import check_golden, ending, recorded

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = """
    --trainer.max_epochs 2 --trainer.accelerator cpu --trainer.precision 32-true
    --trainer.enable_progress_bar false --model.frames.height 24 --model.frames.width 32
    --model.encoder.channels 4 --model.encoder.pool [1,4] --model.encoder.kernels [3,3,3,3]
    --model.encoder.strides [2,2,1,1] --model.encoder.dense_sizes [16,16] --model.encoder.feature_size 8
    --data.format drive --model.training.warmup_steps 2 --model.training.pretrain_epochs 1
"""
SMALL = OPTIONS.split()
TRIVIAL = ["zeros", "training_mean", "ridge_on_image_shifts", "ridge_on_optical_flow"]
TWO_STAGES = """
    --trainer.max_epochs 1 --trainer.accelerator cpu --trainer.precision 32-true
    --trainer.enable_progress_bar false --model.training.pretrain_epochs 1 --data.format drive
    --trainer.limit_train_batches 2 --data.sequence_length 5 --model.decoder.window 5
"""


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    root = tmp_path_factory.mktemp("drives") / "road"
    road.generate(root, drives=10, seconds=2, workers=1)
    return root


@pytest.fixture(scope="module")
def run(drives, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    arguments = ["fit", *SMALL, "--data.root", str(drives), "--runs", str(runs)]
    assert recorded(main, arguments, runs / "printed.txt") == 0
    return runs / "steer" / "road" / "version_0"


def angles(path: Path) -> dict[str, float]:
    with path.open() as file:
        return {row["frame_id"]: float(row["steering_angle"]) for row in csv.DictReader(file)}


def test_a_fit_leaves_every_test_frames_angle_and_its_scores_beside_trivial_systems(run, drives):
    table = read_drive_csv(drives / "drive.csv")
    truth = {
        Path(file).stem: angle
        for file, name, angle in zip(table.file, table.drive, table.angle_rad, strict=True)
        if str(name).startswith("test_")
    }
    said = angles(run / "predictions.csv")
    assert said.keys() == truth.keys()
    metrics = json.loads((run / "metrics.json").read_text())
    errors = np.array([said[frame] - truth[frame] for frame in truth])
    assert metrics["scores"]["rmse_rad"] == pytest.approx(float(np.sqrt(np.mean(errors**2))), abs=1e-4)
    zeros = float(np.sqrt(np.mean(np.square(list(truth.values())))))
    assert metrics["baselines"]["zeros"]["rmse_rad"] == pytest.approx(zeros, abs=1e-6)
    assert list(metrics["baselines"]) == [*TRIVIAL, "single_frame", "persistence_oracle"]
    assert (run / "checkpoints" / "last.ckpt").exists() and (run / "config.yaml").exists()
    assert "Steering report: road/version_0" in (run / "report.html").read_text()


def test_a_fit_ends_as_it_did(run):
    runs = run.parents[2]
    check_golden("steering/fit_ending", ending((runs / "printed.txt").read_text(), runs))


def test_test_repeats_the_fits_scores_in_a_folder_of_its_own(run, drives):
    checkpoint = str(run / "checkpoints" / "best.ckpt")
    for number in range(2):
        assert main(["test", *SMALL, "--data.root", str(drives), "--ckpt_path", checkpoint]) == 0
        again = angles(run / f"test_{number}" / "predictions.csv")
        assert again == pytest.approx(angles(run / "predictions.csv"), abs=1e-4)
        said = [json.loads((folder / "metrics.json").read_text()) for folder in (run, run / f"test_{number}")]
        for name in (*TRIVIAL, "single_frame"):  # those of the fit, out of its checkpoint
            assert said[1]["baselines"][name]["rmse_rad"] == pytest.approx(
                said[0]["baselines"][name]["rmse_rad"], abs=1e-5
            )
        assert f"version_0/test_{number}" in (run / f"test_{number}" / "report.html").read_text()
    model = Steerer.load(checkpoint)
    assert set(model.ridges) == {SHIFTS, FLOW} and model.rate_hz == pytest.approx(20)


@pytest.mark.slow
def test_the_control_sees_single_frames_and_stands_beside_every_later_score(run, drives):
    checkpoint = run / "checkpoints" / "best.ckpt"
    control, model = (Steerer.load(run / "checkpoints" / f"{name}.ckpt") for name in ("single_frame", "best"))
    assert control.left_context == 0 and control.decoder_options.kind == "frame"
    # it is the first stage, as it was at its best: the second one reads its features
    for name, weight in control.encoder.state_dict().items():
        assert torch.equal(weight, model.encoder.state_dict()[name])
    frames = torch.randint(0, 256, (6, 3, 24, 32), dtype=torch.uint8)
    order = [3, 0, 5, 1, 2, 4]
    alone = whole_drives(control, frames, [0])[order]
    np.testing.assert_allclose(whole_drives(control, frames[order], [0]), alone, rtol=0, atol=1e-6)

    fit = json.loads((run / "metrics.json").read_text())["baselines"]["single_frame"]
    for command in ("test", "validate"):
        arguments = [*SMALL, "--data.root", str(drives), "--ckpt_path", str(checkpoint)]
        assert main([command, *arguments]) == 0
        folder = max(run.glob(f"{command}_*"), key=lambda path: path.stat().st_mtime)
        said = json.loads((folder / "metrics.json").read_text())["baselines"]["single_frame"]
        assert (said["rmse_rad"] == pytest.approx(fit["rmse_rad"], abs=1e-5)) == (command == "test")
    truth = read_drive_csv(drives / "drive.csv")
    assert fit["frames"] == sum(str(name).startswith("test_") for name in truth.drive)


def test_a_model_of_one_stage_gets_a_control_of_its_own(drives, tmp_path):
    asked = ["--model.training.pretrain_epochs", "0", "--model.encoder.time_kernels", "[3,2,2,2]"]
    asked += ["--trainer.max_epochs", "1", "--single_frame_epochs", "1"]
    assert main(["fit", *SMALL, *asked, "--data.root", str(drives), "--runs", str(tmp_path)]) == 0
    run = tmp_path / "steer" / "road" / "version_0"
    control, model = (Steerer.load(run / "checkpoints" / f"{name}.ckpt") for name in ("single_frame", "best"))
    assert (control.left_context, model.left_context) == (0, 5)
    assert "single_frame" in json.loads((run / "metrics.json").read_text())["baselines"]


@pytest.mark.parametrize("name", [SHIFTS, FLOW])
def test_a_ridge_baseline_is_fitted_on_training_frames_alone(name, drives):
    def ridge(data: SteerDataModule, split: str) -> np.ndarray:
        return ridge_angles(data, split, name, fit_ridges(data)[name])

    model, data = Steerer(FramePreprocessing(66, 80)), SteerDataModule(drives, "drive")
    data.data = data.prepare(model)
    before = ridge(data, "test")
    assert (np.isfinite(before) == (data.data.split == "test")).all()
    assert np.ptp(before[data.data.split == "test"]) > 0
    for split, changes in {"val": False, "test": False, "train": True}.items():
        angles = data.data.table.angle_rad
        changed = dataclasses.replace(
            data.data.table, angle_rad=np.where(data.data.split == split, angles**2 - 1, angles)
        )
        other = copy.copy(data)
        other.data = dataclasses.replace(data.data, table=changed)
        same = np.array_equal(ridge(other, "test"), before, equal_nan=True)
        assert same != changes, split


def test_a_model_drives_unseen_roads(run, monkeypatch):
    monkeypatch.setattr(steering, "ROADS", 2)
    monkeypatch.setattr(steering, "SECONDS", 2.0)
    cli = steering.SteerCLI.__new__(steering.SteerCLI)
    cli.model = Steerer.load(run / "checkpoints" / "best.ckpt")
    driven = cli._closed_loop(run / "checkpoints" / "single_frame.ckpt")
    assert driven["roads"] == 2 and driven["elapsed_s"] == pytest.approx(4.0)
    assert driven["latency_s"] == 0.1 and driven["gusts"] is False
    assert 0 <= driven["autonomy"] <= 1 and driven["lateral_rmse_m"] > 0
    assert driven["controls"]["human_like_driver"]["autonomy"] == 1
    assert driven["controls"].keys() == {"single_frame", "human_like_driver", "always_straight"}
    assert driven["controls"]["single_frame"] != driven["controls"]["always_straight"]


def test_a_fit_that_is_killed_amid_an_epoch_goes_on_with_the_state_of_its_streams(
    drives, tmp_path, monkeypatch
):
    begin, carried = Steerer.on_train_batch_start, []

    def killed(model: Steerer, batch, batch_idx):
        if batch_idx == 3:
            carried.append(model.carried[0])
            if len(carried) == 2:  # the first fit went through
                raise RuntimeError("killed")
        begin(model, batch, batch_idx)

    monkeypatch.setattr(Steerer, "on_train_batch_start", killed)
    once = ["--trainer.max_epochs", "1", "--model.training.pretrain_epochs", "0", "--save_minutes", "1e-9"]
    short = ["--data.sequence_length", "5"]
    options = ["fit", *SMALL, *once, *short, "--data.root", str(drives)]
    assert main([*options, "--runs", str(tmp_path / "through")]) == 0
    with pytest.raises(RuntimeError, match="killed"):
        main([*options, "--runs", str(tmp_path / "killed")])
    folders = [
        tmp_path / name / "steer" / "road" / "version_0" / "checkpoints" for name in ("through", "killed")
    ]
    assert main([*options, "--ckpt_path", str(folders[1] / "last.ckpt")]) == 0
    through, _, resumed = carried
    assert all(torch.equal(a, b) and a.abs().sum() > 0 for a, b in zip(through, resumed, strict=True))
    through, resumed = (Steerer.load(folder / "last.ckpt") for folder in folders)
    for name, weight in through.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


@pytest.mark.slow
def test_a_fit_that_is_killed_in_its_first_stage_goes_on(run, drives, tmp_path, monkeypatch, capsys):
    begin = Steerer.on_train_batch_start

    def killed(model: Steerer, batch, batch_idx):
        if model.global_step == 4:
            raise RuntimeError("killed")
        begin(model, batch, batch_idx)

    options = [*SMALL, "--data.root", str(drives), "--runs", str(tmp_path), "--save_minutes", "1e-9"]
    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="killed"):
        patched.setattr(Steerer, "on_train_batch_start", killed)
        main(["fit", *options])
    checkpoints = tmp_path / "steer" / "road" / "version_0" / "checkpoints"
    assert {path.name for path in checkpoints.iterdir()} == {"last.ckpt"}
    assert main(["fit", *options, "--ckpt_path", str(checkpoints / "last.ckpt")]) == 0
    assert not (tmp_path / "steer" / "road" / "version_1").exists()
    through, resumed = (Steerer.load(folder / "last.ckpt") for folder in (run / "checkpoints", checkpoints))
    for name, weight in through.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name

    capsys.readouterr()
    control = str(run / "checkpoints" / "single_frame.ckpt")
    assert main(["fit", *options, "--ckpt_path", control]) == 2
    error = capsys.readouterr().err
    assert "is a model beside a run's own" in error and "last.ckpt" in error and error.count("\n") == 1


@pytest.mark.slow
def test_two_stages_are_one_command_and_every_drive_is_encoded_once_a_side(
    drives, tmp_path, monkeypatch, capsys
):
    encoded, encode = [], SteeringStream.encode

    def counted(stream: SteeringStream, frames: torch.Tensor) -> torch.Tensor:
        encoded.append(frames.shape[1])
        return encode(stream, frames)

    monkeypatch.setattr(SteeringStream, "encode", counted)
    config = ROOT / "configs" / "steer" / "chauffeur.yaml"
    arguments = ["--config", str(config), "--data.root", str(drives), "--runs", str(tmp_path)]
    assert main(["fit", *arguments, *TWO_STAGES.split()]) == 0
    said = capsys.readouterr().out
    assert "first stage" in said and said.count("epoch 1/1  train/loss") == 2
    # the best checkpoint's encoder is the one that was trained; it reads frames as they are and mirrored
    assert sum(encoded) == 2 * len(read_drive_csv(drives / "drive.csv").file)
    assert len(angles(tmp_path / "steer" / "chauffeur" / "version_0" / "predictions.csv")) == 40


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["fti"], "the nearest is 'fit'"),
        (["fit", "--data.root", "absent"], "absent"),
        (["fit", "--data.batch_sise", "3"], "batch_size"),
        (["fit", "--single_frame_epochs", "-1"], "single_frame_epochs is -1; it has to be 0 or more"),
        (["test"], "--ckpt_path"),
    ],
)
def test_wrong_input_is_one_line(argv, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
