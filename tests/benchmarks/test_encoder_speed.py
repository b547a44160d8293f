"""Images a second of the frozen encoder: its fast paths against the plain backbone.

python -m pytest tests/benchmarks/test_encoder_speed.py -m benchmark -s
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from rich.table import Table

from modules.encoders.image import ImageEncoder
from modules.precision import fast_dtype

IMAGES = 32
REPEATS = 5
PROMISED = {torch.bfloat16: 3.0, torch.float32: 1.6}


@pytest.mark.benchmark
def test_encode_is_faster_than_the_plain_forward(tmp_path: Path) -> None:
    encoder = ImageEncoder("efficientnet_lite0")
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 3, 224, 224), dtype=torch.uint8, generator=generator)
    paths = {"float32, contiguous, 32 at once": encoder.forward, "encode, PyTorch": encoder.encode}
    dtype = fast_dtype(torch.device("cpu"))
    if dtype == torch.float32:
        in_onnx = ImageEncoder("efficientnet_lite0")
        in_onnx.use_onnx(tmp_path / "encoder.onnx")
        paths["encode, ONNX Runtime"] = in_onnx.encode
    plain, *fast = speeds(paths, images)

    table = Table(title=f"EfficientNet-Lite0, 224 px, {torch.get_num_threads()} threads")
    for column in ("path", "images/s", "ratio"):
        table.add_column(column, justify="left" if column == "path" else "right")
    for name, speed in zip(paths, (plain, *fast), strict=True):
        table.add_row(name, f"{speed:.0f}", f"{speed / plain:.1f}")
    Console().print(table)
    # PyTorch against its own plain forward in bfloat16, ONNX Runtime against PyTorch's fast path in float32
    assert fast[-1] >= PROMISED[dtype] * (plain if dtype == torch.bfloat16 else fast[0])


def speeds(paths: dict[str, Callable[[torch.Tensor], torch.Tensor]], images: torch.Tensor) -> list[float]:
    """Images a second of each path; they take turns, so that a busy machine slows all."""
    measured: dict[str, list[float]] = {name: [] for name in paths}
    with torch.inference_mode():
        for run in paths.values():
            run(images)
        for _ in range(REPEATS):
            for name, run in paths.items():
                started = time.perf_counter()
                run(images)
                measured[name].append(IMAGES / (time.perf_counter() - started))
    return [statistics.median(values) for values in measured.values()]
