"""Systems that tell classes apart, side by side: scores with their intervals, and who was taken for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from rich.table import Table
from rich.text import Text

from modules.metrics.classification import accuracy, macro_f1, macro_f1_interval

MOST_COLUMNS = 10  # classes of a confusion table that a terminal shows


def scores_of(confusion: Int[np.ndarray, "K K"]) -> dict[str, Any]:
    """Returns macro-F1 with its 95 % interval, and accuracy, of a confusion matrix of at least one item."""
    return {
        "macro_f1": float(macro_f1(confusion)),
        "interval": macro_f1_interval(confusion),
        "accuracy": accuracy(confusion),
    }


def systems_table(title: str, systems: Mapping[str, Mapping[str, Any]]) -> Table:
    """Returns the scores of systems, the first of them the run's own."""
    table = Table(title=title)
    table.add_column("system")
    for heading in ("macro-F1", "95 % interval", "accuracy"):
        table.add_column(heading, justify="right")
    for number, (name, scores) in enumerate(systems.items()):
        low, high = scores["interval"]
        cells = (f"{scores['macro_f1']:.3f}", f"{low:.3f} - {high:.3f}", f"{scores['accuracy']:.3f}")
        table.add_row(name, *cells, style=None if number else "bold")
    return table


def confusion_tables(classes: Sequence[str], confusion: Int[np.ndarray, "K K"], what: str) -> list[Table]:
    """Returns who was taken for whom, where there are few enough classes to show.

    Args:
        classes: Their names.
        confusion: Rows are true classes, columns what was said.
        what: The items are called.
    """
    if len(classes) > MOST_COLUMNS:
        return []
    table = Table(title=f"What {what} of each class (rows) were taken for")
    table.add_column("")
    for name in classes:
        table.add_column(Text(name), justify="right", overflow="fold")
    for row, (name, counts) in enumerate(zip(classes, confusion.tolist(), strict=True)):
        cells = (Text(f"{n:,}", style="bold" if row == column else "") for column, n in enumerate(counts))
        table.add_row(Text(name), *cells)  # as Text: a name is no markup
    return [table]


def remarks(systems: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns a sentence for each control that is at least as good as the first system."""
    (own, scores), *controls = systems.items()
    return [
        f"{own} is no better than {name}: macro-F1 {scores['macro_f1']:.3f} against "
        f"{control['macro_f1']:.3f}. Try longer training, more texts, or another --data.level."
        for name, control in controls
        if control["macro_f1"] >= scores["macro_f1"]
    ]
