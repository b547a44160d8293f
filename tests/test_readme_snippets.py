"""The lines of Python in the README run."""

import re

import cv2
import numpy as np
import pytest

from tests.commands import ROOT

SNIPPETS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
CLASSES = ("Captioner", "SteeringPredictor", "TextGenerator")


@pytest.mark.parametrize("name", CLASSES)
def test_a_snippet_runs(name, tmp_path, monkeypatch, capsys):
    [snippet] = [snippet for snippet in SNIPPETS if f"from modules import {name}\n" in snippet]
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    if name == "Captioner":
        cv2.imwrite("dog.jpg", frame)
    elif name == "TextGenerator":
        (tmp_path / "x.txt").write_text("the cat sat on the mat and the dog ran\n" * 4)

    names = {"frame": frame}
    exec(snippet, names)

    printed = capsys.readouterr().out
    if name == "SteeringPredictor":
        assert isinstance(names["angle_rad"], float) and np.isfinite(names["angle_rad"])
    else:
        assert printed.strip()


def test_every_snippet_is_run():
    assert len(SNIPPETS) == len(CLASSES)
