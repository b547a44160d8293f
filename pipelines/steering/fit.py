"""fit, validate and test of steering models, and what they leave behind: predictions and scores."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.cli import LightningArgumentParser
from rich.console import Console
from rich.table import Table

from data_prep.driving.datamodule import SteerDataModule
from data_prep.driving.road.drives import draw_roads
from data_prep.whole_files import write_whole
from modules.checkpoints import read_checkpoint
from modules.errors import InputError
from modules.metrics.block_bootstrap import rmse_interval
from modules.metrics.steering import baselines, score_steering
from modules.metrics.steering_alarms import steering_alarms
from modules.steering.steerer import Steerer
from pipelines.arguments import run_folder_of
from pipelines.cli import RunCLI, blaming
from pipelines.steering.baselines import ridge_on_image_shifts, ridge_on_optical_flow
from pipelines.steering.drive import ROADS, SECONDS, closed_loop_table, drive_controls, drive_model
from pipelines.steering.predicted_drives import number_stretches, write_predictions
from pipelines.steering.report import write_report
from pipelines.steering.single_frames import CONTROL, control_of, control_said, learn_single_frames


class SteerCLI(RunCLI):
    """A fit ends by scoring the test split with its best checkpoint; on drawn roads it drives, too."""

    task = "steer"
    monitor = "val/rmse_rad"
    monitors = ("val/rmse_rad", "val/mae_rad")
    shown = ("train/loss", "val/rmse_rad")
    model: Steerer
    datamodule: SteerDataModule

    def __init__(self, argv: Sequence[str]) -> None:
        self.started = time.monotonic()
        super().__init__(Steerer, SteerDataModule, argv)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.set_defaults({"checkpoint.mode": "min", "early_stopping.mode": "min"})
        parser.add_argument(
            "--single_frame_epochs",
            type=int,
            default=0,
            help="Most epochs of a like model of single frames after the fit, where no first stage is one.",
        )

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        config = self.config_init[self.subcommand]
        if config.single_frame_epochs < 0:
            raise InputError(f"single_frame_epochs is {config.single_frame_epochs}; it has to be 0 or more")
        # what is wrong with the data shows before the run folder is made or changed
        self.datamodule.read()
        if self.subcommand != "fit":
            self.model = Steerer.load(config.ckpt_path)
        elif config.ckpt_path:
            with blaming("model"):
                self.model.load_state_dict(read_checkpoint(config.ckpt_path, self.task)["state_dict"])

    def before_fit(self) -> None:
        """Trains the encoder on single frames where the model has that as its first stage (Chauffeur)."""
        config = self.config_init["fit"]
        epochs = self.model.training_options.pretrain_epochs
        if not epochs or config.ckpt_path:
            return
        print(
            f"first stage: the encoder learns to steer from single frames, at most {epochs} epochs",
            flush=True,
        )
        assert self.run_folder is not None
        single, folder = self.model.single_frame_model(), self.run_folder / "checkpoints"
        self.model.adopt(learn_single_frames(single, self.datamodule, config, epochs, folder))

    def after_fit(self) -> None:
        monitored = [c for c in self.trainer.checkpoint_callbacks if getattr(c, "monitor", None)]
        best = getattr(monitored[0], "best_model_path", "") if monitored else ""
        if not best or self.run_folder is None:  # a fast_dev_run keeps nothing
            return
        seconds = {"fit": time.monotonic() - self.started}
        self.model = Steerer.load(best)
        self.trainer.test(self.model, self.datamodule, verbose=False)
        config = self.config_init["fit"]
        epochs, folder = config.single_frame_epochs, Path(best).parent
        if epochs and not self.model.training_options.pretrain_epochs:
            print(
                f"control: a like model learns to steer from single frames, at most {epochs} epochs",
                flush=True,
            )
            learn_single_frames(control_of(self.model), self.datamodule, config, epochs, folder)
        self._leave_behind(self.run_folder, self.datamodule.test_split, best, seconds)

    def _evaluate(self, split: str) -> None:
        checkpoint = Path(self.config[self.subcommand].ckpt_path)
        parent = run_folder_of(checkpoint) or checkpoint.resolve().parent
        number = next(n for n in range(10**6) if not (parent / f"{self.subcommand}_{n}").exists())
        self._leave_behind(parent / f"{self.subcommand}_{number}", split, str(checkpoint), {})

    def after_validate(self) -> None:
        self._evaluate("val")

    def after_test(self) -> None:
        self._evaluate(self.datamodule.test_split)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand != "fit":  # loaded already
            kwargs |= {"ckpt_path": None, "verbose": False}
        return kwargs

    def _leave_behind(self, folder: Path, split: str, checkpoint: str, seconds: dict[str, float]) -> None:
        """Writes predictions.csv, metrics.json and report.html; prints scores beside trivial systems'."""
        control = control_said(Path(checkpoint), self.datamodule, split, self.config_init[self.subcommand])
        if not self.trainer.is_global_zero:
            return
        evaluation, data = self.model.evaluation, self.datamodule.data
        assert evaluation is not None and data is not None
        table = data.table
        known = np.isfinite(evaluation.targets[:, 0])
        rows, truth = evaluation.rows[known], evaluation.targets[known, 0].astype(np.float64)
        stretch = number_stretches(rows, table.drive[rows])
        mean = float(self.datamodule.target_statistics()[0][0])
        said = {"model": evaluation.outputs[known, 0].astype(np.float64)}
        trivial = baselines(truth, stretch, mean)
        oracle = trivial.pop("persistence_oracle")
        said |= trivial
        said["ridge_on_image_shifts"] = ridge_on_image_shifts(self.datamodule, split)[rows]
        said["ridge_on_optical_flow"] = ridge_on_optical_flow(self.datamodule, split)[rows]
        if control is not None:
            said[CONTROL] = control.outputs[known, 0].astype(np.float64)
        said["persistence_oracle"] = oracle
        rate = 1 / float(np.median([np.median(np.diff(table.time_s[run])) for run in table.series()]))
        scores = {name: score_steering(angles, truth, stretch, rate) for name, angles in said.items()}

        folder.mkdir(parents=True, exist_ok=True)
        predictions = folder / "predictions.csv"
        write_predictions(predictions, table, evaluation.rows, evaluation.outputs[:, 0])

        metrics: dict[str, Any] = {"split": split, "checkpoint": checkpoint}
        metrics["scores"] = scores["model"].as_dict()
        metrics["intervals"] = {"rmse_rad": rmse_interval(said["model"] - truth, stretch, rate)}
        metrics["baselines"] = {n: s.as_dict() for n, s in scores.items() if n != "model"}
        if self.datamodule.root is None:
            metrics["closed_loop"] = self._closed_loop(Path(checkpoint).parent / f"{CONTROL}.ckpt")
        seconds = {**seconds, "total": time.monotonic() - self.started}
        metrics["seconds"] = {name: round(value, 1) for name, value in seconds.items()}
        write_whole(folder / "metrics.json", (json.dumps(metrics, indent=2) + "\n").encode())

        Console().print(_table(split, {name: s.as_dict() for name, s in scores.items()}))
        if "closed_loop" in metrics:
            loop = metrics["closed_loop"]
            Console().print(closed_loop_table({"model": loop} | loop["controls"]))
        for label, value in [
            ("split", f"{split}, {len(evaluation.rows):,} frames, free-running"),
            ("checkpoint", checkpoint),
            ("predictions", predictions),
            ("metrics", folder / "metrics.json"),
            ("report", write_report([folder])),
            ("seconds", f"{seconds['total']:.0f}"),
        ]:
            print(f"{label:<12} {value}")
        for alarm in steering_alarms(said["model"], truth, scores["model"], stretch, rate):
            print(f"WARNING: {alarm}", file=sys.stderr)

    def _closed_loop(self, single_frame: Path) -> dict[str, Any]:
        """Returns how the model drives roads that no training drive was on, and how the controls do.

        Args:
            single_frame: checkpoint of the control of single frames, which drives too where there is one.
        """
        roads = draw_roads(ROADS, SECONDS, progress=True)
        driven, _ = drive_model(self.model, roads, SECONDS)
        controls = drive_controls(roads, SECONDS)
        if single_frame.exists():
            controls = {CONTROL: drive_model(Steerer.load(single_frame), roads, SECONDS)[0]} | controls
        return driven.to_dict() | {"controls": {name: each.to_dict() for name, each in controls.items()}}


def _table(split: str, scores: dict[str, dict[str, Any]]) -> Table:
    shown = {
        "rmse_rad": "RMSE",
        "mae_rad": "MAE",
        "r2": "R2",
        "whiteness_rad_s": "whiteness",
        "lag_frames": "lag",
    }
    table = Table(title=f"Steering-wheel angle in radians, {split}")
    table.add_column("system")
    for heading in shown.values():
        table.add_column(heading, justify="right")
    for name, values in scores.items():
        cells = [values[key] for key in shown]
        texts = ["-" if v is None else f"{v:d}" if isinstance(v, int) else f"{v:.4f}" for v in cells]
        table.add_row(name.replace("_", " "), *texts, style="bold" if name == "model" else None)
    table.caption = "the oracle repeats the last true angle, which nobody who steers has"
    return table
