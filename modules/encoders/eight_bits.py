"""A backbone in 8 bits: its ONNX graph with rounded weights and activations."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

_AT_ONCE = 8


def multiplies_eight_bits(device: torch.device | str) -> bool:
    """Returns whether the device is a CPU with instructions for products of 8 bits (AVX-512 VNNI)."""
    return torch.device(device).type == "cpu" and torch.cpu._is_vnni_supported()


def write_eight_bits(graph: Path, images: UInt8[Tensor, "N 3 S S"], file: Path) -> None:
    """Writes an ONNX graph whose convolutions multiply 8 bits (Jacob et al. 2018).

    Weights have a scale for each channel. Activations have one for each tensor, by the smallest and the
    largest value that they take on images.

    Args:
        graph: of the encoder in float32, with the input "images".
        images: that the scales are measured on.
        file: to write; it may be the graph itself.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(images.split(_AT_ONCE))

        def get_next(self) -> dict[str, Any] | None:  # type: ignore[override]  # as its readers expect
            batch = next(self.left, None)
            return None if batch is None else {"images": batch.numpy()}

    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}-") as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(graph, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            file,
            Images(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Clip", "Relu"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
