"""The `export` command: a reader as one ONNX graph and one JSON file, for any runtime without PyTorch.

The graph takes pictures (B, 3, S, S) as RGB bytes. It gives logits (B, 5, 11) and the places of the glimpses
(B, T, 2), x and y from -1 to 1; the control has none. A reader in both directions gives the same from right
to left. reader.json says how a picture becomes the graph's input, and how logits become a number.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from modules.house_numbers.batch import MOST_DIGITS, STOP
from modules.house_numbers.control import DigitCNN
from modules.house_numbers.number_reader import GlimpseReaders, NumberReader
from modules.house_numbers.preprocessing import grey
from modules.onnx_graphs import Graph, write_graph
from pipelines.running.exports import check_export, new_folder, print_graphs

PAD = (
    "With S of image_size, H and W of the picture and f = S / max(H, W), make it max(1, round(f * H)) high "
    "and max(1, round(f * W)) wide, halves to the even number. Centre it in the square: above it lies half "
    "of what is left, rounded down, and so to its left. All else gets the mean colour of the resized "
    "picture, each channel rounded."
)
SQUASH = "Make the picture S high and S wide, S of image_size, whatever its proportions."
RESIZE = (
    " Sides shrink by area means (OpenCV's INTER_AREA); sides that have to grow do so after that, linearly "
    "(INTER_LINEAR). The graph takes bytes: images is uint8 (B, 3, S, S), RGB, top row first, neither scaled "
    "nor normalised."
)
DECODE = (
    "Logits are (B, most_digits, 11): class d at step k is digit d at place k from the left, class stop the "
    "end. Take log-softmax over the classes. A number of length L scores the sum of its digits at steps 0 to "
    "L-1 and, where L is below most_digits, of class stop at step L. The number of the highest score is "
    "read: of every length the best digits, then the best length. A digit's probability is the softmax of "
    "the ten digits' terms at its place."
)
DECODE_BACKWARD = (
    " With logits_backward each term is the mean of both: a digit at place p from the left is at step L-1-p "
    "there, the stop at step L."
)


class Looks(nn.Module):
    """Returns logits and places of each reader of a network, from left to right and perhaps back.

    Args:
        network: Of the model.
    """

    def __init__(self, network: GlimpseReaders | DigitCNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        seen = grey(images)
        if isinstance(self.network, DigitCNN):
            return (self.network(seen),)
        return tuple(part for reading in self.network(seen) for part in (reading.logits, reading.places))


def export(output: Path, ckpt_path: Path) -> None:
    """Write a reader as an ONNX graph with a reader.json that explains it.

    The graph computes in float32 and takes any batch size; the difference to PyTorch is measured and printed.

    Args:
        output: Folder to write, new or empty.
        ckpt_path: Checkpoint of a reader, such as RUN/checkpoints/best.ckpt.
    """
    check_export(output)
    model = NumberReader.load(ckpt_path)
    size = model.pictures.size
    names = ["logits"] if model.reader_options.kind == "cnn" else ["logits", "places"]
    if len(names) > 1 and model.reader_options.backward:
        names += ["logits_backward", "places_backward"]
    example = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    graph = Graph("reader", Looks(model.network), (example,), ["images"], names)
    with new_folder(output) as folder:
        with Console(stderr=True).status("exporting reader.onnx"):
            write_graph(graph, folder / graph.file)
            difference = compare(model, folder / graph.file)
        text = json.dumps(describe(model, graph), indent=1)
        (folder / "reader.json").write_text(text + "\n", encoding="utf-8")
    print_graphs([graph], output)
    print(output / "reader.json")
    print(f"largest difference to PyTorch on random pictures: {difference:.1e}")


def compare(model: NumberReader, path: Path) -> float:
    """Returns the largest difference of logits and places, of several batch sizes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    size, largest = model.pictures.size, 0.0
    for batch in (1, 3):
        images = torch.randint(0, 256, (batch, 3, size, size), generator=generator, dtype=torch.uint8)
        with torch.no_grad():
            wanted = Looks(model.network)(images)
        given = session.run(None, {"images": images.numpy()})
        differences = [np.abs(a - b.numpy()).max() for a, b in zip(given, wanted, strict=True)]
        largest = max(largest, *map(float, differences))
    return largest


def describe(model: NumberReader, graph: Graph) -> dict[str, Any]:
    """Returns what reader.json holds: all that a program needs to read a picture with the graph."""
    reader = model.reader_options
    return {
        "task": "house_numbers",
        "graph": {"file": graph.file, "inputs": graph.inputs, "outputs": graph.outputs},
        "image_size": model.pictures.size,
        "resize": model.pictures.resize,
        "input": (PAD if model.pictures.resize == "pad" else SQUASH) + RESIZE,
        "colour": "RGB",
        "most_digits": MOST_DIGITS,
        "stop": STOP,
        "decode": DECODE + (DECODE_BACKWARD if reader.backward else ""),
        "glimpses": reader.glimpses,
        "window": reader.window,
        "scales": reader.scales,
    }
