"""A task of the least there can be, for tests of what all tasks share."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from data_prep.resumable import Resumable, ResumableLoader, place_in
from modules.errors import InputError
from modules.training import ScheduleOptions, TrainedModule, seeded
from pipelines.cli import RunCLI
from pipelines.findings import Findings


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
        self.log(f"{stage}/loss", (self.w - self.slope).abs().squeeze())
        self.log(f"{stage}/accuracy", self.w.squeeze())


class Points(Resumable, ResumableLoader):
    """Ten batches of four points, always in this order."""

    def __len__(self) -> int:
        return 10

    def __iter__(self) -> Iterator[torch.Tensor]:
        if self.place is not None:
            self.begin_at(*self.place())
        points = torch.linspace(0, 1, 40).view(10, 4)
        for number in self.remaining():
            yield points[number].clone()


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

    def train_dataloader(self) -> Points:
        return Points(place_in(self.trainer))

    def val_dataloader(self) -> Points:
        return Points(None)

    test_dataloader = val_dataloader


class LineCLI(RunCLI):
    """The least that a task has to say."""

    task, monitor, monitors, shown = "line", "val/loss", ("val/loss", "val/accuracy"), ("val/loss",)
    first, following = ("data.slope",), ("draw --line", "erase")
    model_class, datamodule_class = Line, LineData

    def find(self, split: str, folder: Path) -> Findings:
        error = float((self.model.w.detach() - self.model.slope).abs())
        return Findings("a line", {"scores": {"error": error}}, [], {}, ["steep"])


QUIET = [
    "--trainer.enable_progress_bar",
    "false",
    "--trainer.accelerator",
    "cpu",
    "--trainer.enable_model_summary",
    "false",
]
