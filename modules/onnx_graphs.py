"""Modules as ONNX graphs: what exports of all tasks and the fast encoder share."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
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
        except Exception as error:  # whatever a layer that the exporter does not know may raise
            cause = " ".join(str(error.__cause__ or error).split())[:200]
            raise InputError(f"{graph.file}: PyTorch cannot export this network to ONNX ({cause})") from error
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # stack traces, with the paths of this machine
    program.save(path, external_data=weights > PROTOBUF_LIMIT)
