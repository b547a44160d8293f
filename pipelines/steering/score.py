"""The `score` command: any system's steering angles against the true ones, beside trivial systems."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from modules.errors import InputError, tell
from modules.metrics.block_bootstrap import rmse_interval
from modules.metrics.calibration import calibrated
from modules.metrics.steering import SteeringScores, baselines, per_drive, score_steering
from modules.metrics.steering_alarms import steering_alarms
from modules.steering.units import RADIANS, AngleUnit
from pipelines.steering.angle_files import read_predicted_angles, read_true_angles
from pipelines.steering.angle_matching import MatchedAngles, match_angles

LABELS = {
    "rmse_rad": "RMSE (rad)",
    "public_rmse_rad": "RMSE, public",
    "private_rmse_rad": "RMSE, private",
    "mae_rad": "MAE (rad)",
    "balanced_mae_rad": "MAE, mean of bins",
    "max_error_rad": "largest error (rad)",
    "bias_rad": "bias (rad)",
    "r2": "R2",
    "explained_variance": "explained variance",
    "correlation": "correlation",
    "thresholded_relative_error": "share off by over 10 %",
    "quantised_classification_error": "share of wrong class",
    "f1": "F1 of directions",
    "whiteness_rad_s": "whiteness (rad/s)",
    "lag_frames": "lag (frames)",
    "lag_s": "lag (s)",
    "prediction_std_rad": "spread (rad)",
}
SYSTEMS = {
    "zeros": "zeros",
    "training_mean": "training mean",
    "labels_mean": "mean of labels",
    "persistence_oracle": "oracle",
}
ORACLE = "the oracle repeats the last true angle, which nobody who steers has"
LEGEND = f"{ORACLE}; classes are left, straight (within 0.03 rad) and right, directions too (within 0.02)"


@dataclass(frozen=True)
class SteeringJudgement:
    """Scores of a system beside those of trivial ones.

    Attributes:
        scores: Of the system.
        interval: 95 % interval of its RMSE, or None.
        baselines: Scores of the trivial systems by their names.
        drives: Errors by drive, of more than one.
        alarms: What is plainly wrong, in sentences.
        uncertainty: Shares of errors within standard deviations, as `calibrated` has them, or None.
    """

    scores: SteeringScores
    interval: tuple[float, float] | None
    baselines: dict[str, SteeringScores]
    drives: dict[str, dict[str, float | int]]
    alarms: list[str]
    uncertainty: dict[str, Any] | None


def score(
    predictions: Path,
    labels: Path,
    subset: Path | None = None,
    rate: float | None = None,
    training_mean: float | None = None,
    json: bool = False,
) -> None:
    """Print the scores of any system's steering angles against labels, beside trivial systems.

    Frames are taken in the order of time, which their names tell (nanoseconds) or the labels' column time_s;
    numbers count frames, other names come in the order of the labels. Where time jumps more than 3 frame
    periods nothing is compared across. Missing, repeated or unknown frames are an error. Angles are radians
    of the steering wheel, left positive. Those of a drive.csv that names its recorder are shown as shares of
    full lock, which predictions in the column share_of_full_lock are, too. A column standard_deviation, as
    predict writes it of several models, is compared with the errors.

    Args:
        predictions: csv with the columns frame_id,steering_angle (or share_of_full_lock); others do not
            matter.
        labels: csv with frame_id,steering_angle[,public], a drive.csv, Udacity's interpolated.csv, or a
            recording in a known format, such as the csv of times beside a video.
        subset: score only the frames listed in this file, one a line, or in its column frame_id.
        rate: frames a second, of frames whose names are no times (20 if not given).
        training_mean: mean angle of the system's training frames (rad), for the baseline of that name.
        json: print one JSON object in place of the table.
    """
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"rate is {rate}; it has to be above 0")
    with Console(stderr=True).status("scoring"):
        said, true = read_predicted_angles(predictions), read_true_angles(labels)
        unit = true.unit or said.unit or RADIANS
        matched = match_angles(said.in_unit(unit), true, subset, rate)
        if not json:  # whose names say rad
            matched = matched.in_unit(unit)
            training_mean = None if training_mean is None else training_mean / unit.full_lock
        judgement = judge(matched, training_mean, RADIANS if json and unit.full_lock != 1 else unit)
    for note in matched.notes:
        tell(f"note: {note}")
    for alarm in judgement.alarms:
        tell(f"WARNING: {alarm}")
    if json:
        print(
            jsonlib.dumps(
                {"unit": "rad" if unit.full_lock != 1 else unit.label} | as_dict(judgement, matched)
            )
        )
    else:
        for table in score_tables(judgement, predictions.name, matched, unit):
            Console().print(table)


def judge(
    matched: MatchedAngles, training_mean: float | None = None, unit: AngleUnit = RADIANS
) -> SteeringJudgement:
    """Returns the scores of a system's angles, and those of zeros, constants and the oracle."""
    truth, stretch, rate = matched.truth_rad, matched.stretch, matched.rate_hz
    trivial = baselines(truth, stretch, training_mean)
    trivial["labels_mean"] = np.full(len(truth), truth.mean())
    scores, *others = (
        score_steering(angles, truth, stretch, rate, matched.is_public)
        for angles in (matched.prediction_rad, *(trivial[name] for name in SYSTEMS if name in trivial))
    )
    drives = per_drive(matched.prediction_rad, truth, matched.drive)
    return SteeringJudgement(
        scores,
        rmse_interval(matched.prediction_rad - truth, stretch, rate),
        dict(zip([name for name in SYSTEMS if name in trivial], others, strict=True)),
        drives if len(drives) > 1 else {},
        steering_alarms(matched.prediction_rad, truth, scores, unit.name),
        None
        if matched.deviation_rad is None
        else calibrated(matched.prediction_rad - truth, matched.deviation_rad),
    )


def as_dict(judgement: SteeringJudgement, matched: MatchedAngles) -> dict[str, Any]:
    """Returns what `--json` prints; what is not defined on these frames is None."""
    return {
        **judgement.scores.as_dict(),
        "rmse_rad_interval": judgement.interval,
        "drives": judgement.drives,
        "stretches": int(matched.stretch.max()) + 1,
        "rate_hz": matched.rate_hz,
        "baselines": {name: scores.as_dict() for name, scores in judgement.baselines.items()},
        "warnings": judgement.alarms,
        "uncertainty": judgement.uncertainty,
    }


def score_tables(
    judgement: SteeringJudgement, name: str, matched: MatchedAngles, unit: AngleUnit = RADIANS
) -> list[Table]:
    """Returns the tables of the command: all scores, errors by bin of |angle|, errors by drive."""
    scores, others = judgement.scores, judgement.baselines
    stretches = int(matched.stretch.max()) + 1
    # as Text: a file's name is no markup
    title = Text(
        f"{name}: {scores.frames:,} frames, {stretches} unbroken stretch{'es' * (stretches > 1)}, "
        f"{matched.rate_hz:.1f} Hz"
    )
    table = Table(title=title, caption=LEGEND, title_justify="left")
    table.add_column("")
    table.add_column("score", justify="right", style="bold")
    for system in others:
        table.add_column(SYSTEMS[system], justify="right")
    columns = [scores.as_dict(), *(other.as_dict() for other in others.values())]
    for key, label in LABELS.items():
        if any(column[key] is not None for column in columns):
            table.add_row(label.replace("rad", unit.label), *(cell(column[key]) for column in columns))
        if key == "rmse_rad" and judgement.interval is not None:
            low, high = judgement.interval
            table.add_row("  95 % interval", f"{low:.4f} - {high:.4f}")
        if key == "whiteness_rad_s":
            table.add_row("  of the human", cell(scores.human_whiteness_rad_s))
    tables = [table, _errors(f"|true angle| ({unit.label})", scores.bins, others["zeros"].bins)]
    if judgement.drives:
        tables.append(_errors("drive", judgement.drives))
    if judgement.uncertainty is not None:
        tables.append(_uncertainty(judgement.uncertainty, unit))
    return tables


def _uncertainty(told: dict[str, Any], unit: AngleUnit) -> Table:
    table = Table(title="Share of errors within standard deviations", title_justify="left")
    table.add_column("standard deviations", justify="right")
    columns = [name for name in ("expected", "as_given", "calibrated", "one_for_all") if name in told]
    for name in columns:
        table.add_column(
            name.replace("_", " "), justify="right", style="bold" if name == "as_given" else None
        )
    for many in told["expected"]:
        table.add_row(str(many), *(f"{told[name][many]:.3f}" for name in columns))
    if "gain" in told:
        gains = "gains" if told["gain"] > 0 else "loses"
        table.caption = (
            f"calibrated on one half of the frames, judged on the other; on all of them for predict: --floor "
            f"{told['floor']:.4f} ({unit.label}) --scale {told['scale']:.3f}; one of its own for each frame "
            f"{gains} {abs(told['gain']):.3f} nats a frame over one for all"
        )
    return table


def cell(value: Any) -> str:
    """Returns a score as text, "-" for one that is not defined."""
    if value is None:
        return "-"
    return f"{value:d}" if isinstance(value, int) else f"{value:.4f}"


def _errors(
    what: str,
    errors: Mapping[str, Mapping[str, float | int]],
    zeros: Mapping[str, Mapping[str, float | int]] | None = None,
) -> Table:
    table = Table()
    table.add_column(what)
    for heading in ("frames", "RMSE", "MAE", "bias", *(["RMSE of zeros"] if zeros else [])):
        table.add_column(heading, justify="right")
    for name, values in errors.items():
        cells = [cell(values[key]) for key in ("rmse_rad", "mae_rad", "bias_rad")]
        cells += [cell(zeros[name]["rmse_rad"])] if zeros else []
        table.add_row(Text(name), f"{values['frames']:,}", *cells)
    return table
