"""fit, validate and test as every task has them, on a task of the least there can be."""

import json

import pytest
import torch

from modules.errors import InputError
from tests.pipelines.toy_task import QUIET, Line, LineCLI


def test_a_task_costs_a_model_a_reader_and_what_it_finds(tmp_path, capsys):
    fit = ["fit", *QUIET, "--runs", str(tmp_path), "--trainer.max_epochs"]
    LineCLI([*fit, "3"])
    run = tmp_path / "line" / "run" / "version_0"
    checkpoints, out = run / "checkpoints", capsys.readouterr()
    best = checkpoints / "best.ckpt"
    assert (run / "config.yaml").is_file() and (checkpoints / "last.ckpt").is_file()
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics.keys() == {"split", "checkpoint", "scores", "seconds"}
    assert metrics["split"] == "test" and metrics["checkpoint"] == str(best)
    *found, then, last = out.out.splitlines()[-6:]
    assert [line.split()[0] for line in found] == ["split", "checkpoint", "metrics", "seconds"]
    assert "WARNING: steep" in out.err
    assert then == f"next         seqsight line draw --ckpt_path {best} --line"
    assert last == f"             seqsight line erase --ckpt_path {best}"

    model = Line.load(best)
    assert model.slope == 2.0 and not model.training and model.training_options.learning_rate == 0.1
    for command, split in (("test", "test"), ("test", "test"), ("validate", "val")):
        LineCLI([command, *QUIET, "--ckpt_path", str(best)])
        newest = max(run.glob(f"{command}_*")) / "metrics.json"
        again = json.loads(newest.read_text())
        assert again["split"] == split and again["scores"] == metrics["scores"]
    assert {path.name for path in run.glob("*_[0-9]")} == {"test_0", "test_1", "validate_0"}


def test_what_is_wrong_with_the_data_shows_before_a_run_folder_is_made(tmp_path):
    with pytest.raises(InputError, match="slope is negative"):
        LineCLI(["fit", *QUIET, "--runs", str(tmp_path), "--data.slope", "-1"])
    assert not list(tmp_path.iterdir())


def test_a_seed_that_numpy_does_not_take_is_one_line(tmp_path):
    with pytest.raises(InputError, match="seed_everything: 4294967296 is not in bounds"):
        LineCLI(["fit", *QUIET, "--runs", str(tmp_path), "--seed_everything", "4294967296"])
    assert not list(tmp_path.iterdir())


def test_a_resumed_fit_ends_with_the_weights_of_one_that_went_through(tmp_path):
    through = ["--runs", str(tmp_path / "a"), "--trainer.max_epochs", "4", "--early_stopping.patience", "99"]
    halfway = ["--runs", str(tmp_path / "b"), "--trainer.max_epochs", "2"]
    constant = ["--model.training.schedule", "constant"]
    LineCLI(["fit", *QUIET, *constant, *through])
    LineCLI(["fit", *QUIET, *constant, *halfway])
    folders = [tmp_path / name / "line" / "run" / "version_0" / "checkpoints" for name in "ab"]
    last = str(folders[1] / "last.ckpt")
    LineCLI(["fit", *QUIET, *constant, "--trainer.max_epochs", "4", "--ckpt_path", last])
    went, resumed = (Line.load(folder / "last.ckpt") for folder in folders)
    assert torch.equal(went.w, resumed.w)


def test_the_time_of_a_resumed_fit_is_that_of_all_its_parts(tmp_path):
    given = ["--runs", str(tmp_path), "--early_stopping.patience", "99"]
    LineCLI(["fit", *QUIET, *given, "--trainer.max_epochs", "1"])
    run = tmp_path / "line" / "run" / "version_0"
    last = run / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=False)
    assert 0 < checkpoint["callbacks"]["FitClock"]["seconds"] < 100
    checkpoint["callbacks"]["FitClock"]["seconds"] = 1000.0
    torch.save(checkpoint, last)
    LineCLI(["fit", *QUIET, *given, "--trainer.max_epochs", "2", "--ckpt_path", str(last)])
    seconds = json.loads((run / "metrics.json").read_text())["seconds"]
    assert 1000 < seconds["fit"] <= seconds["total"] < 1100


def test_batches_of_one_step_draw_other_numbers(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(torch, "rand", lambda *size: drawn.append(torch.randn(1).item()) or torch.ones(*size))
    given = ["--runs", str(tmp_path), "--trainer.max_epochs", "2", "--early_stopping.patience", "9"]
    LineCLI(["fit", *QUIET, *given, "--trainer.accumulate_grad_batches", "4"])
    assert len(drawn) == len(set(drawn)) == 20


@pytest.mark.parametrize(
    ("given", "seed"),
    [([], 0), (["--seed_everything", "3"], 3), (["--seed_everything", "3", "--model.training.seed", "0"], 0)],
)
def test_the_seed_of_a_run_is_that_of_its_weights_unless_they_have_their_own(tmp_path, given, seed):
    cli = LineCLI(["fit", *QUIET, "--runs", str(tmp_path), "--trainer.max_steps", "1", *given])
    assert cli.model.training_options.seed == seed
