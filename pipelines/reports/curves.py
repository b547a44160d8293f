"""Reads a run's learning curves back from its TensorBoard event files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

from pipelines.running.monitored import mode_of


@dataclass(frozen=True)
class Curve:
    """One logged scalar; `steps` are the trainer's global steps, strictly increasing."""

    steps: np.ndarray
    values: np.ndarray

    def thinned(self, points: int = 300) -> "Curve":
        """A curve of at most `points` points, each the mean of a stretch; itself where it is short enough."""
        if len(self.steps) <= points:
            return self
        stretches = np.array_split(np.arange(len(self.steps)), points)
        return Curve(
            np.array([self.steps[stretch].mean() for stretch in stretches]),
            np.array([self.values[stretch].mean() for stretch in stretches]),
        )


def read_curves(run: Path) -> dict[str, Curve]:
    """Every scalar of the run by its tag; empty where the folder holds no event files.

    A run that was resumed has several event files. A later file replaces what earlier ones logged from its
    own first step on, tag by tag, so steps that were trained twice appear once. The last, torn record of a
    killed run is left out.
    """
    logs = []
    for path in run.glob("events.out.tfevents.*"):
        started, scalars = _read_scalars(path)
        logs.append((started, path.name, scalars))
    merged: dict[str, dict[int, float]] = {}
    for _, _, scalars in sorted(logs, key=lambda log: log[:2]):
        for tag, points in scalars.items():
            resumed_at = min(points)
            before = {step: value for step, value in merged.get(tag, {}).items() if step < resumed_at}
            merged[tag] = before | points
    return {
        tag: Curve(np.array(sorted(points)), np.array([points[step] for step in sorted(points)]))
        for tag, points in merged.items()
    }


def _read_scalars(path: Path) -> tuple[float, dict[str, dict[int, float]]]:
    """When the file was begun (seconds since 1970) and its values by tag and step."""
    started = float("inf")
    scalars: dict[str, dict[int, float]] = {}
    for event in EventFileLoader(str(path)).Load():
        started = min(started, event.wall_time)
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "scalars":
                number = float(tensor_util.make_ndarray(value.tensor))
                if np.isfinite(number):
                    scalars.setdefault(value.tag, {})[event.step] = number
    return started, scalars


def monitored_metric(config: dict[str, Any], default: str) -> str:
    """Tag by which the run chose its checkpoint, by its configuration; `default` where that says none."""
    checkpoint = config.get("checkpoint")
    return str((isinstance(checkpoint, dict) and checkpoint.get("monitor")) or default)


def best_step(curve: Curve, tag: str) -> int:
    """Step of the best value, the first of equals, as ModelCheckpoint keeps it."""
    best = np.argmin if mode_of(tag) == "min" else np.argmax
    return int(curve.steps[best(curve.values)])
