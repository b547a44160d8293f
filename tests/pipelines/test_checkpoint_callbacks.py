"""The best checkpoint stays the best one, and last.ckpt is where training stood."""

import errno
import tempfile
from pathlib import Path

import pytest
import torch

from modules.errors import InputError
from tests.pipelines.toy_task import QUIET, Line, LineCLI

PART = 20  # bytes that a full disk takes
CONSTANT = ["--model.training.schedule", "constant"]


@pytest.mark.parametrize("moved", [False, True])
def test_a_resumed_run_remembers_its_best_score(tmp_path, monkeypatch, moved):
    monkeypatch.chdir(tmp_path)
    LineCLI(["fit", *QUIET, "--runs", "runs", "--trainer.max_epochs", "2"])
    if moved:
        (tmp_path / "runs").rename(tmp_path / "elsewhere")
    checkpoints = tmp_path / ("elsewhere" if moved else "runs") / "line" / "run" / "version_0" / "checkpoints"
    best = (checkpoints / "best.ckpt").read_bytes()
    resume = ["fit", *QUIET, "--ckpt_path", str(checkpoints / "last.ckpt"), "--trainer.max_epochs"]
    LineCLI([*resume, "3", "--data.slope", "50"])  # another line: what is learnt now is worse
    assert (checkpoints / "best.ckpt").read_bytes() == best
    LineCLI([*resume, "4"])
    assert (checkpoints / "best.ckpt").read_bytes() != best
    assert {path.name for path in checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_damaged_best_checkpoint_is_one_line(tmp_path):
    LineCLI(["fit", *QUIET, "--runs", str(tmp_path), "--trainer.max_epochs", "1"])
    checkpoints = tmp_path / "line" / "run" / "version_0" / "checkpoints"
    best = checkpoints / "best.ckpt"
    best.write_bytes(best.read_bytes()[:100])
    with pytest.raises(InputError, match=r"best\.ckpt: no readable checkpoint"):
        LineCLI(["fit", *QUIET, "--trainer.max_epochs", "2", "--ckpt_path", str(checkpoints / "last.ckpt")])


@pytest.mark.parametrize("steps", [7, 8, 10, 14], ids=["amid", "validated", "epoch", "second"])
def test_a_run_that_was_ended_goes_on_as_if_it_had_not_been(tmp_path, steps):
    often = ["--trainer.val_check_interval", "4", "--early_stopping.patience", "99"]
    fit = ["fit", *QUIET, *CONSTANT, *often, "--trainer.max_epochs", "-1"]
    LineCLI([*fit, "--runs", str(tmp_path / "a"), "--trainer.max_steps", "25"])
    LineCLI([*fit, "--runs", str(tmp_path / "b"), "--trainer.max_steps", str(steps)])
    folders = [tmp_path / name / "line" / "run" / "version_0" / "checkpoints" for name in "ab"]
    stopped = torch.load(folders[1] / "last.ckpt", weights_only=True)
    assert stopped["global_step"] == steps
    resume = ["--trainer.max_steps", "25", "--ckpt_path", str(folders[1] / "last.ckpt")]
    LineCLI([*fit, *resume])
    went, resumed = (Line.load(folder / "last.ckpt") for folder in folders)
    assert torch.equal(went.w, resumed.w)
    ended = [torch.load(folder / "last.ckpt", weights_only=True) for folder in folders]
    assert ended[0]["global_step"] == ended[1]["global_step"] == 25
    stoppings = [
        next(state for key, state in checkpoint["callbacks"].items() if key.startswith("EarlyStopping"))
        for checkpoint in ended
    ]
    assert stoppings[0] == stoppings[1]


def test_a_disk_that_fills_leaves_the_checkpoint_before_and_no_part_of_another(tmp_path, monkeypatch, capsys):
    fit = ["fit", *QUIET, "--runs", str(tmp_path), "--trainer.max_epochs"]
    LineCLI([*fit, "1"])
    folder = tmp_path / "line" / "run" / "version_0" / "checkpoints"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    write = Path.write_bytes

    def fills(self, data):
        if ".ckpt" not in self.name:
            return write(self, data)
        with self.open("wb") as file:
            file.write(data[:PART])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    # nor does a checkpoint go by the folder of temporary files, which may be on another disk
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    monkeypatch.setattr(Path, "write_bytes", fills)
    with pytest.raises(OSError, match=r"No space left on device: .*(best|last)\.ckpt"):
        LineCLI([*fit, "2", "--ckpt_path", str(folder / "last.ckpt")])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("begins", [8, 500])
def test_averaged_weights_are_those_of_training_until_the_average_begins(tmp_path, begins):
    averaged = {"decay": 0.9, "update_starting_at_step": begins}
    fit = ["fit", *QUIET, *CONSTANT, "--trainer.max_epochs", "1"]
    LineCLI([*fit, "--runs", str(tmp_path / "plain")])
    callback = ["--trainer.callbacks+=pipelines.checkpoint_callbacks.AveragedWeights"]
    callback += [f"--trainer.callbacks.{name}={value}" for name, value in averaged.items()]
    LineCLI([*fit, *callback, "--runs", str(tmp_path / "averaged")])
    plain, average = (
        Line.load(tmp_path / name / "line" / "run" / "version_0" / "checkpoints" / "best.ckpt").w
        for name in ("plain", "averaged")
    )
    assert torch.equal(plain, average) == (begins == 500)
    assert (average - plain).abs().item() < 0.5  # not the initial weights


class HalfFrozenLine(Line):
    """One with weights and a count that no training changes, as those of a frozen encoder."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.frozen = torch.nn.Parameter(torch.linspace(0.1, 7.3, 50), requires_grad=False)
        self.register_buffer("count", torch.tensor(123_456_789))


class HalfFrozenLineCLI(LineCLI):
    model_class = HalfFrozenLine


def test_what_is_not_trained_is_kept_exactly_by_the_average(tmp_path):
    callback = ["--trainer.callbacks+=pipelines.checkpoint_callbacks.AveragedWeights"]
    callback += ["--trainer.callbacks.decay=0.998"]
    HalfFrozenLineCLI(["fit", *QUIET, *callback, "--trainer.max_epochs", "3", "--runs", str(tmp_path)])
    (best,) = tmp_path.rglob("best.ckpt")
    state = torch.load(best, weights_only=True)["state_dict"]
    assert torch.equal(state["frozen"], torch.linspace(0.1, 7.3, 50)) and state["count"] == 123_456_789


def test_a_run_that_ended_before_it_was_due_to_validate_remembers_its_best_score(tmp_path):
    LineCLI(["fit", *QUIET, "--runs", str(tmp_path), "--trainer.max_steps", "7"])
    checkpoints = tmp_path / "line" / "run" / "version_0" / "checkpoints"
    best = (checkpoints / "best.ckpt").read_bytes()
    resume = ["--ckpt_path", str(checkpoints / "last.ckpt"), "--trainer.max_steps", "9"]
    LineCLI(["fit", *QUIET, *resume, "--data.slope", "50"])  # another line: what is learnt now is worse
    assert (checkpoints / "best.ckpt").read_bytes() == best


class WatchedLine(Line):
    """One that knows the weight of its last evaluation."""

    evaluated = 0.0

    def evaluate(self, batch, batch_idx):
        self.evaluated = self.w.item()


class RefinedLineCLI(LineCLI):
    """Validates other weights than those at the end of training."""

    model_class = WatchedLine
    refined: Path | None = None

    def refine(self, checkpoint):
        self.refined = checkpoint
        torch.nn.init.constant_(self.model.w, 7.0)
        self.trainer.validate(self.model, self.datamodule, verbose=False)


def test_a_validation_after_training_is_of_the_model_that_it_is_given(tmp_path):
    callback = "--trainer.callbacks+=pipelines.checkpoint_callbacks.AveragedWeights"
    run = ["--trainer.max_epochs", "1", "--trainer.limit_test_batches", "0", "--runs", str(tmp_path)]
    cli = RefinedLineCLI(["fit", *QUIET, *run, callback])
    assert cli.model.evaluated == cli.model.w.item() == 7.0


def test_the_best_checkpoint_is_refined_where_nothing_is_tested(tmp_path):
    run = ["--trainer.max_epochs", "1", "--trainer.limit_test_batches", "0", "--runs", str(tmp_path)]
    cli = RefinedLineCLI(["fit", *QUIET, *run])
    assert cli.refined is not None and cli.refined.name == "best.ckpt"
