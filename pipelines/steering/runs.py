"""Reads the folders that `steer.py fit`, `validate` and `test` leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modules.errors import InputError
from modules.metrics.block_bootstrap import rmse_interval
from modules.metrics.steering import SteeringScores, score_steering
from modules.steering.units import AngleUnit, unit_of
from pipelines.reports.curves import Curve, read_curves
from pipelines.reports.run_files import config_text, existing_run, read_config, read_metrics
from pipelines.steering.predicted_drives import PredictedDrives, read_predictions

# of a trivial system beside a run; read from metrics.json, which may hold more
BASELINE_SCORES = tuple(name for name in SteeringScores.__dataclass_fields__ if name != "bins")

OF_BORDERS = ("quantised_classification_error", "balanced_mae_rad", "f1")


@dataclass(frozen=True)
class SteerRun:
    """What a run left behind; all but the predictions is empty where its file is missing.

    Attributes:
        folder: Of the run, or of a test of it.
        split: Which frames were predicted.
        frames: Those whose true angle is known.
        unknown: How many more there are whose true angle is not.
        scores: Of these predictions, computed from them.
        interval: 95 % interval of their RMSE; None where the frames are too few.
        baselines: Scores of trivial systems on the same frames by system and score, from metrics.json.
        config: Options of the run.
        config_text: The same as they were written.
        metrics: All that metrics.json holds.
        unit: Of all angles and scores here.
        curves: Learning curves by tag.
    """

    folder: Path
    split: str
    frames: PredictedDrives
    unknown: int
    scores: SteeringScores
    interval: tuple[float, float] | None
    baselines: dict[str, dict[str, float]]
    config: dict[str, Any]
    config_text: str
    metrics: dict[str, Any]
    unit: AngleUnit
    curves: dict[str, Curve]

    @property
    def error_rad(self) -> np.ndarray:
        """Prediction minus truth (N,)."""
        return self.frames.prediction_rad - self.frames.truth_rad


def read_steer_run(folder: Path) -> SteerRun:
    """The run in `folder`; InputError where it is none: predictions.csv with true angles must be there.

    A folder that `test` or `validate` wrote has the configuration of the run it lies in.
    """
    path = existing_run(folder) / "predictions.csv"
    if not path.is_file():
        raise InputError(f"{folder}: no predictions.csv, so this is no finished run; fit or test writes it")
    drives = read_predictions(path)
    metrics = read_metrics(folder)
    unit = unit_of(str(metrics["recorder"])) if metrics.get("recorder") else drives.unit
    known = drives.known().in_unit(unit)
    if not len(known):
        raise InputError(f"{path}: no frame has a true angle; there is nothing to report")
    fitted = folder if (folder / "config.yaml").is_file() else folder.resolve().parent
    return SteerRun(
        folder=folder,
        split=str(metrics.get("split") or "test"),
        frames=known,
        unknown=len(drives) - len(known),
        scores=score_steering(known.prediction_rad, known.truth_rad, known.stretch, known.rate_hz),
        interval=rmse_interval(known.prediction_rad - known.truth_rad, known.stretch, known.rate_hz),
        baselines=_baselines(metrics, unit),
        config=read_config(fitted),
        config_text=config_text(fitted),
        metrics=metrics,
        unit=unit,
        curves=read_curves(folder),
    )


def same_frames(runs: list[SteerRun]) -> bool:
    """Whether all runs were scored on the same frames with the same true angles."""
    first = runs[0].frames
    return all(
        len(run.frames) == len(first)
        and np.array_equal(run.frames.frame, first.frame)
        and np.array_equal(run.frames.drive, first.drive)
        and np.array_equal(run.frames.truth_rad, first.truth_rad)
        for run in runs[1:]
    )


def closed_loop_systems(run: SteerRun) -> dict[str, dict[str, float]]:
    """What the model and the controls did in closed loop by their names; empty where it did not drive."""
    loop = run.metrics.get("closed_loop")
    if not isinstance(loop, dict):
        return {}
    controls = loop.get("controls")
    systems = {"model": loop} | (controls if isinstance(controls, dict) else {})
    wanted = ("autonomy", "interventions", "failures", "lateral_rmse_m", "elapsed_s", "roads")
    found = {}
    late = _numbers(loop, ["latency_s"]).get("latency_s", 0.0)  # earlier runs had none
    for name, values in systems.items():
        numbers = _numbers(values, wanted)
        if len(numbers) == len(wanted):
            found[str(name)] = numbers | {"latency_s": late}
    return found


def _baselines(metrics: dict[str, Any], unit: AngleUnit) -> dict[str, dict[str, float]]:
    baselines = metrics.get("baselines")
    found = baselines if isinstance(baselines, dict) else {}
    # their borders of classes and bins are in radians
    names = [name for name in BASELINE_SCORES if unit.full_lock == 1 or name not in OF_BORDERS]
    scores = {str(name): unit.of_scores(_numbers(values, names)) for name, values in found.items()}
    return {name: values for name, values in scores.items() if "rmse_rad" in values}


def _numbers(values: Any, names: Sequence[str]) -> dict[str, float]:
    if not isinstance(values, dict):
        return {}
    return {n: values[n] for n in names if isinstance(values.get(n), int | float) and np.isfinite(values[n])}
