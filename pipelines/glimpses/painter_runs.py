"""Finds runs of painters among those of house_numbers.py."""

from __future__ import annotations

from pathlib import Path

from modules.errors import InputError
from pipelines.arguments import has_part, read_config
from pipelines.glimpses.controls import CONTROLS
from pipelines.reports.summary import arguments


def newest_checkpoint(runs: Path, painter: bool) -> Path | None:
    """Returns the best checkpoint of the newest run of a painter, or of a reader; None where there is none.

    A control that was trained in the reader's place is no reader.

    Args:
        runs: Folder of all runs.
        painter: Whether it is a painter's.
    """
    found = []
    for path in runs.glob("house_numbers/*/version_*/checkpoints/best.ckpt"):
        config = path.parents[1] / "config.yaml"
        if not config.is_file():
            continue
        options = read_config(config)
        kind = arguments(arguments(options.get("model")).get("reader")).get("kind")
        if has_part(options, "painter") == painter and kind not in CONTROLS:
            found.append(path)
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def newest_painter(runs: Path) -> Path:
    """Returns the best checkpoint of the newest painter's run.

    Args:
        runs: Folder of all runs.

    Raises:
        InputError: There is none.
    """
    newest = newest_checkpoint(runs, painter=True)
    if newest is None:
        raise InputError(
            f"{runs}: no painter's run; name one with --ckpt_path, or make one with "
            "fit --config configs/house_numbers/painter.yaml"
        )
    return newest
