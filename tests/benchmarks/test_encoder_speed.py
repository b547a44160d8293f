"""Images a second of the frozen encoder: its fast path against the plain backbone.

python -m pytest tests/benchmarks/test_encoder_speed.py -m benchmark -s
"""

import statistics
import time

import pytest
import torch
from rich.console import Console
from rich.table import Table

from modules.encoders.image import ImageEncoder
from modules.precision import fast_dtype

IMAGES = 32
REPEATS = 5
PROMISED = 3.0


@pytest.mark.benchmark
def test_the_fast_path_is_three_times_the_plain_forward() -> None:
    if fast_dtype(torch.device("cpu")) != torch.bfloat16:
        pytest.skip("this processor has no bfloat16 instructions")
    encoder = ImageEncoder("efficientnet_lite0")
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 3, 224, 224), dtype=torch.uint8, generator=generator)
    paths = {"float32, contiguous, 32 at once": encoder.forward, "encode": encoder.encode}
    speeds: dict[str, list[float]] = {name: [] for name in paths}
    with torch.inference_mode():
        for run in paths.values():
            run(images)
        for _ in range(REPEATS):  # taking turns, so that a busy machine slows both
            for name, run in paths.items():
                started = time.perf_counter()
                run(images)
                speeds[name].append(IMAGES / (time.perf_counter() - started))
    plain, fast = (statistics.median(values) for values in speeds.values())

    table = Table(title=f"EfficientNet-Lite0, 224 px, {torch.get_num_threads()} threads")
    for column in ("path", "images/s", "ratio"):
        table.add_column(column, justify="left" if column == "path" else "right")
    for name, speed in zip(paths, (plain, fast), strict=True):
        table.add_row(name, f"{speed:.0f}", f"{speed / plain:.1f}")
    Console().print(table)
    assert fast >= PROMISED * plain
