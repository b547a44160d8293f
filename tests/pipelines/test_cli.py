"""fit, validate and test as every task has them, on a task of the least there can be."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from modules.errors import InputError
from modules.training import ScheduleOptions, TrainedModule, seeded
from pipelines.cli import RunCLI, fast_precision
from pipelines.findings import Findings


@pytest.mark.parametrize("accelerator", ["auto", "cpu"])
@pytest.mark.parametrize(("kind", "precision"), [(torch.bfloat16, "bf16-mixed"), (torch.float32, "32-true")])
def test_a_fit_is_as_precise_as_a_frozen_encoder(accelerator, kind, precision, monkeypatch):
    asked = []
    monkeypatch.setattr("pipelines.cli.fast_dtype", lambda device: asked.append(device.type) or kind)
    assert fast_precision(accelerator) == precision
    assert accelerator == "auto" or asked == ["cpu"]


@dataclass
class LineOptions:
    """Of a line.

    Args:
        scale: Of its start.
    """

    scale: float = 1.0


class Line(TrainedModule):
    """y = w x."""

    task = "line"

    def __init__(self, line: LineOptions = LineOptions(), training: ScheduleOptions = ScheduleOptions(0.1)):  # noqa: B008
        super().__init__(line=line, training=training)
        with seeded(training.seed):
            self.w = torch.nn.Parameter(line.scale * torch.randn(1))
        self.slope: float | None = None

    def use_data(self, data: Any) -> None:
        self.slope = data.slope

    def restore(self, checkpoint: dict[str, Any]) -> None:
        self.slope = checkpoint["slope"]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["slope"] = self.slope

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        noise = torch.rand(1)  # as dropout would draw it
        return ((self.w + 0.01 * noise - self.slope) * batch).square().mean()

    def conclude_evaluation(self, stage: str) -> None:
        self.log(f"{stage}/error", (self.w - self.slope).abs().squeeze())


class LineData(pl.LightningDataModule):
    """Points.

    Args:
        slope: Of the line.
    """

    def __init__(self, slope: float = 2.0) -> None:
        super().__init__()
        self.slope, self.test_split = slope, "test"

    def read(self) -> None:
        if self.slope < 0:
            raise InputError("data.slope is negative")

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(torch.linspace(0, 1, 40), batch_size=4)

    val_dataloader = test_dataloader = train_dataloader


class LineCLI(RunCLI):
    """The least that a task has to say."""

    task, monitor, monitors, shown = "line", "val/error", ("val/error",), ("val/error",)
    first = ("data.slope",)
    model_class, datamodule_class = Line, LineData

    def find(self, split: str, folder: Path) -> Findings:
        error = float((self.model.w.detach() - self.model.slope).abs())
        return Findings("a line", {"scores": {"error": error}}, [], {}, ["steep"])


QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]


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
    ending = [line.split()[0] for line in out.out.splitlines()[-4:]]
    assert ending == ["split", "checkpoint", "metrics", "seconds"] and "WARNING: steep" in out.err

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
