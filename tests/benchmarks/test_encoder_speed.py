"""Images a second of the frozen encoder: its fast paths against the plain backbone.

python -m pytest tests/benchmarks/test_encoder_speed.py -m benchmark -s
"""

from functools import partial
from pathlib import Path

import pytest
import torch

from modules.encoders.image import ImageEncoder
from modules.precision import fast_dtype
from tests.benchmarks.ratio_table import show
from tests.benchmarks.turns import medians

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
    runs = {name: partial(path, images) for name, path in paths.items()}
    with torch.inference_mode():
        for run in runs.values():  # warms up
            run()
        plain, *fast = (IMAGES / taken for taken in medians(runs, REPEATS).values())
    show(
        f"EfficientNet-Lite0, 224 px, {torch.get_num_threads()} threads",
        ("path", "images/s", "ratio"),
        [
            (name, f"{speed:.0f}", f"{speed / plain:.1f}")
            for name, speed in zip(paths, (plain, *fast), strict=True)
        ],
    )
    # PyTorch against its own plain forward in bfloat16, ONNX Runtime against PyTorch's fast path in float32
    assert fast[-1] >= PROMISED[dtype] * (plain if dtype == torch.bfloat16 else fast[0])
