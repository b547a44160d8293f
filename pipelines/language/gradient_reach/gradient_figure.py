"""Draws the figure of the `gradients` command: how far gradients reach, and what was learnt from them."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, PercentFormatter

from pipelines.language.gradient_reach.gradient_runs import RecallRun, RecallSettings, runs_of

# distinct to colour-blind eyes too (Okabe and Ito 2008); in the order of RecallSettings.networks
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#7f7f7f")
MARKERS = ("o", "s", "^", "D", "v")
CLIPPED: Any = "-"
UNCLIPPED: Any = (0, (4, 2))
INK = "#222222"
SMALLEST = 1e-30  # what is drawn of a gradient; below it there is nothing to see but how fast it left
STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "font.size": 9.5,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def gradient_figure(runs: Sequence[RecallRun], settings: RecallSettings) -> bytes:
    """Returns the PNG: |dJ/dh_j| over distance above, recall and the gradients of the training below."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 8.4), layout="constrained")
        (before, after), (recall, norms) = figure.subplots(2, 2)
        after.sharey(before)
        _draw_flow(before, runs, settings, trained=False)
        _draw_flow(after, runs, settings, trained=True)
        _draw_recall(recall, runs, settings)
        _draw_norms(norms, runs, settings)
        figure.legend(
            handles=_legend(settings),
            loc="outside upper center",
            ncols=7,
            handlelength=2.2,
            columnspacing=1.3,
        )
        figure.supxlabel(
            textwrap.fill(caption(settings), 142), x=0.01, ha="left", fontsize=8.5, linespacing=1.35
        )
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=160)
        return png.getvalue()


def caption(settings: RecallSettings) -> str:
    """Returns what all trainings have in common, in words."""
    first, last = settings.distances[0], settings.distances[-1]
    return (
        f"All networks alike: width {settings.hidden_size} (the highway stack has {settings.highway_layers} "
        f"layers, the others one), {settings.steps:,} steps of Adam at {settings.learning_rate:g}, "
        f"{settings.batch_size} sentences each at distances drawn log-uniformly from {first} to {last}. "
        f"Uniform input weights, orthogonal recurrent weights (times {settings.exploding_scale:g} in the "
        f"exploding RNN), forget-gate bias 1. Clipping limits the gradient's norm to {settings.clip_norm:g}; "
        f"initial weights and sentences are the same with it and without. Trainings of each: "
        f"{settings.repeats}; a and b show geometric means, c means and ranges, d the largest of all."
    )


def _draw_flow(axes: Axes, runs: Sequence[RecallRun], settings: RecallSettings, *, trained: bool) -> None:
    """|dJ/dh_j| over distance; before training clipping makes no difference, so it is drawn once."""
    for network, colour in zip(settings.networks, COLOURS, strict=True):
        for clipped in (True, False) if trained else (True,):
            mine = runs_of(runs, network.label, clipped)
            flows = np.array([run.after if trained else run.before for run in mine])  # (runs, T)
            with np.errstate(divide="ignore"):
                mean = np.exp(np.log(flows).mean(axis=0))  # (T,)
            axes.plot(mean, color=colour, linestyle=CLIPPED if clipped else UNCLIPPED, lw=1.7)
    axes.set_yscale("log")
    axes.set_ylim(bottom=SMALLEST)
    axes.set_xlim(0, settings.distances[-1])
    axes.yaxis.set_major_locator(LogLocator(10, numticks=8))
    axes.set_title("b  Gradient after training" if trained else "a  Gradient before training")
    axes.set(xlabel="distance $i - j$ (time steps)", ylabel=r"$|\,\partial J_i \,/\, \partial h_j\,|$")
    axes.grid()


def _draw_recall(axes: Axes, runs: Sequence[RecallRun], settings: RecallSettings) -> None:
    """Recall over distance, each network a little aside so that equal ones can be told apart."""
    last = settings.distances[-1]
    sides = np.linspace(-0.016, 0.016, len(COLOURS)) * last
    for network, colour, marker, side in zip(settings.networks, COLOURS, MARKERS, sides, strict=True):
        for clipped in (True, False):
            mine = runs_of(runs, network.label, clipped)
            shares = np.array([[run.accuracy[d] for d in settings.distances] for run in mine])
            mean = shares.mean(axis=0)
            axes.errorbar(
                np.array(settings.distances) + side,
                mean,
                yerr=[mean - shares.min(axis=0), shares.max(axis=0) - mean],
                color=colour,
                marker=marker,
                markersize=5,
                markerfacecolor=colour if clipped else "white",
                linestyle=CLIPPED if clipped else UNCLIPPED,
                linewidth=1.5,
                elinewidth=0.9,
            )
    axes.axhline(settings.chance, color=INK, linewidth=1, linestyle=":")
    axes.text(0.98 * last, settings.chance - 0.055, "chance", ha="right", va="top", fontsize=8.5)
    axes.set_xlim(0, last * 1.03)
    axes.set_ylim(0, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_title("c  Recall of the first word")
    axes.set(xlabel="distance (time steps)", ylabel="sentences recalled")
    axes.grid()


def _draw_norms(axes: Axes, runs: Sequence[RecallRun], settings: RecallSettings) -> None:
    """The largest gradient norm of each stretch of the training, before clipping."""
    for network, colour in zip(settings.networks, COLOURS, strict=True):
        for clipped in (True, False):
            norms = [run.record.gradient_norms for run in runs_of(runs, network.label, clipped)]
            steps, largest = largest_norms(norms)
            axes.plot(steps, largest, color=colour, linestyle=CLIPPED if clipped else UNCLIPPED, lw=1.4)
    axes.axhline(settings.clip_norm, color=INK, linewidth=1, linestyle=":")
    axes.annotate(
        "clipped\nabove",
        (1.0, settings.clip_norm),
        (4, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
    )
    axes.set_yscale("log")
    axes.set_xlim(0, settings.steps)
    axes.set_title("d  Gradient norm in training, before clipping")
    axes.set(xlabel="training step", ylabel=r"largest $|\,\partial J\,/\,\partial\theta\,|$")
    axes.grid()


def largest_norms(
    norms: Sequence[Sequence[float]], stretches: int = 50
) -> tuple[Float[np.ndarray, " S"], Float[np.ndarray, " S"]]:
    """Returns the middle of each stretch of steps and the largest norm in it, of all trainings together.

    Args:
        norms: Of each training, step by step; one that diverged is shorter.
        stretches: How many at most.
    """
    length = max(len(training) for training in norms)
    table = np.full((len(norms), length), np.nan)
    for row, training in zip(table, norms, strict=True):
        row[: len(training)] = training
    parts = np.array_split(np.arange(length), min(stretches, length))
    largest = np.array([np.nanmax(table[:, part]) for part in parts])
    return np.array([part.mean() for part in parts]), np.where(np.isfinite(largest), largest, np.nan)


def _legend(settings: RecallSettings) -> list[Line2D]:
    networks = [
        Line2D([], [], color=colour, marker=marker, ms=5, lw=1.7, label=network.label)
        for network, colour, marker in zip(settings.networks, COLOURS, MARKERS, strict=True)
    ]
    return [
        *networks,
        Line2D([], [], color=INK, linestyle=CLIPPED, marker="o", ms=5, label="with clipping"),
        Line2D([], [], color=INK, linestyle=UNCLIPPED, marker="o", ms=5, mfc="white", label="without"),
    ]
