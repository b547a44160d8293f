"""What scoring a split comes to: metrics.json, tables, and the lines that say where things lie."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from modules.errors import tell
from modules.whole_files import write_whole


@dataclass
class Findings:
    """What a task found out about a split.

    Args:
        said: What was evaluated and how, such as "60 images, free-running".
        metrics: What goes into metrics.json.
        tables: Scores to print.
        files: What was written, by what it is.
        warnings: What a person should look into.
    """

    said: str
    metrics: dict[str, Any]
    tables: list[Table]
    files: dict[str, Path] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def write_metrics(
    folder: Path, split: str, checkpoint: Path, found: Findings, seconds: dict[str, float]
) -> Path:
    """Returns the path of metrics.json, which holds what was found out and how long it took."""
    rounded = {name: round(value, 1) for name, value in seconds.items()}
    metrics = {"split": split, "checkpoint": str(checkpoint), **found.metrics, "seconds": rounded}
    text = json.dumps(_without_nan(metrics), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return write_whole(folder / "metrics.json", text.encode())


def _without_nan(value: Any) -> Any:
    """Returns null for what is no number: JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_findings(split: str, checkpoint: Path, found: Findings, seconds: float) -> None:
    """Prints scores, then where things lie, a line each; warnings go to stderr."""
    for table in found.tables:
        Console().print(table)
    lines = {"split": f"{split}, {found.said}", "checkpoint": checkpoint, **found.files}
    for label, value in (lines | {"seconds": f"{seconds:.0f}"}).items():
        print(f"{label:<12} {value}")
    for warning in found.warnings:
        tell(f"WARNING: {warning}")


def print_next(task: str, commands: Sequence[str], checkpoint: Path | str) -> None:
    """Prints what can be done with a checkpoint, ready to copy, by the door that was called.

    Args:
        task: caption, steer, text or house_numbers.
        commands: Each with its options but for the checkpoint.
        checkpoint: What they take as `--ckpt_path`.
    """
    script = Path(sys.argv[0]).name == f"{task}.py"
    door = f"python {shlex.quote(sys.argv[0])}" if script else f"seqsight {task}"
    label = "next"
    for command in commands:
        name, _, options = command.partition(" ")
        line = f"{door} {name} --ckpt_path {shlex.quote(str(checkpoint))} {options}"
        print(f"{label:<12} {line}".rstrip())
        label = ""
