"""What all tests of commands share."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """No test reads or writes the caches of the user."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SEQSIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()
