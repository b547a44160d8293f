"""What a fit shows of how far it has come."""

from types import SimpleNamespace

import pytest

from pipelines.progress_lines import EpochLines, ProgressBar


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
