"""What the `gradients` command knows of its trainings: settings, trainings, and their table, csv and json."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from statistics import geometric_mean, mean
from typing import Literal

from rich.table import Table
from rich.text import Text

from modules.cells import CellName
from modules.errors import InputError, check_seed
from modules.language.last_word import TrainingRecord
from modules.recurrent import ConnectionName

HighwayCell = Literal["rnn", "lstm", "gru"]


@dataclass(frozen=True)
class Network:
    """One of the networks that are compared."""

    label: str
    cell: CellName
    layers: int = 1
    connection: ConnectionName = "plain"
    recurrent_scale: float = 1.0  # of the initial recurrent weights


@dataclass(frozen=True)
class RecallSettings:
    """What all trainings have in common.

    Args:
        distances: Where recall is tested, in time steps, growing; training is from the first to the last.
        steps: Training steps.
        hidden_size: Width of every layer, and of the word embeddings.
        highway_layers: Layers of the highway stack.
        highway_cell: Cell of the highway stack.
        exploding_scale: What the initial recurrent weights of the exploding RNN are multiplied by.
        learning_rate: Of Adam, at every step.
        clip_norm: Threshold, where gradients are clipped.
        batch_size: Sentences a step.
        repeats: Trainings of each network.
        seed: Of the first of them.
        chance: Accuracy of guessing.

    Raises:
        InputError: A value out of its range.
    """

    distances: tuple[int, ...]
    steps: int
    hidden_size: int
    highway_layers: int
    highway_cell: HighwayCell
    exploding_scale: float
    learning_rate: float
    clip_norm: float
    batch_size: int
    repeats: int
    seed: int
    chance: float

    def __post_init__(self) -> None:
        if not self.distances or self.distances[0] < 1:
            raise InputError(f"distances are {list(self.distances)}; name at least one, each 1 or more")
        for name in (
            *("steps", "hidden_size", "batch_size", "repeats"),
            *("learning_rate", "clip_norm", "exploding_scale"),
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; it has to be above 0")
        if self.highway_layers < 2:
            raise InputError(f"highway_layers is {self.highway_layers}; a highway needs at least 2")
        check_seed(self.seed, "seed")

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks that are compared, in the order they are shown."""
        cell, layers = self.highway_cell, self.highway_layers
        return (
            Network("vanilla RNN", "rnn"),
            Network("LSTM", "lstm"),
            Network("GRU", "gru"),
            Network(f"highway of {layers} {cell.upper()}", cell, layers, "highway"),
            Network("exploding RNN", "rnn", recurrent_scale=self.exploding_scale),
        )


@dataclass(frozen=True)
class RecallRun:
    """One training of one network.

    Args:
        network: Label of the network.
        clip_norm: Threshold, or None without clipping.
        seed: Of initial weights and sentences.
        before: Mean |dJ/dh_j| by distance from 0 on, with the initial weights.
        after: The same after training, on the same sentences.
        accuracy: Share of sentences recalled, by distance.
        record: What happened in training.
    """

    network: str
    clip_norm: float | None
    seed: int
    before: list[float]
    after: list[float]
    accuracy: dict[int, float]
    record: TrainingRecord

    @property
    def clipped_share(self) -> float:
        """Share of the steps whose gradient was clipped."""
        if self.clip_norm is None or not self.record.gradient_norms:
            return 0.0
        norms = self.record.gradient_norms
        return sum(norm > self.clip_norm for norm in norms) / len(norms)


def runs_of(runs: Sequence[RecallRun], network: str, clipped: bool) -> list[RecallRun]:
    """Returns one network's trainings with or without clipping, by seed."""
    return [run for run in runs if run.network == network and (run.clip_norm is not None) == clipped]


def reach(flow: Sequence[float]) -> float:
    """Returns what is left of the last step's gradient at the farthest distance, 0 where it has none."""
    return flow[-1] / flow[0] if flow[0] else 0.0


def typical(values: Sequence[float]) -> float:
    """Returns the geometric mean, for what differs by powers of ten; 0 where one of the values is."""
    return geometric_mean(values) if min(values) > 0 else 0.0


def recall_table(runs: Sequence[RecallRun], settings: RecallSettings) -> Table:
    """Returns the table of what was recalled, a row for each network with and without clipping."""
    legend = f"mean of {settings.repeats} trainings; chance is {settings.chance:.3f}"
    table = Table(title="Recall by distance", caption=legend)
    table.add_column("network", no_wrap=True)
    table.add_column("clip", no_wrap=True)
    for distance in settings.distances:
        table.add_column(str(distance), justify="right")
    for network, clipped in product(settings.networks, (True, False)):
        mine = runs_of(runs, network.label, clipped)
        shares = (f"{mean(run.accuracy[distance] for run in mine):.2f}" for distance in settings.distances)
        table.add_row(*_named(network, clipped, settings), *shares, end_section=not clipped)
    return table


def gradients_table(runs: Sequence[RecallRun], settings: RecallSettings) -> Table:
    """Returns the table of how far gradients reached, how large they were and what clipping did."""
    last = settings.distances[-1]
    legend = Text(
        f"reach: |dJ/dh_j| at distance {last} over that at the last step; "
        f"before and after training; largest: gradient norm of a training step, before clipping"
    )
    table = Table(title="Gradients", caption=legend)
    table.add_column("network", no_wrap=True)
    table.add_column("clip", no_wrap=True)
    for column in ("reach before", "reach after", "largest", "steps clipped", "diverged"):
        # left to itself rich cuts one heading while another column has room to spare
        table.add_column(column, justify="right", width=max(7, *map(len, column.split())))
    for network, clipped in product(settings.networks, (True, False)):
        mine = runs_of(runs, network.label, clipped)
        table.add_row(
            *_named(network, clipped, settings),
            f"{typical([reach(run.before) for run in mine]):.0e}",
            f"{typical([reach(run.after) for run in mine]):.0e}",
            f"{max(max(run.record.gradient_norms) for run in mine):.2g}",
            f"{mean(run.clipped_share for run in mine):.0%}" if clipped else "-",
            f"{sum(run.record.diverged for run in mine)} of {len(mine)}",
            end_section=not clipped,
        )
    return table


def _named(network: Network, clipped: bool, settings: RecallSettings) -> tuple[str, str]:
    return network.label if clipped else "", f"at {settings.clip_norm:g}" if clipped else "none"


def as_csv(runs: Sequence[RecallRun]) -> str:
    """Returns one line a training and distance; accuracy stands where it was tested."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        ["network", "clip_norm", "seed", "distance", "gradient_before", "gradient_after", "accuracy"]
    )
    for run in runs:
        for distance, (before, after) in enumerate(zip(run.before, run.after, strict=True)):
            accuracy = run.accuracy.get(distance, "")
            clip_norm = "" if run.clip_norm is None else run.clip_norm
            rows.writerow([run.network, clip_norm, run.seed, distance, before, after, accuracy])
    return text.getvalue()


def as_json(runs: Sequence[RecallRun], settings: RecallSettings, seconds: float) -> str:
    """Returns settings and trainings; what is no finite number is null, which every reader of JSON takes."""
    trainings = [
        {
            "network": run.network,
            "clip_norm": run.clip_norm,
            "seed": run.seed,
            "diverged": run.record.diverged,
            "steps": len(run.record.losses),
            "clipped_share": run.clipped_share,
            "largest_gradient_norm": max(run.record.gradient_norms),
            "last_loss": run.record.losses[-1],
            "accuracy": {str(distance): share for distance, share in run.accuracy.items()},
            "gradient_before": run.before,
            "gradient_after": run.after,
            "gradient_norms": run.record.gradient_norms,
        }
        for run in runs
    ]
    content = {"settings": asdict(settings), "seconds": round(seconds, 1), "trainings": trainings}
    return json.dumps(_finite(content), indent=1) + "\n"


def _finite(value: object) -> object:
    """Returns a value with null for NaN and infinities."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value
