"""Folders of ONNX graphs: what the `export` commands share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from modules.errors import InputError
from modules.onnx_graphs import Graph


def check_export(output: Path) -> None:
    """Raises InputError where the folder holds something already."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: exists already; name a new or an empty folder")


def print_graphs(graphs: Sequence[Graph], output: Path) -> None:
    """Prints a line a graph: its file, size, inputs and outputs."""
    for graph in graphs:
        size = sum(file.stat().st_size for file in output.glob(f"{graph.file}*")) / 1e6
        arrow = f"{', '.join(graph.inputs)} -> {', '.join(graph.outputs)}"
        print(f"{output / graph.file}  {size:.1f} MB  {arrow}")


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Gives a folder to write to, which becomes `output` at the end or, after an error, is gone."""
    output = output.resolve()
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.replace(output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
