"""Reads the folder that `text.py fit` leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.append_log import whole_lines
from data_prep.input_files import read_text
from modules.errors import InputError
from pipelines.reports.curves import Curve, read_curves
from pipelines.reports.run_files import existing_run, read_config, read_metrics

CHECKPOINTS = ("best", "last")


@dataclass(frozen=True)
class Sample:
    """What the model wrote after so many training steps, the prompt not included."""

    iteration: int
    prompt: str
    text: str


@dataclass(frozen=True)
class TextRun:
    """What a run left behind; all but the checkpoint is empty where its file is missing."""

    folder: Path
    checkpoint: Path
    held_out: str  # the beginning of the text that was not trained on
    samples: list[Sample]
    config: dict[str, Any]
    metrics: dict[str, Any]
    curves: dict[str, Curve]


def read_text_run(folder: Path) -> TextRun:
    """The run in `folder`; InputError where it is none: a checkpoint must be there."""
    existing_run(folder)
    checkpoints = [folder / "checkpoints" / f"{name}.ckpt" for name in CHECKPOINTS]
    existing = [path for path in checkpoints if path.is_file()]
    if not existing:
        raise InputError(
            f"{folder}: no {checkpoints[0].relative_to(folder)}, so this is no run; fit makes one"
        )
    held_out = folder / "held_out.txt"
    return TextRun(
        folder=folder,
        checkpoint=existing[0],
        held_out=read_text(held_out) if held_out.is_file() else "",
        samples=_samples(folder / "samples.jsonl"),
        config=read_config(folder),
        metrics=read_metrics(folder),
        curves=read_curves(folder),
    )


def read_baselines(folder: Path) -> dict[str, float]:
    """Bits per character of the models that only count, on the run's held-out text, by their names."""
    baselines = read_metrics(folder).get("baselines")
    if not isinstance(baselines, dict):
        return {}
    return {str(name): float(value) for name, value in baselines.items() if isinstance(value, int | float)}


def read_held_out(folder: Path) -> dict[str, float]:
    """Bits per character on the run's held-out text: of its model and of the models that only count."""
    scores = read_metrics(folder).get("scores")
    own = scores.get("bits_per_char") if isinstance(scores, dict) else None
    return ({"this model": float(own)} if isinstance(own, int | float) else {}) | read_baselines(folder)


def _samples(path: Path) -> list[Sample]:
    """The samples by their steps, of each the last that was written: a resumed run repeats some."""
    rows = {}
    for line, _ in whole_lines(path, {"iteration": int, "prompt": str, "text": str}):
        rows[line["iteration"]] = Sample(line["iteration"], line["prompt"], line["text"])
    return [rows[iteration] for iteration in sorted(rows)]


def remarks(systems: Mapping[str, float]) -> list[str]:
    """Returns a sentence where this run is no better than counting single units; of most runs there is none.

    Args:
        systems: Bits per character of "this run" and of what it has to beat, by name.
    """
    own, counted = systems.get("this run"), systems.get("unigram")
    if own is None or counted is None or own < counted:
        return []
    return [
        "The model is no better than counting single units, whatever comes before: "
        f"{own:.3f} bits per character against {counted:.3f}. Try longer training, more text, or another "
        "--model.training.learning_rate."
    ]
