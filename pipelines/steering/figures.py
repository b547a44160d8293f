"""Draws the charts of steering reports: angles over time, errors by angle, lag. Left turns are positive.

Runs are called by letters: what a user named belongs in the page's HTML, where it is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from modules.metrics.calibration import Calibration
from modules.metrics.steering import rms
from pipelines.reports.svg import CONSTANT, INK, RUNS, STYLE, SYSTEM, as_svg, new_figure

_POINTS = 2000  # of a scatter
_ENDS = 99.5  # percentile of |error| at which a histogram ends
_PARTS = 10  # of the frames, from those where runs agree to those where they do not

Angles = Float[np.ndarray, " N"]


def system_chart(
    rmse: Mapping[str, float], intervals: Mapping[str, tuple[float, float] | None], title: str
) -> Markup:
    """The RMSE of each system, a row each; those that `intervals` names are runs, in their colours."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(height=max(2.9, 0.9 + 0.26 * len(rmse)))
        for row, (system, value) in enumerate(rmse.items()):
            is_run = system in intervals
            colour = RUNS[list(intervals).index(system) % len(RUNS)] if is_run else CONSTANT
            if interval := intervals.get(system):
                axes.plot(interval, [row, row], color=colour, lw=5, alpha=0.35, solid_capstyle="butt")
            axes.plot(value, row, "o" if is_run else "D", color=colour, ms=6 if is_run else 4.5)
            axes.annotate(
                f"{value:.4f}", (value, row), (8, 4), textcoords="offset points", fontsize=7.5, color=INK
            )
        axes.set_yticks(range(len(rmse)), list(rmse))
        axes.set_ylim(len(rmse) - 0.4, -0.7)
        ends = [*rmse.values(), *(interval[1] for interval in intervals.values() if interval)]
        axes.set_xlim(0, 1.2 * max(ends) or 1)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set(title=title)
        return as_svg(figure, "systems", title)


def angle_chart(
    name: str, time_s: Angles, truth: Angles, predictions: Mapping[str, Angles], is_wide: bool, unit: str
) -> Markup:
    """True and predicted angles over time; a prediction a run."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(width=10 if is_wide else 4.8, height=2.3)
        axes.axhline(0, color=INK, lw=0.5, alpha=0.4)
        axes.plot(time_s, truth, color=INK, lw=1.1, label="driver")
        for (label, angles), colour in zip(predictions.items(), RUNS * len(predictions), strict=False):
            axes.plot(time_s, angles, color=colour, lw=1.1, label=label)
        axes.set(xlabel="s", ylabel=f"{unit}, left up")
        axes.set_xlim(time_s[0], max(time_s[-1], time_s[0] + 0.1))
        axes.grid()
        figure.legend(loc="outside upper right", ncols=4, columnspacing=1.2, handlelength=1.5)
        return as_svg(figure, name, "Angle over time, of the driver and predicted")


def scatter_chart(
    name: str, title: str, prediction: Angles, truth: Angles, unit: str, colour: str = SYSTEM
) -> Markup:
    """Predicted over true angles; the line is where they are equal."""
    chosen = np.arange(len(truth))
    if len(chosen) > _POINTS:
        chosen = np.random.default_rng(0).choice(len(truth), _POINTS, replace=False)
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(height=2.9)
        ends = [min(truth.min(), prediction.min()), max(truth.max(), prediction.max())]
        axes.plot(ends, ends, color=INK, lw=0.8)
        # many points weigh less as pixels
        axes.plot(
            truth[chosen], prediction[chosen], "o", color=colour, ms=2.4, alpha=0.3, mew=0, rasterized=True
        )
        axes.set(title=title, xlabel=f"driver ({unit})", ylabel=f"predicted ({unit})")
        axes.grid()
        return as_svg(figure, name, title)


def bin_chart(
    rmse: Mapping[str, Mapping[str, float]], frames: Mapping[str, int], runs: Sequence[str], unit: str
) -> Markup:
    """RMSE by bin of the true angle's size, a bar a system.

    Args:
        rmse: By system and bin.
        frames: How many frames each bin has.
        runs: Systems that are runs, in their colours; others are grey.
        unit: Of the angles.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(height=2.9)
        width = 0.8 / len(rmse)
        for place, (system, values) in enumerate(rmse.items()):
            colour = RUNS[list(runs).index(system) % len(RUNS)] if system in runs else CONSTANT
            left = np.arange(len(frames)) + (place - (len(rmse) - 1) / 2) * width
            heights = [values.get(name, 0.0) for name in frames]
            axes.bar(left, heights, width, color=colour, label=system)
        ticks = [f"{name}\n{count:,}" for name, count in frames.items()]
        axes.set_xticks(range(len(frames)), ticks, fontsize=8)
        axes.set(
            title="RMSE by size of the true angle", ylabel=unit, xlabel=f"{unit}, and frames of that size"
        )
        axes.grid(axis="y")
        axes.legend()
        return as_svg(figure, "bins", "RMSE by size of the true angle")


def error_chart(errors: Mapping[str, Angles], unit: str) -> Markup:
    """Histogram of the errors of each run; the few beyond its ends are counted at them."""
    largest = max(float(np.percentile(np.abs(values), _ENDS)) for values in errors.values()) or 1e-3
    edges = np.linspace(-largest, largest, 42)
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(height=2.9)
        for (label, values), colour in zip(errors.items(), RUNS * len(errors), strict=False):
            share = np.histogram(values.clip(-largest, largest), edges)[0] / len(values)
            axes.stairs(share, edges, fill=len(errors) == 1, color=colour, lw=1.3, label=label)
        axes.axvline(0, color=INK, lw=0.6)
        axes.set(title="Errors", xlabel=f"predicted minus true ({unit}); above 0 too far left")
        axes.set(ylabel="share of frames")
        axes.grid(axis="y")
        if len(errors) > 1:
            axes.legend()
        return as_svg(figure, "errors", "Histogram of errors")


def lag_chart(
    rmse: Mapping[str, Mapping[int, float]], late: Mapping[str, int], rates_hz: Mapping[str, float], unit: str
) -> Markup:
    """RMSE of each run's linear fit to the truth when it is shifted in time; its lag is marked."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(height=2.9)
        for (label, values), colour in zip(rmse.items(), RUNS * len(rmse), strict=False):
            shifts, errors = np.array(list(values)), np.array(list(values.values()))
            axes.plot(shifts / rates_hz[label], errors, color=colour, lw=1.3, label=label)
            axes.plot(late[label] / rates_hz[label], values[late[label]], "o", color=colour, ms=5)
        axes.axvline(0, color=INK, lw=0.6)
        axes.set(title="RMSE if it came earlier by", xlabel="s", ylabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid()
        if len(rmse) > 1:
            axes.legend()
        return as_svg(figure, "lag", "RMSE by shift in time")


def spread_chart(error: Angles, given: Angles, unit: str) -> Markup:
    """RMS error of the runs' mean where they agree and where they do not, in equal parts of the frames.

    Args:
        error: Of the mean, predicted minus true.
        given: Standard deviation of what the runs say.
        unit: Of the angles.
    """
    parts = np.array_split(np.argsort(given, kind="stable"), _PARTS)
    apart, wrong = ([rms(values[part]) for part in parts] for values in (given, error))
    line = np.linspace(0, max(apart), 50)
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(height=2.9)
        axes.plot(line, line, color=INK, lw=0.8, ls=":", label="as given")
        axes.plot(line, Calibration.fit(error, given).apply(line), color=INK, lw=0.8, label="calibrated")
        axes.plot(apart, wrong, "o", color=SYSTEM, ms=5, label="a tenth of the frames")
        axes.set_ylim(0, 1.15 * max(wrong) or 1)
        axes.set(title="Error by spread", xlabel=f"standard deviation of the runs ({unit})")
        axes.set(ylabel=f"RMS error of their mean ({unit})")
        axes.grid()
        axes.legend()
        return as_svg(figure, "spread", "RMS error of the mean by the spread of the runs")
