"""What a fit cannot go on from is one line, and nothing is overwritten."""

import pytest
import torch

from modules.errors import InputError
from pipelines.running.resuming import check_resumable
from tests.pipelines.toy_task import QUIET, LineCLI


@pytest.fixture
def last(tmp_path):
    LineCLI(["fit", *QUIET, "--runs", str(tmp_path), "--trainer.max_epochs", "1"])
    return tmp_path / "line" / "run" / "version_0" / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: stored.pop("optimizer_states"),
        lambda stored: stored.update(optimizer_states=[]),
        lambda stored: stored.update(loops={"fit_loop": 3}),
        lambda stored: stored.update(loops=None),
        lambda stored: stored.update(callbacks=[]),
    ],
    ids=["no optimizer", "empty optimizer", "loop", "loops", "callbacks"],
)
def test_weights_alone_are_no_place_to_go_on_from(last, damage):
    stored = torch.load(last, weights_only=True)
    damage(stored)
    torch.save(stored, last)
    with pytest.raises(InputError, match=r"not where its training stood; go on from RUN/checkpoints/last"):
        LineCLI(["fit", *QUIET, "--trainer.max_epochs", "2", "--ckpt_path", str(last)])


def test_a_control_is_not_gone_on_with_in_the_place_of_a_run(last, monkeypatch):
    control = last.with_name("cnn.ckpt")
    control.write_bytes(last.read_bytes())
    before = {path: path.read_bytes() for path in last.parent.parent.rglob("*") if path.is_file()}
    monkeypatch.setattr(LineCLI, "beside", ("cnn",))
    with pytest.raises(InputError, match=r"cnn\.ckpt: is a model beside a run's own, .* from .*/last\.ckpt"):
        LineCLI(["fit", *QUIET, "--trainer.max_epochs", "2", "--ckpt_path", str(control)])
    assert before == {path: path.read_bytes() for path in last.parent.parent.rglob("*") if path.is_file()}


def test_a_whole_checkpoint_is_gone_on_from(last):
    check_resumable(last, torch.load(last, weights_only=True), ("cnn",))


def test_weights_that_are_no_numbers_are_no_model(last):
    stored = torch.load(last, weights_only=True)
    stored["state_dict"]["w"].fill_(torch.nan)
    torch.save(stored, last)
    with pytest.raises(InputError, match="w holds numbers that are none"):
        LineCLI(["test", *QUIET, "--ckpt_path", str(last)])
