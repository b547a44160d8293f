"""The progress bar of long work: how many of what, how fast, how long still."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text


class Speed(ProgressColumn):
    """Units a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.0f} {self.unit}/s")


def counting_bar(unit: str, visible: bool = True) -> Progress:
    """Returns a bar on stderr, so that stdout keeps to results.

    Args:
        unit: What it counts, such as frames.
        visible: Whether it is shown.
    """
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), Speed(unit), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not visible)
