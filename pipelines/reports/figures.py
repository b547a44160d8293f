"""Draws the charts of captioning reports and learning curves.

No chart holds text that a user wrote: captions and words belong in the page's HTML, where they are escaped.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from pipelines.reports.curves import Curve
from pipelines.reports.svg import CONSTANT, INK, REFERENCE, RUNS, SHUFFLED, STYLE, SYSTEM, as_svg, new_figure

LEAST_TOP = 0.1  # that an axis of scores ends at: noise is not blown up to a result
NOTHING = 1e-6  # BLEU gives scores below this in place of 0


def score_chart(
    name: str,
    scores: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]],
    controls: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, str],
) -> Markup:
    """One row per metric of `labels`: the score with its interval, and the controls it has to beat."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(width=4.8, height=1.25 + 0.3 * len(labels))
        for row, metric in enumerate(labels):
            low, high = (_score(bound) for bound in intervals[metric])
            axes.plot([low, high], [row, row], color=SYSTEM, linewidth=5, alpha=0.35, solid_capstyle="butt")
            for control, marker, colour in (("constant", "|", CONSTANT), ("shuffled", "x", SHUFFLED)):
                if control in controls:
                    axes.plot(
                        _score(controls[control][metric]), row, marker, color=colour, markersize=7, mew=1.6
                    )
            axes.plot(_score(scores[metric]), row, "o", color=SYSTEM, markersize=6)
        handles = [axes.plot([], [], "o", color=SYSTEM, label="this run, 95 % interval")[0]]
        if "constant" in controls:
            handles += axes.plot([], [], "|", color=CONSTANT, ms=7, mew=1.6, label="constant caption")
        if "shuffled" in controls:
            handles += axes.plot([], [], "x", color=SHUFFLED, ms=7, mew=1.6, label="shuffled images")
        axes.set_yticks(range(len(labels)), list(labels.values()))
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_xlim(0, max(axes.get_xlim()[1], LEAST_TOP))
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        figure.legend(
            handles=handles, loc="outside lower center", ncols=3, columnspacing=1.2, handletextpad=0.3
        )
        return as_svg(figure, name, f"{', '.join(labels.values())} with intervals and controls")


def curve_chart(
    name: str, title: str, curves: Mapping[str, Curve], best: int | None, are_scores: bool = False
) -> Markup:
    """The curves over the global step, by label; `best` is the step of the checkpoint that was kept.

    An axis of scores begins at 0 and ends at `LEAST_TOP` or above.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure()
        for (label, curve), colour in zip(curves.items(), RUNS, strict=False):
            drawn = curve.thinned()
            marker = "o" if len(drawn.steps) <= 30 else None
            values = [_score(value) for value in drawn.values] if are_scores else drawn.values
            axes.plot(drawn.steps, values, color=colour, marker=marker, ms=3, lw=1.4, label=label)
        if best is not None:
            axes.axvline(best, color=INK, linewidth=0.9, linestyle=(0, (3, 2)), label="best checkpoint")
        if are_scores:
            axes.set_ylim(0, max(axes.get_ylim()[1], LEAST_TOP))
        axes.set(title=title, xlabel="step")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid()
        figure.legend(loc="outside lower center", ncols=3, columnspacing=1.2, handlelength=1.5)
        return as_svg(figure, name, f"{title} over training steps")


def _score(value: float) -> float:
    return 0.0 if abs(value) < NOTHING else value


def length_chart(name: str, predicted: Sequence[int], references: Sequence[int]) -> Markup:
    """Share of captions by their number of words, predicted beside reference captions."""
    longest = max(max(predicted), max(references))
    shown = min(longest, 40)  # longer ones are counted with the last bar
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(width=4.8, height=2.9)
        for offset, lengths, colour, label in (
            (-0.2, predicted, SYSTEM, "predicted"),
            (0.2, references, REFERENCE, "references"),
        ):
            counts = np.bincount(np.minimum(lengths, shown), minlength=shown + 1)
            axes.bar(np.arange(shown + 1) + offset, counts / len(lengths), 0.4, color=colour, label=label)
        axes.set(title="Caption length", xlabel="words", ylabel="share of captions")
        first = min(min(predicted), min(references), shown)
        axes.set_xlim(first - 0.7, shown + 0.7)
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        axes.grid(axis="y")
        axes.legend()
        return as_svg(figure, name, "Distribution of caption lengths")


def vocabulary_chart(name: str, predicted: Sequence[int], references: Sequence[int]) -> Markup:
    """Words by rank on logarithmic axes, from how often each occurs in predicted and reference captions."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(width=4.8, height=2.9)
        for counts, colour, label in (
            (predicted, SYSTEM, "predicted"),
            (references, REFERENCE, "references"),
        ):
            share = np.sort(np.asarray(counts))[::-1] * (1000 / max(1, sum(counts)))
            # points that fall on each other at the logarithmic scale are drawn once
            ranks = np.unique(np.geomspace(1, max(1, len(share)), 200).astype(int))[: len(share)]
            axes.plot(ranks, share[ranks - 1], color=colour, linewidth=1.6, label=label)
        axes.set(title="Words by rank", xlabel="rank", ylabel="per 1,000 words", xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.grid()
        axes.legend()
        return as_svg(figure, name, "Word frequency by rank")
