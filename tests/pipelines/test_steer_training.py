"""fit, validate and test of steering models at the public entry, on a few drawn drives."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.driving import road
from data_prep.driving.drive_table import read_drive_csv
from pipelines import steering
from pipelines.steer import main

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = """
    --trainer.max_epochs 2 --trainer.accelerator cpu --trainer.precision 32-true
    --trainer.enable_progress_bar false --model.frames.height 24 --model.frames.width 32
    --model.encoder.channels 4 --model.encoder.pool [1,4] --model.encoder.kernels [3,3,3,3]
    --model.encoder.strides [2,2,1,1] --model.encoder.dense_sizes [16,16] --model.encoder.feature_size 8
    --data.format drive --model.training.warmup_steps 2
"""
SMALL = OPTIONS.split()
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
    assert main(["fit", *SMALL, "--data.root", str(drives), "--runs", str(runs)]) == 0
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
    assert set(metrics["baselines"]) == {"zeros", "training_mean", "persistence_oracle"}
    assert (run / "checkpoints" / "last.ckpt").exists() and (run / "config.yaml").exists()
    assert "Steering report: road/version_0" in (run / "report.html").read_text()


def test_test_repeats_the_fits_scores_in_a_folder_of_its_own(run, drives):
    checkpoint = str(run / "checkpoints" / "best.ckpt")
    for number in range(2):
        assert main(["test", *SMALL, "--data.root", str(drives), "--ckpt_path", checkpoint]) == 0
        again = angles(run / f"test_{number}" / "predictions.csv")
        assert again == pytest.approx(angles(run / "predictions.csv"), abs=1e-4)
        assert f"version_0/test_{number}" in (run / f"test_{number}" / "report.html").read_text()


def test_a_model_drives_unseen_roads(run, monkeypatch):
    from modules.steerer import Steerer

    monkeypatch.setattr(steering, "ROADS", 2)
    monkeypatch.setattr(steering, "SECONDS", 2.0)
    cli = steering.SteerCLI.__new__(steering.SteerCLI)
    cli.model = Steerer.load(run / "checkpoints" / "best.ckpt")
    driven = cli._closed_loop()
    assert driven["roads"] == 2 and driven["elapsed_s"] == pytest.approx(4.0)
    assert 0 <= driven["autonomy"] <= 1 and driven["lateral_rmse_m"] > 0
    assert driven["controls"]["human_like_driver"]["autonomy"] == 1
    assert driven["controls"].keys() == {"human_like_driver", "always_straight"}


def test_two_stages_run_by_one_command(drives, tmp_path, capsys):
    config = ROOT / "configs" / "steer" / "chauffeur.yaml"
    arguments = ["--config", str(config), "--data.root", str(drives), "--runs", str(tmp_path)]
    assert main(["fit", *arguments, *TWO_STAGES.split()]) == 0
    assert "first stage" in capsys.readouterr().out
    assert len(angles(tmp_path / "steer" / "chauffeur" / "version_0" / "predictions.csv")) == 40


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["fti"], "the nearest is 'fit'"),
        (["fit", "--data.root", "absent"], "absent"),
        (["fit", "--data.batch_sise", "3"], "batch_size"),
        (["test"], "--ckpt_path"),
    ],
)
def test_wrong_input_is_one_line(argv, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
