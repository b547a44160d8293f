"""Whatever ends a fit: the last weights are validated, the best are tested, and the reason is said."""

import json
import os
import signal
import time

import pytest
import torch
from pytorch_lightning.callbacks import Callback

from data_prep.terminal import run
from modules.errors import InputError
from pipelines.endings import plain_ending
from tests.pipelines.toy_task import QUIET, Line, LineCLI


def fitted(tmp_path, *options):
    LineCLI(["fit", *QUIET, "--runs", str(tmp_path), "--trainer.max_epochs", "30", *options])
    return tmp_path / "line" / "run" / "version_0"


@pytest.mark.parametrize(
    ("options", "steps", "reason"),
    [
        (["--trainer.max_steps", "3"], 3, "--trainer.max_steps 3"),
        (["--trainer.max_steps", "14"], 14, "--trainer.max_steps 14"),
        (
            ["--trainer.max_epochs", "1", "--trainer.check_val_every_n_epoch", "2"],
            10,
            "--trainer.max_epochs 1",
        ),
        (["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "0.3"], 3, "--trainer.max_epochs 1"),
        (["--trainer.max_epochs", "1", "--trainer.overfit_batches", "2"], 2, "--trainer.max_epochs 1"),
        (
            ["--trainer.max_epochs", "-1", "--trainer.max_time", '{"microseconds": 1}'],
            1,
            "--trainer.max_time",
        ),
        (
            ["--early_stopping.patience", "1", "--early_stopping.min_delta", "9"],
            20,
            "--early_stopping.patience",
        ),
        (["--early_stopping.stopping_threshold", "9"], 10, "Stopping threshold reached"),
    ],
)
def test_the_last_weights_are_validated_and_the_best_are_tested(tmp_path, capsys, options, steps, reason):
    run = fitted(tmp_path, *options)
    out = capsys.readouterr().out
    assert f"training ended after {steps} steps: " in out and reason in out
    assert torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["global_step"] == steps
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == steps
    assert json.loads((run / "metrics.json").read_text())["scores"]["error"] > 0


class Interrupted(Callback):
    """Presses Ctrl-C so many times."""

    def __init__(self, times: int = 1) -> None:
        self.times = times

    def on_train_batch_start(self, *_: object) -> None:
        for _ in range(self.times):
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_politely(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(LineCLI, "fit_callbacks", lambda self: [Interrupted()])
    before = signal.getsignal(signal.SIGINT)
    run = fitted(tmp_path)
    said = capfd.readouterr()
    assert "training ended after 1 steps: Ctrl-C" in said.out and "Ctrl-C again stops at once" in said.err
    assert (run / "metrics.json").is_file() and (run / "checkpoints" / "best.ckpt").is_file()
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 1
    assert signal.getsignal(signal.SIGINT) == before


class InterruptedWorker(Callback):
    """Presses Ctrl-C in a process that was forked from this one, as the terminal does."""

    def on_train_batch_start(self, *_: object) -> None:
        if (process := os.fork()) == 0:
            os.kill(os.getpid(), signal.SIGINT)
            os._exit(0)
        os.waitpid(process, 0)


def test_ctrl_c_is_answered_by_one_process(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(LineCLI, "fit_callbacks", lambda self: [InterruptedWorker()])
    fitted(tmp_path, "--trainer.max_steps", "1")
    assert "Ctrl-C again" not in capfd.readouterr().err


def test_ctrl_c_twice_stops_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(LineCLI, "fit_callbacks", lambda self: [Interrupted(2)])
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as stop:
        fitted(tmp_path)
    assert not stop.value.args  # no checkpoint was kept yet
    assert not list(tmp_path.glob("**/metrics.json"))
    assert signal.getsignal(signal.SIGINT) in (before, signal.SIG_IGN)
    signal.signal(signal.SIGINT, before)


def test_what_ctrl_c_twice_stops_goes_on_from_the_last_checkpoint(tmp_path, monkeypatch):
    run = fitted(tmp_path, "--trainer.max_epochs", "1")
    last = run / "checkpoints" / "last.ckpt"
    monkeypatch.setattr(LineCLI, "fit_callbacks", lambda self: [Interrupted(2)])
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=f"go on with --ckpt_path {last}"):
        fitted(tmp_path, "--ckpt_path", str(last))
    signal.signal(signal.SIGINT, before)


class Sigterm(Callback):
    """Sends SIGTERM before a step, or in the validation that follows so many steps; again after a pause."""

    def __init__(self, step: int, in_validation: bool = False, again_s: float | None = None) -> None:
        self.step, self.again_s = step, again_s
        name = "on_validation_start" if in_validation else "on_train_batch_start"
        setattr(self, name, self.send)

    def send(self, trainer, *_: object) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)
            if self.again_s is not None:
                time.sleep(self.again_s)
                os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("step", "in_validation", "kept"),
    [(0, False, 1), (4, False, 5), (5, True, 5), (9, False, 10), (10, True, 10), (12, False, 13)],
    ids=["first", "validated", "validation", "epoch", "validation of an epoch", "second epoch"],
)
def test_sigterm_keeps_a_checkpoint_after_the_step_and_it_goes_on_as_if_nothing_had_been(
    tmp_path, capsys, monkeypatch, step, in_validation, kept
):
    often = ["--trainer.val_check_interval", "5", "--early_stopping.patience", "99"]
    options = [*QUIET, *often, "--trainer.max_epochs", "2", "--runs"]
    assert run(lambda: LineCLI(["fit", *options, str(tmp_path / "whole")]) and 0) == 0
    monkeypatch.setattr(LineCLI, "fit_callbacks", lambda self: [Sigterm(step, in_validation)])
    before = signal.getsignal(signal.SIGTERM)
    capsys.readouterr()
    assert run(lambda: LineCLI(["fit", *options, str(tmp_path / "ended")]) and 0) == 143
    assert signal.getsignal(signal.SIGTERM) == before
    whole, ended = (tmp_path / name / "line" / "run" / "version_0" for name in ("whole", "ended"))
    last = ended / "checkpoints" / "last.ckpt"
    assert capsys.readouterr().err.endswith(f"terminated: go on with --ckpt_path {last}\n")
    assert torch.load(last, weights_only=True)["global_step"] == kept
    assert not (ended / "metrics.json").exists()

    monkeypatch.undo()
    LineCLI(["fit", *options, str(tmp_path), "--ckpt_path", str(last)])
    for name in ("best", "last"):
        states = [
            torch.load(fit / "checkpoints" / f"{name}.ckpt", weights_only=True) for fit in (whole, ended)
        ]
        assert states[0]["global_step"] == states[1]["global_step"]
        assert states[0]["state_dict"] == states[1]["state_dict"]


class Signals(Callback):
    """Sends a signal before the fifth batch, amid the second step of three batches."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_batch_start(self, trainer, model, batch, batch_idx) -> None:
        if trainer.global_step == 1 and batch_idx == 4:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("callbacks", "stop", "kept"),
    [
        ([Signals(signal.SIGTERM)], [], 2),
        ([Signals(signal.SIGINT)], [], 2),
        ([], ["--trainer.max_time", '{"microseconds": 1}'], 1),
    ],
    ids=["SIGTERM", "Ctrl-C", "time"],
)
def test_a_step_of_several_batches_ends_before_it_is_kept(tmp_path, monkeypatch, callbacks, stop, kept):
    options = [*QUIET, "--trainer.accumulate_grad_batches", "3", "--trainer.max_epochs", "2"]
    LineCLI(["fit", *options, "--runs", str(tmp_path / "whole")])
    monkeypatch.setattr(LineCLI, "fit_callbacks", lambda self: callbacks)
    run(lambda: LineCLI(["fit", *options, *stop, "--runs", str(tmp_path / "ended")]) and 0)
    whole, last = (next((tmp_path / name).rglob("last.ckpt")) for name in ("whole", "ended"))
    assert torch.load(last, weights_only=True)["global_step"] == kept
    monkeypatch.undo()
    LineCLI(["fit", *options, "--ckpt_path", str(last)])
    states = [torch.load(file, weights_only=True) for file in (whole, last)]
    assert states[0]["global_step"] == states[1]["global_step"]
    assert states[0]["state_dict"] == states[1]["state_dict"]


def test_sigterm_once_more_stops_at_once_but_not_the_second_that_timeout_sends(tmp_path, monkeypatch):
    fit = ["fit", *QUIET, "--trainer.max_epochs", "2", "--runs", str(tmp_path)]
    for again_s, kept in ((0.0, 1), (1.1, 0)):
        monkeypatch.setattr(LineCLI, "fit_callbacks", lambda self, s=again_s: [Sigterm(0, again_s=s)])
        assert run(lambda: LineCLI(fit) and 0) == 143
        assert len(list(tmp_path.rglob("version_*/checkpoints/last.ckpt"))) == kept
        for last in tmp_path.rglob("last.ckpt"):
            last.unlink()


class Explodes(Callback):
    """Lets the loss be infinite from a step on."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step == 14:
            batch.fill_(float("inf"))


def test_divergence_is_named_and_the_last_good_weights_are_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(LineCLI, "fit_callbacks", lambda self: [Explodes()])
    with pytest.raises(InputError) as refusal:
        fitted(tmp_path)
    message = str(refusal.value)
    assert "diverged at step 15: loss inf" in message and "learning rate 0.01" in message
    assert (
        "gradient norm" in message and "--trainer.gradient_clip_val 1" in message and "best.ckpt" in message
    )
    run = tmp_path / "line" / "run" / "version_0"
    for name in ("best", "last"):
        assert Line.load(run / "checkpoints" / f"{name}.ckpt").w.isfinite()
    assert json.loads((run / "metrics.json").read_text())["scores"]


def test_a_fit_of_one_batch_keeps_nothing_and_says_so(tmp_path, capsys):
    LineCLI(["fit", *QUIET, "--runs", str(tmp_path / "runs"), "--trainer.fast_dev_run", "true"])
    assert "nothing is kept" in capsys.readouterr().out and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (["--trainer.max_epochs", "1"], "nothing was left to train: --trainer.max_epochs 1"),
        (
            ["--early_stopping.patience", "1", "--early_stopping.min_delta", "9"],
            "nothing was left to train: val/loss is no better than",
        ),
        (
            ["--trainer.max_epochs", "-1", "--trainer.max_time", '{"microseconds": 1}'],
            "training ended after 2 steps: --trainer.max_time",
        ),
    ],
)
def test_a_resumed_fit_trains_on_or_says_why_not(tmp_path, capsys, first, reason):
    run = fitted(tmp_path, *first)
    capsys.readouterr()
    epochs = ["--trainer.max_epochs", "30"]
    LineCLI(["fit", *QUIET, *epochs, *first, "--ckpt_path", str(run / "checkpoints" / "last.ckpt")])
    assert reason in capsys.readouterr().out


def test_without_a_number_from_validation_the_last_weights_are_tested(tmp_path, capsys):
    run = fitted(tmp_path, "--trainer.max_epochs", "1", "--trainer.limit_val_batches", "0")
    assert "the last weights are scored" in capsys.readouterr().out
    assert json.loads((run / "metrics.json").read_text())["checkpoint"].endswith("last.ckpt")


def test_without_test_batches_nothing_is_tested(tmp_path, capsys):
    run = fitted(tmp_path, "--trainer.max_epochs", "1", "--trainer.limit_test_batches", "0")
    assert "nothing is tested" in capsys.readouterr().out and not (run / "metrics.json").exists()
    best = str(run / "checkpoints" / "best.ckpt")
    with pytest.raises(InputError, match=r"trainer.limit_test_batches is 0; nothing would be scored"):
        LineCLI(["test", *QUIET, "--ckpt_path", best, "--trainer.limit_test_batches", "0"])


def test_validation_that_no_epoch_reaches_is_said_in_one_line():
    with pytest.raises(InputError, match=r"trainer: `val_check_interval` .9. must be less"), plain_ending():
        raise ValueError("`val_check_interval` (9) must be less than or equal to the number of batches (3)")
    with pytest.raises(ValueError, match="another"), plain_ending():
        raise ValueError("another")
