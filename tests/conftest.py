"""What every folder of tests shares."""

import os
from collections.abc import Iterator

import pytest
import torch


def pytest_configure(config: pytest.Config) -> None:
    """Gives tests one thread: they are small, and threads that wait for one another only take longer."""
    if config.option.markexpr != "benchmark":
        torch.set_num_threads(1)
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small tensors are slower on several threads; benchmarks and encoders want them all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
