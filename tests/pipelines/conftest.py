"""What all tests of commands share."""

from collections.abc import Iterator

import pytest

from tests.unchecked import unchecked


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """Commands run as users run them: without the check of every argument's shape, a fifth of their time."""
    with unchecked():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """So do the tests themselves, after what they prepare."""
    with unchecked():
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """No test reads or writes the caches of the user."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SEQSIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()
