"""Times of several ways to do one thing: they take turns, so that a busy machine slows all."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from tests.benchmarks.ratio_table import show

Clock = Callable[[], float]


def seconds(run: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    started = clock()
    run()
    return clock() - started


def medians(
    runs: Mapping[str, Callable[[], object]], repeats: int, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each way."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(seconds(run, clock))
    return {name: statistics.median(values) for name, values in times.items()}


def beam_search_ratio(
    title: str,
    batch: Callable[[], object],
    images: int,
    one: Callable[[int], object],
    compared: Sequence[int],
    clock: Clock = time.perf_counter,
) -> float:
    """How often as fast a batch of images is as the compared ones are one at a time; prints a table."""
    fast, slow = [], []
    for image in compared:
        slow.append(seconds(lambda image=image: one(image), clock))
        fast.append(seconds(batch, clock) / images)
    plain, quick = statistics.median(slow), statistics.median(fast)
    unit = "CPU ms an image" if clock is time.process_time else "ms an image"
    show(
        title,
        ("path", unit, "ratio"),
        [
            ("one image at a time, projected at every step", f"{1000 * plain:.0f}", "1.0"),
            (f"{images} images at a time", f"{1000 * quick:.0f}", f"{plain / quick:.1f}"),
        ],
    )
    return plain / quick
