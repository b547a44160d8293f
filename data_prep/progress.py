"""How far long work has come: a bar on a terminal, a line now and then where there is none."""

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from operator import length_hint
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from modules.errors import tell

SPEAKS_EVERY = 25.0  # seconds, where there is no terminal: with a slow step still a line every 30 s
Item = TypeVar("Item")


class Bar(Progress):
    """A bar on stderr, so that stdout keeps to results; a log file has a line every 30 s in its place.

    Args:
        columns: What it shows; by default description, bar, percentage and time.
        visible: Whether anything is shown.
        stays: Whether it stays on the terminal at its end.
    """

    def __init__(self, *columns: str | ProgressColumn, visible: bool = True, stays: bool = False) -> None:
        console = Console(stderr=True)
        self.speaks, self.spoken = visible and not console.is_terminal, time.monotonic()
        shown = visible and console.is_terminal
        super().__init__(*columns, console=console, transient=not stays, disable=not shown)

    def advance(self, *args: Any, **kwargs: Any) -> None:
        super().advance(*args, **kwargs)
        self._speak()

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(*args, **kwargs)
        self._speak()

    def _speak(self) -> None:
        if not self.speaks or time.monotonic() - self.spoken < SPEAKS_EVERY:
            return
        self.spoken = time.monotonic()
        for task in self.tasks:
            if not task.finished:
                of_all = f" of {task.total:,.0f}" if task.total else ""
                left = task.time_remaining  # whole seconds, once the speed is known
                until = "" if left is None else f", {timedelta(seconds=left)} left"
                tell(f"{task.description} {task.completed:,.0f}{of_all}{until}")


class Speed(ProgressColumn):
    """Units a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.0f} {self.unit}/s")


def counting_bar(unit: str, visible: bool = True) -> Bar:
    """Returns a bar that counts.

    Args:
        unit: What it counts, such as frames.
        visible: Whether it is shown.
    """
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), Speed(unit), TimeRemainingColumn())
    return Bar(*columns, visible=visible, stays=True)


def tracked(
    items: Iterable[Item], description: str, total: int | None = None, visible: bool = True
) -> Iterator[Item]:
    """Yields the items, under a bar.

    Args:
        items: What takes long.
        description: What is done.
        total: How many there are, where they cannot say.
        visible: Whether the bar is shown.
    """
    with Bar(visible=visible) as bar:
        task = bar.add_task(description, total=total or length_hint(items) or None)
        for item in items:
            yield item
            bar.advance(task)
