"""`text.py fit --init`: going on from a trained model with another text."""

import json
from pathlib import Path

import pytest
import torch

from pipelines.text import main
from tests.pipelines.language.test_fit import checkpoint_of, file, finished, fit, given

__all__ = ["file", "finished", "fit"]  # the fixtures


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text with two characters that the first lacks, ~ and #, and without many that it has."""
    path = tmp_path_factory.mktemp("other") / "other.txt"
    path.write_text("".join(f"the ~cat~ and the #{'dog' if i % 3 else 'bird'}#.\n" for i in range(300)))
    return path


def test_weights_and_units_come_first_and_new_units_behind(finished, other, tmp_path):
    best = finished / "checkpoints" / "best.ckpt"
    short = ["--init", str(best), "--trainer.max_steps", "1", "--model.training.learning_rate", "1e-12"]
    assert main(["fit", *given(other, tmp_path), *short, "--model.decoder.hidden_size", "999"]) == 0
    run = tmp_path / "text" / "debug" / "version_0"
    before, after = checkpoint_of(finished, "best"), checkpoint_of(run)
    known = before["codec"]["words"]
    assert after["codec"]["words"][: len(known)] == known
    assert set(after["codec"]["words"][len(known) :]) == {"~", "#"}
    for name, value in before["state_dict"].items():
        grown = after["state_dict"][name]
        assert grown.shape != value.shape or name.startswith("decoder.rnn")
        torch.testing.assert_close(grown[tuple(map(slice, value.shape))], value)
    # a run that began so goes on with the same units
    last = run / "checkpoints" / "last.ckpt"
    assert main(["fit", *given(other, tmp_path), "--ckpt_path", str(last), "--trainer.max_steps", "2"]) == 0
    assert checkpoint_of(run)["codec"] == after["codec"]
    assert main(["test", "--ckpt_path", str(last), "--data.file", str(other)]) == 0


def test_what_was_learnt_helps(finished, file, tmp_path, fit):
    """On the same text one step after the beginning is better than one step after nothing."""
    best = finished / "checkpoints" / "best.ckpt"
    step = ["--trainer.max_steps", "1"]
    afresh, begun = fit(tmp_path / "a", *step), fit(tmp_path / "b", *step, "--init", str(best))
    assert bits(begun) < 0.8 * bits(afresh)


def bits(run: Path) -> float:
    return json.loads((run / "metrics.json").read_text())["scores"]["bits_per_char"]


def test_another_level_is_one_line(finished, file, tmp_path, capsys):
    best = finished / "checkpoints" / "best.ckpt"
    assert main(["fit", *given(file, tmp_path), "--init", str(best), "--data.level", "byte"]) == 2
    assert "the checkpoint reads characters, and data.level is byte: --data.level character" in (
        capsys.readouterr().err
    )
    assert not any(tmp_path.iterdir())
