"""Folders of ONNX graphs: what the `export` commands share."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from modules.errors import InputError
from modules.onnx_graphs import Graph
from pipelines.output_files import no_folders_in_vain, written_by_one


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
    """Gives a folder to write to, which becomes `output` at the end or, after an error, is gone.

    InputError where another process exports to it. What a killed one left beside it is removed.
    """
    output = output.resolve()
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with no_folders_in_vain(output.parent):
            output.parent.mkdir(parents=True, exist_ok=True)
            with written_by_one(output, "output"):
                # whoever holds the name knows that nobody else writes one of these
                for left in output.parent.glob(f".{glob.escape(output.name)}.*"):
                    if left.suffix[1:].isdecimal() and left.is_dir():
                        shutil.rmtree(left)
                try:
                    unfinished.mkdir()
                    yield unfinished
                    unfinished.replace(output)
                finally:
                    shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from error
