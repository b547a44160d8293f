"""A reader that has learnt nothing, as a checkpoint, and a folder of pictures and of what is none."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from modules.house_numbers.number_reader import NumberReader
from modules.house_numbers.options import ReaderOptions
from modules.house_numbers.preprocessing import NumberPictures

ROOT = Path(__file__).resolve().parents[3]
GOOD = ("a.png", "b/c.jpg", "dot.png")
BAD = ("bad.png", "notes.txt")


def save(path: Path, model: NumberReader) -> Path:
    checkpoint = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
    return path


def export(checkpoint: Path, output: Path) -> str:
    """Exports a reader and returns what that printed.

    In a process of its own: the exporter would trace the shape checks that the tests switch on.
    """
    given = ["export", "--ckpt_path", str(checkpoint), "--output", str(output)]
    command = [sys.executable, str(ROOT / "pipelines" / "house_numbers.py"), *given]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = NumberReader(NumberPictures(32), ReaderOptions(points=8, scales=2, hidden_size=16, backward=True))
    return save(tmp_path_factory.mktemp("reader") / "best.ckpt", model)


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    (folder / "b").mkdir()
    rng = np.random.default_rng(0)
    for name, height, width in zip(GOOD, (40, 25, 1), (90, 300, 1), strict=True):
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (height, width, 3)).astype(np.uint8))
    for name in BAD:
        (folder / name).write_text("no picture")
    return folder
