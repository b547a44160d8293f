"""The progress bar of work on many images: how many, how fast, how long still."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text


class Speed(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.0f} images/s")


def images_bar(visible: bool = True) -> Progress:
    """Returns a bar on stderr, so that stdout keeps to results."""
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not visible)
