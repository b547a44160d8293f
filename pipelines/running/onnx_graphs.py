"""Modules as ONNX graphs: what the exports of all tasks share."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from modules.errors import InputError

PROTOBUF_LIMIT = 1_900_000_000  # bytes of weights that still fit into one ONNX file, which ends at 2 GiB


@dataclass(frozen=True)
class Graph:
    """A module to export.

    Attributes:
        name: Of its file.
        module: To export.
        example: Of its inputs, two rows of each.
        inputs: Their names in order.
        outputs: Theirs.
        strict: Trace its bytecode: a len() of a tensor is a plain number, fixed in the graph, unless it is.
    """

    name: str
    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: list[str]
    outputs: list[str]
    strict: bool = True

    @property
    def file(self) -> str:
        return f"{self.name}.onnx"


def check_export(output: Path) -> None:
    """Raises InputError where the packages are missing, or the folder holds something already."""
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise InputError(f'export needs {", ".join(missing)}: pip install -e ".[onnx]"')
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: exists already; name a new or an empty folder")


def write_graph(graph: Graph, path: Path) -> None:
    """Writes an ONNX file; the first dimension of every input and output is the batch, of any size."""
    rows = {0: torch.export.Dim("batch")}
    first, *rest = [rows] * len(graph.example)
    # what follows the first input is one *argument
    shapes = (first, tuple(rest)) if rest else (first,)
    weights = sum(weight.nbytes for weight in graph.module.parameters())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, about its own insides
        try:
            traced = torch.export.export(
                graph.module, graph.example, dynamic_shapes=shapes, strict=graph.strict
            )
            program = torch.onnx.export(
                traced,
                dynamo=True,
                input_names=graph.inputs,
                output_names=graph.outputs,
                dynamic_shapes=shapes,
                verbose=False,
            )
        except RuntimeError as error:
            cause = " ".join(str(error.__cause__ or error).split())[:200]
            raise InputError(f"{graph.file}: PyTorch cannot export this network to ONNX ({cause})") from error
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # stack traces, with the paths of this machine
    program.save(path, external_data=weights > PROTOBUF_LIMIT)


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
