"""Fits on several processes: whatever their shares, whoever starts them, and when one is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from data_prep.captions.scenes import dataset as scenes
from pipelines import house_numbers
from pipelines.caption import main
from pipelines.reports.curves import read_curves

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "pipelines" / "caption.py")
TWO = ["--trainer.accelerator", "cpu", "--trainer.strategy", "ddp", "--trainer.devices", "2"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("captioned") / "scenes"
    scenes.generate(root, images=60, size=64)
    (root / "scenes.json").unlink()
    return root


@pytest.fixture
def given(photographs):
    """Returns the arguments of a fit into a folder of runs."""
    debug = str(ROOT / "configs" / "debug" / "caption.yaml")
    same = ["fit", "--config", debug, "--data.root", str(photographs), "--model.decoder.dropout", "0"]
    return lambda runs, *options: [*same, "--runs", str(runs), *options]


def run_in(runs):
    (run,) = (runs / "caption" / "debug").iterdir()
    return run


def decoder_of(run):
    stored = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return torch.cat([weight.flatten() for name, weight in stored.items() if name.startswith("decoder.")])


def assert_alike(first, second):
    # sums of float32 gradients run in another order, which Adam magnifies where a gradient is almost zero
    one, two = decoder_of(first), decoder_of(second)
    assert (one - two).norm() < 1e-3 * one.norm()
    losses = [read_curves(run)["val/loss"].values for run in (first, second)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    scores = [json.loads((run / "metrics.json").read_text())["scores"] for run in (first, second)]
    assert scores[0]["images"] == scores[1]["images"]
    assert scores[0]["perplexity"] == pytest.approx(scores[1]["perplexity"], rel=1e-3)


def test_uneven_shares_of_odd_batches_train_as_one_process_does(given, tmp_path):
    # of 13 captions one process has 7 and the other 6; of 5 images that are scored 3 and 2
    odd = ["--data.batch_size", "13", "--data.eval_batch_size", "5", "--trainer.max_epochs", "1"]
    assert main(given(tmp_path / "one", *odd)) == 0
    command = [sys.executable, SCRIPT, *given(tmp_path / "two", *odd), *TWO]
    fitted = subprocess.run(command, capture_output=True, text=True, timeout=600, env=ENVIRONMENT)
    assert fitted.returncode == 0, fitted.stderr
    assert_alike(run_in(tmp_path / "one"), run_in(tmp_path / "two"))


def test_when_a_process_is_killed_the_fit_ends_with_one_line_and_can_be_gone_on_with(given, tmp_path):
    epochs = ["--trainer.max_epochs", "6"]
    command = [sys.executable, SCRIPT, *given(tmp_path / "killed", *epochs), *TWO]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as fit:
        deadline = time.monotonic() + 300
        while not (kept := list((tmp_path / "killed").rglob("last.ckpt"))) and time.monotonic() < deadline:
            time.sleep(0.05)
        children = Path(f"/proc/{fit.pid}/task/{fit.pid}/children").read_text().split()
        (other,) = (
            child for child in children if b"caption.py" in Path(f"/proc/{child}/cmdline").read_bytes()
        )
        os.kill(int(other), signal.SIGKILL)
        _, said = fit.communicate(timeout=300)
    assert fit.returncode == 2, said
    errors = [line for line in said.splitlines() if "rror" in line or line.startswith("Traceback")]
    assert errors == [f"error: another process has ended, and all with it; go on with --ckpt_path {kept[0]}"]

    command = [
        sys.executable,
        SCRIPT,
        *given(tmp_path / "killed", *epochs),
        *TWO,
        "--ckpt_path",
        str(kept[0]),
    ]
    resumed = subprocess.run(command, capture_output=True, text=True, timeout=600, env=ENVIRONMENT)
    assert resumed.returncode == 0, resumed.stderr
    assert main(given(tmp_path / "whole", *epochs)) == 0
    assert_alike(run_in(tmp_path / "whole"), run_in(tmp_path / "killed"))


def test_processes_that_torchrun_starts_share_one_run_folder(given, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*torchrun, SCRIPT, *given(tmp_path / "two", "--trainer.max_epochs", "1"), *TWO]
    fitted = subprocess.run(command, capture_output=True, text=True, timeout=600, env=ENVIRONMENT)
    assert fitted.returncode == 0, fitted.stderr
    run = run_in(tmp_path / "two")
    assert run.name == "version_0" and (run / "report.html").is_file()
    assert main(given(tmp_path / "one", "--trainer.max_epochs", "1")) == 0
    assert_alike(run_in(tmp_path / "one"), run)


@pytest.mark.parametrize("name", ["house_numbers", "painter"])
def test_house_numbers_are_read_and_painted_on_two_processes(name, tmp_path):
    debug = str(ROOT / "configs" / "debug" / f"{name}.yaml")
    given = ["fit", "--config", debug, "--runs", str(tmp_path), *TWO]
    fit = [sys.executable, str(ROOT / "pipelines" / "house_numbers.py"), *given]
    fitted = subprocess.run(fit, capture_output=True, text=True, timeout=600, env=ENVIRONMENT)
    assert fitted.returncode == 0, fitted.stderr
    (run,) = (tmp_path / "house_numbers" / "debug").iterdir()
    # what was trained on two is scored on one as it was on two
    again = ["--runs", str(tmp_path), "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]
    assert house_numbers.main(["test", "--config", debug, *again]) == 0
    two, one = (json.loads((folder / "metrics.json").read_text()) for folder in (run, run / "test_0"))
    assert one["scores"] == pytest.approx(two["scores"], rel=1e-5)
    assert one["controls"].keys() == two["controls"].keys()
    assert [*one["controls"].values()] == [
        pytest.approx(two["controls"][name], rel=1e-5) for name in one["controls"]
    ]


def test_fewer_pictures_than_processes_are_captioned(photographs, tmp_path):
    # as where a run that was killed left one
    one = next(photographs.rglob("*.jpg"))
    command = [
        sys.executable,
        SCRIPT,
        "predict",
        "--images",
        str(one),
        "--output",
        str(tmp_path / "one.jsonl"),
    ]
    predicted = subprocess.run([*command, *TWO], capture_output=True, text=True, timeout=600, env=ENVIRONMENT)
    assert predicted.returncode == 0, predicted.stderr
    assert json.loads((tmp_path / "one.jsonl").read_text())["image"] == one.name
