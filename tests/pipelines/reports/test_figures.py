"""Axes of scores: noise is not blown up to a result."""

import re

import numpy as np

from pipelines.reports.curves import Curve
from pipelines.reports.figures import curve_chart, score_chart


def numbers(chart: str) -> list[float]:
    """The labels of a chart's ticks that are numbers."""
    texts = re.findall(r">([^<>]+)</text>", chart)
    return [float(text.replace("\u2212", "-")) for text in texts if re.fullmatch(r"[\u2212.\d]+", text)]


def test_scores_of_nothing_stand_at_the_beginning_of_their_axis():
    tiny = {"bleu4": 5e-9}
    chart = score_chart("a", tiny, {"bleu4": (1e-9, 6e-9)}, {"constant": tiny}, {"bleu4": "BLEU-4"})
    assert min(numbers(chart)) == 0 and 0.08 <= max(numbers(chart)) <= 0.1 and "e\u22129" not in chart
    curve = Curve(np.arange(3), np.array([1e-9, 5e-9, 2e-9]))
    chart = curve_chart("b", "BLEU-4", {"val": curve}, best=2, are_scores=True)
    assert 0.1 in numbers(chart) and "e\u22129" not in chart


def test_axes_follow_scores_that_are_some():
    chart = score_chart("a", {"bleu4": 0.6}, {"bleu4": (0.5, 0.7)}, {}, {"bleu4": "BLEU-4"})
    assert min(numbers(chart)) == 0 and max(numbers(chart)) >= 0.6
