"""What every folder of tests shares."""

import os
import tempfile
from collections.abc import Iterator

import jaxtyping
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from pipelines.memory import keep_freed_memory

# property tests try the same examples everywhere, and leave nothing in the checkout
set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), "seqsight_hypothesis"))  # noqa: PTH118
settings.register_profile(
    "seqsight",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("seqsight")


def pytest_configure(config: pytest.Config) -> None:
    """Gives tests one thread: they are small, and threads that wait for one another only take longer.

    Benchmarks run what users do: on all threads, with freed memory kept, as the pipelines have it, and
    without the check of every argument's shape.
    """
    if config.option.markexpr == "benchmark":
        keep_freed_memory()
        jaxtyping.config.update("jaxtyping_disable", True)
    else:
        torch.set_num_threads(1)
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Returns the workers for `-n auto`: none for benchmarks, which want the machine and print as they go."""
    return 0 if config.option.markexpr == "benchmark" else min(os.cpu_count() or 1, 8)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small tensors are slower on several threads; benchmarks and encoders want them all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
