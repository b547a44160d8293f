"""What a fit shows of how far it has come."""

from types import SimpleNamespace

import pytest

from data_prep import progress
from pipelines.progress_lines import EpochLines, LogLines, ProgressBar


@pytest.mark.parametrize(
    ("limits", "line", "bar"),
    [
        ({"max_epochs": 15, "max_steps": -1}, "epoch 3/15", "Epoch 3/15"),
        ({"max_epochs": -1, "max_steps": 3000}, "step 1,250/3,000", "Epoch 3"),
        ({"max_epochs": -1, "max_steps": -1}, "step 1,250", "Epoch 3"),
    ],
)
def test_bar_and_lines_count_from_one_up_to_what_ends_the_fit(limits, line, bar, capsys):
    trainer = SimpleNamespace(
        **limits,
        current_epoch=2,
        global_step=1250,
        is_global_zero=True,
        state=SimpleNamespace(fn="fit"),
        callback_metrics={"val/loss": 1.5},
    )
    EpochLines(["val/loss"]).on_validation_end(trainer, None)
    assert capsys.readouterr().out == f"{line}  val/loss 1.500  0 s\n"
    shown = ProgressBar()
    shown._trainer = trainer
    assert shown._get_train_description(2).rstrip() == bar


@pytest.mark.parametrize(("is_terminal", "seconds"), [(False, 0.0), (False, 60.0), (True, 0.0)])
def test_a_log_file_is_told_within_epochs_how_far_training_has_come(
    is_terminal, seconds, capsys, monkeypatch
):
    monkeypatch.setattr(progress, "SPEAKS_EVERY", seconds)
    monkeypatch.setattr("rich.console.Console.is_terminal", is_terminal)
    trainer = SimpleNamespace(
        max_epochs=15,
        current_epoch=2,
        is_global_zero=True,
        num_training_batches=1250,
        num_val_batches=[float("inf")],
        num_test_batches=[7],
        testing=False,
        callback_metrics={"train/loss": 1.5},
    )
    lines = LogLines()
    lines.on_train_batch_end(trainer, None, None, None, 11)
    lines.on_validation_batch_end(trainer, None, None, None, 3)
    trainer.testing = True
    lines.on_test_batch_end(trainer, None, None, None, 0)
    told = (
        "epoch 3/15  batch 12/1,250  train/loss 1.500  0 s\nvalidation  batch 4  0 s\ntest  batch 1/7  0 s\n"
    )
    assert capsys.readouterr().out == (told if not is_terminal and not seconds else "")
