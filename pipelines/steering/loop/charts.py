"""Charts of a drive in closed loop: the road from above, offset and angle over time. Left is positive."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from data_prep.driving.road.scene import Road
from data_prep.driving.road.vehicle import RATE_HZ
from pipelines.reports.svg import CONSTANT, INK, REFERENCE, SHUFFLED, STYLE, SYSTEM, as_svg, new_figure
from pipelines.steering.loop.closed_loop import INTERVENTION_M, ClosedLoopResult

COLOURS = {"model": SYSTEM, "single_frame": SHUFFLED, "human_like_driver": REFERENCE}
BACK = "#d0343c"  # where a car was put back
_MARK_S = 5  # time between the marks on a path
_MOST = 400  # points of a line


def path_chart(name: str, result: ClosedLoopResult, road: Road, number: int) -> Markup:
    """The road from above and the path of the car, with a dot every five seconds.

    Args:
        name: Of the chart within its page.
        result: Of all roads.
        road: That was driven on.
        number: Its place among the roads.
    """
    x, y = result.x_m[:, number], result.y_m[:, number]
    along = np.arange(max(0.0, result.distance_m[0, number] - 10), result.distance_m[-1, number] + 30, 2.0)
    centre = road.course.at(road.course.position, along)
    heading = road.course.at(road.course.heading, along)
    across = road.lane_m * np.stack([-np.sin(heading), np.cos(heading)], 1)
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(height=2.7)
        axes.plot(*(centre + across).T, color=CONSTANT, lw=4, alpha=0.35, solid_capstyle="butt")
        shown = _thinned(len(x))
        axes.plot(x[shown], y[shown], color=SYSTEM, lw=1.2)
        marks = np.arange(0, len(x), _MARK_S * RATE_HZ)
        axes.plot(x[marks], y[marks], "o", color=SYSTEM, ms=2.8)
        for mark in marks:
            label = (x[mark], y[mark]), (4, 4)
            axes.annotate(f"{mark // RATE_HZ} s", *label, textcoords="offset points", fontsize=7, color=INK)
        back = np.flatnonzero(result.intervened[:, number])
        axes.plot(x[back], y[back], "x", color=BACK, ms=7, mew=1.8)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(title="Path (m, east and north)")
        axes.grid()
        return as_svg(figure, name, "The road from above and the path of the car")


def offset_chart(name: str, results: Mapping[str, ClosedLoopResult], number: int) -> Markup:
    """Metres off the lane's centre over time, of the model and of those who drive beside it."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(height=2.7)
        for border in (-INTERVENTION_M, INTERVENTION_M):
            axes.axhline(border, color=BACK, lw=0.8, linestyle=(0, (4, 3)))
        axes.axhline(0, color=INK, lw=0.5, alpha=0.4)
        for system in (system for system in reversed(COLOURS) if system in results):
            offset = results[system].offset_m[:, number]
            time_s = np.arange(1, len(offset) + 1) / RATE_HZ
            shown = _thinned(len(offset))
            width = 1.4 if system == "model" else 0.9
            label = system.replace("_", " ")
            axes.plot(time_s[shown], offset[shown], color=COLOURS[system], lw=width, label=label)
            back = np.flatnonzero(results[system].intervened[:, number])
            axes.plot(time_s[back], offset[back], "x", color=COLOURS[system], ms=6, mew=1.6)
        axes.set(title="Off the lane's centre", xlabel="s", ylabel="m, left up")
        axes.set_ylim(-1.25, 1.25)
        axes.set_xlim(0, len(offset) / RATE_HZ)
        axes.grid()
        figure.legend(loc="outside lower center", ncols=3, columnspacing=1.2, handlelength=1.5)
        return as_svg(figure, name, "Offset from the lane's centre over time")


def said_chart(
    name: str, result: ClosedLoopResult, spread_rad: Float[np.ndarray, " steps"], number: int
) -> Markup:
    """What the model said over time, where the wheel was, and two spreads of several models either way."""
    said, wheel = result.predicted_rad[:, number], result.angle_rad[:, number]
    time_s, shown = np.arange(len(said)) / RATE_HZ, _thinned(len(said))
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(height=2.7)
        axes.axhline(0, color=INK, lw=0.5, alpha=0.4)
        if np.isfinite(spread_rad).all():
            low, high = said - 2 * spread_rad, said + 2 * spread_rad
            axes.fill_between(time_s[shown], low[shown], high[shown], color=SYSTEM, alpha=0.25, lw=0)
        axes.plot(time_s[shown], wheel[shown], color=INK, lw=0.9, label="wheel")
        axes.plot(time_s[shown], said[shown], color=SYSTEM, lw=1.2, label="model")
        axes.set(title="Steering wheel", xlabel="s", ylabel="rad, left up")
        axes.set_xlim(0, len(said) / RATE_HZ)
        axes.grid()
        figure.legend(loc="outside lower center", ncols=2, columnspacing=1.2, handlelength=1.5)
        return as_svg(figure, name, "Angle of the steering wheel over time")


def _thinned(steps: int) -> np.ndarray:
    return np.unique(np.linspace(0, steps - 1, min(steps, _MOST)).astype(int))
