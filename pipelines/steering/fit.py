"""fit, validate and test of steering models, and what they leave behind: predictions and scores."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.cli import LightningArgumentParser
from rich.table import Table

from data_prep.driving.datamodule import SteerDataModule
from data_prep.driving.road.drives import draw_roads
from modules.checkpoints import read_checkpoint
from modules.errors import InputError
from modules.metrics.block_bootstrap import rmse_interval
from modules.metrics.steering import baselines, score_steering
from modules.metrics.steering_alarms import steering_alarms
from modules.steering.free_running import DrivesPredicted
from modules.steering.steerer import Steerer
from modules.steering.units import RADIANS, AngleUnit, car_of, unit_of
from pipelines.cli import RunCLI
from pipelines.endings import Ending
from pipelines.findings import Findings
from pipelines.steering.baselines import fit_ridges, ridge_angles
from pipelines.steering.drive import (
    LATENCY_S,
    ROADS,
    SECONDS,
    closed_loop_table,
    drive_controls,
    drive_models,
)
from pipelines.steering.loop.closed_loop import Conditions
from pipelines.steering.predicted_drives import number_stretches, write_predictions
from pipelines.steering.report import write_report
from pipelines.steering.single_frames import (
    CONTROL,
    FIRST_STAGE_OF,
    FirstStage,
    control_of,
    control_said,
    learn_single_frames,
)

IN_CLOSED_LOOP = Conditions(LATENCY_S)
OLD_CHECKPOINT = (
    "the checkpoint is of an earlier version and does not tell its drives: the data are split as for a fit, "
    "and the ridge baselines are fitted on their training part"
)


class SteerCLI(RunCLI):
    """Drives are steered free-running, beside trivial systems; on drawn roads the model drives, too."""

    task = "steer"
    model_class, datamodule_class = Steerer, SteerDataModule
    monitor = "val/rmse_rad"
    monitors = ("val/rmse_rad", "val/mae_rad")
    shown = ("train/loss", "val/rmse_rad")
    first = ("data.root", "data.batch_size", "model.decoder.cell", "model.training.learning_rate")
    following: tuple[str, ...] = ("predict --frames DIR_OR_VIDEO", "drive")
    beside = (CONTROL,)
    model: Steerer
    datamodule: SteerDataModule
    control: DrivesPredicted | None
    single_frame: Path  # checkpoint of that control
    first_stage: str | None  # checkpoint of a first stage that goes on

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--single_frame_epochs",
            type=int,
            default=0,
            help="Most epochs of a like model of single frames after the fit, where no first stage is one.",
        )

    def stored_options(self, checkpoint: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Returns the options of the whole model, whose first stage the checkpoint may be of."""
        return dict(checkpoint.get(FIRST_STAGE_OF) or super().stored_options(checkpoint))

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        path = config.ckpt_path
        super().before_instantiate_classes()
        epochs = config.single_frame_epochs
        if epochs < 0:
            raise InputError(f"single_frame_epochs is {epochs}; it has to be 0 or more")
        self.first_stage = None
        if self.subcommand == "fit" and path and FIRST_STAGE_OF in read_checkpoint(path, self.task):
            self.first_stage, config.ckpt_path = path, None

    def before_fit(self) -> None:
        """Fits the ridge regressions that checkpoints carry, and trains a first stage where there is one.

        A first stage trains the encoder on single frames (Chauffeur).
        """
        config = self.config_init["fit"]
        if not config.trainer.fast_dev_run:
            self.datamodule.data = self.datamodule.prepare(self.model)
            self.datamodule.target_statistics()  # complains of angles that are no labels
            self.model.ridges = fit_ridges(self.datamodule)
        epochs = self.model.training_options.pretrain_epochs
        if not epochs or config.ckpt_path:
            return
        print(
            f"first stage: the encoder learns to steer from single frames, at most {epochs} epochs",
            flush=True,
        )
        assert self.run_folder is not None
        begun = time.monotonic()
        single, folder = self.model.single_frame_model(), self.run_folder / "checkpoints"
        kept = [self.clock, FirstStage(self.model), *FirstStage.last_checkpoints(folder, config.save_minutes)]
        learnt = learn_single_frames(
            single, self.datamodule, config, epochs, folder, self.ending, kept, self.first_stage
        )
        if self.ending.diverged:
            reason = str(self.ending.reason).replace("training.learning", "training.pretrain_learning")
            raise InputError(f"first stage: {reason}")
        self.model.adopt(learnt)
        trainer: Any = self.trainer
        for timer in trainer.callbacks:
            if isinstance(timer, Timer):
                timer.load_state_dict({"time_elapsed": {"train": time.monotonic() - begun}})

    def compare(self, split: str, checkpoint: Path) -> None:
        """Lets the control of single frames steer, which a fit of one stage has to train first."""
        config = self.config_init[self.subcommand]
        epochs, folder = config.single_frame_epochs, checkpoint.parent
        has_first_stage = self.model.training_options.pretrain_epochs
        if self.subcommand == "fit" and epochs and not has_first_stage and not self.ending.asked:
            print(
                f"control: a like model learns to steer from single frames, at most {epochs} epochs",
                flush=True,
            )
            learn_single_frames(control_of(self.model), self.datamodule, config, epochs, folder, Ending())
        self.single_frame = folder / f"{CONTROL}.ckpt"
        self.control = control_said(self.single_frame, self.model, self.datamodule, split, config)

    def find(self, split: str, folder: Path) -> Findings:
        """Writes predictions.csv; returns scores beside those of trivial systems."""
        evaluation, data = self.model.evaluation, self.datamodule.data
        assert evaluation is not None and data is not None
        table, scale = data.own_unit()
        known = np.isfinite(evaluation.targets[:, 0])
        rows, truth = evaluation.rows[known], evaluation.targets[known, 0].astype(np.float64) / scale
        stretch = number_stretches(rows, table.drive[rows])
        ridges = self.model.ridges
        if not ridges:
            print(f"note: {OLD_CHECKPOINT}")
            ridges = fit_ridges(self.datamodule)
        said = {"model": evaluation.outputs[known, 0].astype(np.float64) / scale}
        trivial = baselines(truth, stretch, float(self.model.target_mean[0]) / scale)
        oracle = trivial.pop("persistence_oracle")
        said |= trivial
        said |= {
            name: ridge_angles(self.datamodule, split, name, ridges[name])[rows] / scale for name in ridges
        }
        if self.control is not None:
            said[CONTROL] = self.control.outputs[known, 0].astype(np.float64) / scale
        said["persistence_oracle"] = oracle
        rate = table.rate_hz()
        scores = {name: score_steering(angles, truth, stretch, rate) for name, angles in said.items()}
        unit, learnt = unit_of(table.recorder), self.model.recorder
        if table.recorder != "road":  # no other camera sees what drawn roads show
            self.following = *self.following[:1], "test --data.root ANOTHER_RECORDING"
        shown, true = said["model"] / unit.full_lock, truth / unit.full_lock
        warnings = steering_alarms(shown, true, score_steering(shown, true, stretch, rate), unit.name)
        if learnt is not None and unit_of(learnt) != unit and car_of(table.recorder) not in self.model.cars:
            warnings.append(
                f"the model has learnt {unit_of(learnt).described} ({learnt}), the true angles are "
                f"{unit.described} ({table.recorder}): the scores compare different units"
            )
        if (said_of_rate := self.model.unlike_rate(rate)) is not None:
            warnings.append(said_of_rate)

        predictions = folder / "predictions.csv"
        write_predictions(predictions, table, evaluation.rows, evaluation.outputs[:, 0] / scale)
        metrics: dict[str, Any] = {
            "recorder": table.recorder,
            "scores": scores["model"].as_dict(),
            "intervals": {"rmse_rad": rmse_interval(said["model"] - truth, stretch, rate)},
            "baselines": {name: score.as_dict() for name, score in scores.items() if name != "model"},
        }
        tables = [_table(split, {name: unit.of_scores(s.as_dict()) for name, s in scores.items()}, unit)]
        if self.model.decoder_options.outputs == 2:
            metrics["throttle"] = throttle = _throttle(evaluation)
            tables.append(Table(*throttle, title="Throttle, as recorded"))
            tables[-1].add_row(*(f"{value:.4f}" for value in throttle.values()))
        if self.datamodule.root is None:
            loop = metrics["closed_loop"] = self._closed_loop(self.single_frame)
            tables.append(closed_loop_table({"model": loop} | loop["controls"], IN_CLOSED_LOOP))
        return Findings(
            f"{len(evaluation.rows):,} frames, free-running",
            metrics,
            tables,
            {"predictions": predictions},
            warnings,
        )

    def write_page(self, folder: Path) -> Path:
        return write_report([folder])

    def _closed_loop(self, single_frame: Path) -> dict[str, Any]:
        """Returns how the model drives roads that no training drive was on, and how the controls do.

        Args:
            single_frame: checkpoint of the control of single frames, which drives too where there is one.
        """
        roads = draw_roads(ROADS, SECONDS, progress=True)
        driven = drive_models([self.model.cpu()], roads, SECONDS, IN_CLOSED_LOOP).result
        controls = drive_controls(roads, SECONDS, IN_CLOSED_LOOP)
        if single_frame.exists():
            single = [Steerer.load(single_frame)]
            controls = {CONTROL: drive_models(single, roads, SECONDS, IN_CLOSED_LOOP).result} | controls
        told = {name: each.to_dict() for name, each in controls.items()}
        return driven.to_dict() | vars(IN_CLOSED_LOOP) | {"controls": told}


def _throttle(evaluation: DrivesPredicted) -> dict[str, float]:
    """Returns RMSE and R2 of the throttle, a model's second output."""
    true = evaluation.targets[:, 3].astype(np.float64)
    known = np.isfinite(true)
    error = evaluation.outputs[known, 1] - true[known]
    rmse, spread = float(np.sqrt(np.mean(error**2))), float(true[known].std())
    return {"rmse": rmse, "r2": 1 - (rmse / spread) ** 2 if spread > 0 else 0.0}


def _table(split: str, scores: dict[str, dict[str, Any]], unit: AngleUnit) -> Table:
    shown = {
        "rmse_rad": "RMSE",
        "mae_rad": "MAE",
        "r2": "R2",
        "whiteness_rad_s": "whiteness",
        "lag_frames": "lag",
    }
    what = "Steering-wheel angle in radians" if unit == RADIANS else f"Steering, {unit.described}"
    table = Table(title=f"{what}, {split}")
    table.add_column("system")
    for heading in shown.values():
        table.add_column(heading, justify="right")
    for name, values in scores.items():
        cells = [values[key] for key in shown]
        texts = ["-" if v is None else f"{v:d}" if isinstance(v, int) else f"{v:.4f}" for v in cells]
        if values["lag_s"] is not None:
            texts[-1] += f", {values['lag_s']:.2f} s"
        table.add_row(name.replace("_", " "), *texts, style="bold" if name == "model" else None)
    table.caption = "the oracle repeats the last true angle, which nobody who steers has"
    return table
