"""Splits of so few items that their scores say little are named, and how one's own are given."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep.captions.datamodule import CaptionDataModule
from data_prep.house_numbers.datamodule import NumberDataModule
from data_prep.saying import say


def folder(root: Path, items: int, table: str, columns: str) -> Path:
    rows = [f"{number}.png,{number}" for number in range(items)]
    (root / table).write_text("\n".join([columns, *rows]))
    for number in range(items):
        cv2.imwrite(str(root / f"{number}.png"), np.full((8, 8, 3), number, np.uint8))
    return root


@pytest.mark.parametrize(
    ("module", "table", "columns", "what"),
    [
        (CaptionDataModule, "captions.csv", "image,caption", "images"),
        (NumberDataModule, "numbers.csv", "image,number", "pictures"),
    ],
)
def test_a_small_folder_is_told_that_its_scores_say_little(
    module, table, columns, what, tmp_path, capsys
) -> None:
    data = module(folder(tmp_path, 60, table, columns))
    data.read()
    val, test = len(data.splits["val"]), len(data.splits["test"])
    assert 0 < val < 20 and 0 < test < 20
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "say little" in line]
    assert said.startswith(f"warning: {tmp_path}: only {val} {what} in val and {test} in test")
    assert f"a column split in {table}" in said


def test_splits_that_are_large_enough_are_not_spoken_of(tmp_path, capsys) -> None:
    rows = [f"{n}.png,{n},{'train' if n < 20 else 'val'}" for n in range(40)]
    folder(tmp_path, 40, "numbers.csv", "")
    (tmp_path / "numbers.csv").write_text("\n".join(["image,number,split", *rows]))
    NumberDataModule(tmp_path).read()
    NumberDataModule(numbers=20).read()  # drawn ones are small where that was asked for
    assert "say little" not in capsys.readouterr().out


def test_names_in_what_is_said_steer_no_terminal(capsys) -> None:
    say("train: 2 frames\n  \x1b[31m.jpg: é")
    assert capsys.readouterr().out == "train: 2 frames\n  �[31m.jpg: é\n"
