"""A language model of a few dozen weights, shared by the tests of the commands that read one."""

import pytest

from tests.pipelines.language.tiny_language_models import save, tiny_model


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return save(tiny_model(), tmp_path_factory.mktemp("tiny") / "model.ckpt")
