"""Writes the report of steering runs: one self-contained HTML file, made from the runs' files alone.

`python pipelines/steer.py report --run runs/steer/road/version_0` reads predictions.csv, metrics.json,
config.yaml and the TensorBoard event files in that folder and writes report.html beside them. Of several runs
it writes comparison.html into the first one's folder. It needs no checkpoint and no GPU; frames that have
moved away are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np
from markupsafe import Markup
from rich.console import Console

from modules.errors import InputError
from modules.metrics.calibration import FEWEST, calibrated
from modules.metrics.steering import BIN_NAMES, baselines, per_drive, rms, rmse_by_shift, score_steering
from modules.metrics.steering_alarms import steering_alarms
from pipelines.reports.curves import best_step, monitored_metric
from pipelines.reports.figures import curve_chart
from pipelines.reports.page import write_page
from pipelines.reports.summary import arguments, run_name, summary_rows
from pipelines.reports.svg import RUNS
from pipelines.steering.figures import (
    angle_chart,
    bin_chart,
    error_chart,
    lag_chart,
    scatter_chart,
    spread_chart,
    system_chart,
)
from pipelines.steering.moments import frame_pictures, worst_moments
from pipelines.steering.runs import SteerRun, closed_loop_systems, read_steer_run, same_frames
from pipelines.steering.score import LABELS, ORACLE, SYSTEMS, cell

MOST_PANELS, PANEL_S, WIDE_S = 12, 90.0, 12.0
MOMENTS, MOMENTS_OF_SEVERAL = 20, 8
MOST_DRIVES = 30
CURVES = {  # title -> tag
    "RMSE of validation, free-running (rad)": "val/rmse_rad",
    "MAE of validation, free-running (rad)": "val/mae_rad",
    "Training loss": "train/loss",
}

Systems = dict[str, dict[str, float]]


def report(run: list[Path]) -> None:
    """Write one self-contained HTML page about a run, or about several side by side.

    The page is report.html in the run's folder. Of several runs it is comparison.html in the first one's.

    Args:
        run: Folder of a run, as fit prints it, or of a test of it.
    """
    print(write_report(run))


def write_report(
    folders: Sequence[Path], page: Path | None = None, seeds: Sequence[dict[str, Any]] = ()
) -> Path:
    """Path of the page, written whole or not at all; raises InputError where a folder is no run.

    Args:
        folders: Of the runs.
        page: By default a file in the first run's folder.
        seeds: Of a comparison, a line a configuration.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("run: one folder is named twice; name each run once")
    if len(folders) > len(ascii_uppercase):
        raise InputError(f"run: {len(folders)} runs are too many for a page; {len(ascii_uppercase)} fit")
    with Console(stderr=True).status("reading the run") as status:
        read = [read_steer_run(Path(folder)) for folder in folders]
        names = list(ascii_uppercase[: len(read)]) if len(read) > 1 else ["this run"]
        runs = dict(zip(names, read, strict=True))
        status.update("drawing the charts")
        is_same = same_frames(read)
        systems = _systems(runs, is_same)
        charts, angles = _charts(runs, systems, is_same), _angles(runs, is_same)
        status.update("reading the worst moments")
        most = MOMENTS if len(runs) == 1 else MOMENTS_OF_SEVERAL
        described = [_describe(name, run, most) for name, run in runs.items()]
        return write_page(
            page or read[0].folder / ("report.html" if len(read) == 1 else "comparison.html"),
            Path(__file__).with_name("report.html.jinja"),
            runs=described,
            seeds=seeds,
            is_same=is_same,
            systems=systems,
            table=_table(systems, _unit(runs)),
            unit=_unit(runs),
            oracle=ORACLE,
            charts=charts,
            together=_together(runs, is_same),
            angles=angles,
            curve_charts=_curve_charts(runs),
            closed_loop=_closed_loop(runs),
        )


def _systems(runs: dict[str, SteerRun], is_same: bool) -> Systems:
    """Scores of the runs and, where they are of the same frames, of the trivial systems beside them."""
    systems: Systems = {name: run.scores.as_dict() for name, run in runs.items()}  # type: ignore[misc]
    if not is_same:
        return systems
    found: Systems = {}
    for name, run in runs.items():
        frames = run.frames
        for system, angles in baselines(frames.truth_rad, frames.stretch).items():
            scores = score_steering(angles, frames.truth_rad, frames.stretch, frames.rate_hz)
            found.setdefault(SYSTEMS[system], scores.as_dict())  # type: ignore[arg-type]
        for system, values in run.baselines.items():
            if system in ("zeros", "persistence_oracle"):
                continue
            label = SYSTEMS.get(system, system.replace("_", " "))
            if label in found and abs(found[label]["rmse_rad"] - values["rmse_rad"]) > 1e-6:
                label = f"{label} ({name})"
            found.setdefault(label, values)
    oracle = found.pop(SYSTEMS["persistence_oracle"])
    return systems | found | {SYSTEMS["persistence_oracle"]: oracle}


def _unit(runs: dict[str, SteerRun]) -> str:
    """Returns what the angles of all runs are in."""
    units = {run.unit.label for run in runs.values()}
    return units.pop() if len(units) == 1 else "each in its unit"


def _table(systems: Systems, unit: str) -> list[tuple[str, list[str]]]:
    """Rows of the table of scores: label and a cell a system."""
    labels = {}
    for key, label in LABELS.items():
        labels[key] = label.replace("rad", unit)
        if key == "whiteness_rad_s":
            labels["human_whiteness_rad_s"] = f"the driver's own ({unit}/s)"
    cells = {label: [values.get(key) for values in systems.values()] for key, label in labels.items()}
    return [
        (label, [cell(value) for value in values])
        for label, values in cells.items()
        if any(v is not None for v in values)
    ]


def _charts(runs: dict[str, SteerRun], systems: Systems, is_same: bool) -> list[Markup]:
    """Scores, errors by angle, their distribution, lag, and a scatter of each run."""
    intervals = {name: run.interval for name, run in runs.items()}
    unit = _unit(runs)
    title = f"RMSE ({unit})" + (", 95 % interval" if any(intervals.values()) else "")
    rmse = {name: float(values["rmse_rad"]) for name, values in systems.items()}
    first = next(iter(runs.values()))
    of_bins = {name: {b: v["rmse_rad"] for b, v in run.scores.bins.items()} for name, run in runs.items()}
    if is_same:
        zeros = score_steering(np.zeros(len(first.frames)), first.frames.truth_rad)
        of_bins["zeros"] = {name: values["rmse_rad"] for name, values in zeros.bins.items()}
    counted = [first] if is_same else list(runs.values())
    frames = {
        name: sum(int(run.scores.bins[name]["frames"]) for run in counted if name in run.scores.bins)
        for name in BIN_NAMES
    }
    shifts = {
        name: rmse_by_shift(run.frames.prediction_rad, run.frames.truth_rad, run.frames.stretch)
        for name, run in runs.items()
    }
    scatters = [
        scatter_chart(
            f"scatter{number}",
            "Predicted over true" if len(runs) == 1 else f"Predicted over true, {name}",
            run.frames.prediction_rad,
            run.frames.truth_rad,
            unit,
            RUNS[number % len(RUNS)],
        )
        for number, (name, run) in enumerate(runs.items())
    ]
    return [
        system_chart(rmse, intervals, title),
        bin_chart(of_bins, {name: count for name, count in frames.items() if count}, list(runs), unit),
        error_chart({name: run.error_rad for name, run in runs.items()}, unit),
        lag_chart(
            shifts,
            {name: run.scores.lag_frames or 0 for name, run in runs.items()},
            {name: run.frames.rate_hz for name, run in runs.items()},
            unit,
        ),
        *scatters,
    ]


def _together(runs: dict[str, SteerRun], is_same: bool) -> dict[str, Any] | None:
    """How wrong the mean of several runs is, and whether their spread tells it; None of one run."""
    if len(runs) == 1 or not is_same:
        return None
    first = next(iter(runs.values()))
    said = np.stack([run.frames.prediction_rad for run in runs.values()])  # (runs, N)
    error, given = said.mean(0) - first.frames.truth_rad, said.std(0, ddof=1)
    return {
        "rmse": rms(error),
        "shares": calibrated(error, given),
        "chart": spread_chart(error, given, first.unit.label) if len(error) >= FEWEST else None,
    }


def _angles(runs: dict[str, SteerRun], is_same: bool) -> list[dict[str, Any]]:
    """Charts of the angles over time: all runs in one where they are of the same frames, else run by run."""
    groups = [runs] if is_same else [{name: run} for name, run in runs.items()]
    return [
        {"title": "" if is_same else next(iter(group)), **_panels(group, number)}
        for number, group in enumerate(groups)
    ]


def _panels(runs: dict[str, SteerRun], number: int) -> dict[str, Any]:
    frames = next(iter(runs.values())).frames
    pieces = []
    for stretch in np.unique(frames.stretch):
        rows = np.flatnonzero(frames.stretch == stretch)
        many = max(1, int(np.ceil((frames.time_s[rows[-1]] - frames.time_s[rows[0]]) / PANEL_S)))
        pieces += np.array_split(rows, many)
    squares = np.mean([run.error_rad**2 for run in runs.values()], axis=0)
    worst = sorted(range(len(pieces)), key=lambda place: -float(np.mean(squares[pieces[place]])))
    shown = [pieces[place] for place in sorted(worst[:MOST_PANELS])]
    spans = [float(frames.time_s[rows[-1]] - frames.time_s[rows[0]]) for rows in shown]
    is_wide = max(spans) > WIDE_S
    begins = _drive_starts(frames.drive, frames.time_s)
    panels = []
    for place, rows in enumerate(shown):
        time_s = frames.time_s[rows] - begins[str(frames.drive[rows[0]])]
        said = {name: run.frames.prediction_rad[rows] for name, run in runs.items()}
        chart = angle_chart(
            f"angle{number}-{place}", time_s, frames.truth_rad[rows], said, is_wide, _unit(runs)
        )
        errors = {name: float(np.sqrt(np.mean(run.error_rad[rows] ** 2))) for name, run in runs.items()}
        panels.append({"drive": str(frames.drive[rows[0]]), "chart": chart, "rmse": errors})
    return {"panels": panels, "all": len(pieces), "is_wide": is_wide}


def _drive_starts(drive: np.ndarray, time_s: np.ndarray) -> dict[str, float]:
    names, numbers = np.unique(drive, return_inverse=True)
    return {str(name): float(time_s[numbers == number].min()) for number, name in enumerate(names)}


def _describe(name: str, run: SteerRun, moments: int) -> dict[str, Any]:
    """What the template shows of one run."""
    frames, scores = run.frames, run.scores
    zeros = float(np.sqrt(np.mean(frames.truth_rad**2)))
    drives = per_drive(frames.prediction_rad, frames.truth_rad, frames.drive)
    return {
        "letter": name,
        "name": run_name(run.folder),
        "split": run.split,
        "frames": len(frames),
        "unknown": run.unknown,
        "stretches": len(np.unique(frames.stretch)),
        "rate_hz": frames.rate_hz,
        "alarms": steering_alarms(frames.prediction_rad, frames.truth_rad, scores, run.unit.name),
        "scores": scores,
        "unit": run.unit,
        "zeros_rmse": zeros,
        "interval": run.interval,
        "drives": drives if 1 < len(drives) <= MOST_DRIVES else {},
        "moments": _moments(run, moments),
        "summary": _summary(run),
        "config_text": run.config_text,
    }


def _moments(run: SteerRun, most: int) -> list[dict[str, Any]]:
    """The worst moments each way, with their pictures."""
    frames, begins = run.frames, _drive_starts(run.frames.drive, run.frames.time_s)
    groups = []
    for title, sign in (("Too far left", 1), ("Too far right", -1)):
        errors, least = sign * run.error_rad, run.scores.mae_rad
        rows = worst_moments(errors, frames.stretch, frames.time_s, least, most)
        pictures = frame_pictures([str(frames.file[row]) for row in rows])
        cards = [
            {
                "picture": picture,
                "frame": str(frames.frame[row]),
                "drive": str(frames.drive[row]),
                "at_s": float(frames.time_s[row]) - begins[str(frames.drive[row])],
                "truth": float(frames.truth_rad[row]),
                "said": float(frames.prediction_rad[row]),
                "error": float(run.error_rad[row]),
            }
            for row, picture in zip(rows, pictures, strict=True)
        ]
        groups.append({"title": title, "cards": cards, "gone": pictures.count(None)})
    return groups


def _curve_charts(runs: dict[str, SteerRun]) -> list[Markup]:
    """Learning curves, a line a run; none for runs that were only tested."""
    charts = []
    for title, tag in CURVES.items():
        curves = {name: run.curves[tag] for name, run in runs.items() if tag in run.curves}
        best = None
        if len(runs) == 1 and curves:
            run = next(iter(runs.values()))
            monitor = monitored_metric(run.config, default="val/rmse_rad")
            best = best_step(run.curves[monitor], monitor) if monitor in run.curves else None
        if curves:
            charts.append(curve_chart(tag.replace("/", "-"), title, curves, best))
    return charts


def _closed_loop(runs: dict[str, SteerRun]) -> list[tuple[str, dict[str, float]]]:
    """Rows of the closed loop: the runs that drove, then the controls of the first of them."""
    driven = {name: closed_loop_systems(run) for name, run in runs.items()}
    rows = [(name, systems["model"]) for name, systems in driven.items() if "model" in systems]
    controls = next((systems for systems in driven.values() if "model" in systems), {})
    return rows + [(n.replace("_", " "), values) for n, values in controls.items() if n != "model"]


def _summary(run: SteerRun) -> list[tuple[str, str]]:
    """What was run, as (label, text), from the configuration and metrics.json; absent parts are left out."""
    model, trainer = arguments(run.config.get("model")), arguments(run.config.get("trainer"))
    kept = ("max_epochs", "max_steps", "precision", "gradient_clip_val")
    training = {key: trainer[key] for key in kept if trainer.get(key) not in (None, -1)}
    parts = {
        "Data": run.config.get("data"),
        "Frames": model.get("frames"),
        "Encoder": model.get("encoder"),
        "Decoder": model.get("decoder"),
        "Training": training | arguments(model.get("training")),
        "Checkpoint": run.metrics.get("checkpoint"),
    }
    return summary_rows(parts, run.metrics.get("seconds"))
