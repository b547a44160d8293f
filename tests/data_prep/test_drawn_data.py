"""Who names no folder is told that drawn data are learnt from; who names one is told nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep.captions.datamodule import CaptionDataModule
from data_prep.captions.scenes import dataset as scenes
from data_prep.driving.datamodule import SteerDataModule
from data_prep.driving.road import dataset as road
from data_prep.house_numbers.datamodule import NumberDataModule


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder where drawn data lie."""
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path))
    return tmp_path


def test_drawn_scenes_are_said_to_be_drawn(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes.generate(cache / "scenes", images=60, size=32)
    CaptionDataModule().read()
    assert "data: drawn scenes; --data.root DIR" in capsys.readouterr().out
    CaptionDataModule(root=cache / "scenes").read()
    assert "drawn" not in capsys.readouterr().out


def test_drawn_roads_are_said_to_be_drawn(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    road.generate(cache / "road", drives=3, seconds=2.0)
    SteerDataModule().read()
    assert "data: drawn roads; --data.root DIR" in capsys.readouterr().out
    SteerDataModule(root=cache / "road").read()
    assert "drawn" not in capsys.readouterr().out


def test_drawn_plates_are_said_to_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    NumberDataModule(numbers=30).read()
    assert "data: drawn plates; --data.root DIR" in capsys.readouterr().out
    own = tmp_path / "own"
    own.mkdir()
    for name in "abc":
        cv2.imwrite(str(own / f"{name}.png"), np.zeros((9, 9, 3), np.uint8))
    (own / "numbers.csv").write_text("image,number\na.png,1\nb.png,2\nc.png,3\n")
    NumberDataModule(root=own).read()
    assert "drawn" not in capsys.readouterr().out
