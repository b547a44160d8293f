"""Graphs in 8 bits: what is rounded, and how far annotations go from those of float32."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.numpy_helper import to_array

from modules.encoders.eight_bits import multiplies_eight_bits, write_eight_bits
from modules.onnx_graphs import Graph, write_graph
from tests.unchecked import unchecked


def two_convolutions() -> torch.nn.Module:
    torch.manual_seed(0)
    first, second = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 5, 1)
    with torch.no_grad():
        # channels of very different sizes: one scale for all would round the small ones away
        first.weight.mul_(10.0 ** torch.arange(-3, 5).view(8, 1, 1, 1) / 100)
    return torch.nn.Sequential(first, torch.nn.ReLU(), second)


class OfBytes(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.float() / 255)


@pytest.fixture
def graphs(tmp_path: Path) -> tuple[torch.nn.Module, torch.Tensor, Path]:
    """A network, images, and its graph in 8 bits."""
    images = torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8)
    network = OfBytes(two_convolutions()).eval()
    exact, rounded = tmp_path / "exact.onnx", tmp_path / "rounded.onnx"
    with unchecked():
        write_graph(Graph("small", network, (images[:2],), ["images"], ["annotations"]), exact)
        write_eight_bits(exact, images, rounded)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exact.onnx", "rounded.onnx"]
    return network, images, rounded


def test_convolutions_are_rounded_with_a_scale_a_channel(
    graphs: tuple[torch.nn.Module, torch.Tensor, Path],
) -> None:
    graph = onnx.load(graphs[2]).graph
    kept = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    weights = [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in kept]
    by_channel = {kept[node.input[0]].shape[0]: kept[node.input[1]] for node in weights}
    assert {8, 5} <= set(by_channel)
    assert all(kept[node.input[0]].dtype in (np.int8, np.int32) for node in weights)
    assert by_channel[8].shape == (8,) and by_channel[8].max() > 1e4 * by_channel[8].min()


# without these instructions products of 8 bits are added up in 16, which overflow
@pytest.mark.skipif(not multiplies_eight_bits("cpu"), reason="this processor has no products of 8 bits")
def test_what_is_computed_is_close(graphs: tuple[torch.nn.Module, torch.Tensor, Path]) -> None:
    network, images, rounded = graphs
    session = onnxruntime.InferenceSession(rounded, providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": images.numpy()})[0]
    with torch.no_grad():
        expected = network(images).numpy()
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert 1e-5 < error < 0.05


def test_a_gpu_is_no_processor_of_eight_bits() -> None:
    assert not multiplies_eight_bits("cuda")
    assert multiplies_eight_bits("cpu") == torch.cpu._is_vnni_supported()
