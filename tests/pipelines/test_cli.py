"""What a fit shows of how far it has come, and the precision it takes."""

from types import SimpleNamespace

import pytest
import torch

from pipelines.cli import EpochLines, ProgressBar, fast_precision


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


@pytest.mark.parametrize("accelerator", ["auto", "cpu"])
@pytest.mark.parametrize(("kind", "precision"), [(torch.bfloat16, "bf16-mixed"), (torch.float32, "32-true")])
def test_a_fit_is_as_precise_as_a_frozen_encoder(accelerator, kind, precision, monkeypatch):
    asked = []
    monkeypatch.setattr("pipelines.cli.fast_dtype", lambda device: asked.append(device.type) or kind)
    assert fast_precision(accelerator) == precision
    assert accelerator == "auto" or asked == ["cpu"]
