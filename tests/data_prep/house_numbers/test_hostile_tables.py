"""Tables of house numbers that are wrong in rarer ways: each is one line that names the file."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from data_prep.house_numbers import FORMATS, read_numbers
from modules.errors import InputError
from tests.data_prep.house_numbers.test_house_numbers import OBJECT, save, write_digit_struct

PICTURES = np.zeros((32, 32, 3, 2), np.uint8)


@pytest.mark.parametrize(
    ("digit", "said"),
    [
        ((1, float("nan"), 5.0, 10.0, 20.0), "picture a.png has a digit without a box of four numbers"),
        ((1, 5.0, 5.0, float("inf"), 20.0), "picture a.png has a digit without a box of four numbers"),
        ((1.5, 5.0, 5.0, 10.0, 20.0), "picture a.png has labels that are no digits"),
        ((float("nan"), 5.0, 5.0, 10.0, 20.0), "picture a.png has labels that are no digits"),
    ],
)
def test_a_digit_that_is_none_in_format_1_is_named(digit: tuple, said: str, tmp_path: Path) -> None:
    write_digit_struct(tmp_path / "train" / "digitStruct.mat", {"a.png": [digit]})
    save(tmp_path / "train" / "a.png")
    with pytest.raises(InputError, match=rf"digitStruct\.mat: {said}"):
        read_numbers(tmp_path)


@pytest.mark.parametrize(
    ("pictures", "labels", "said"),
    [
        (PICTURES[:0], [[1], [2]], r"X is uint8 \(0, 32, 3, 2\)"),
        (PICTURES[:, :0], [[1], [2]], r"X is uint8 \(32, 0, 3, 2\)"),
        (PICTURES, np.array([[1], [[1, 2]]], dtype=object), "y holds labels that are no digits"),
        (PICTURES, ["1", "2"], "y holds labels that are no digits"),
    ],
)
def test_a_table_that_is_none_in_format_2_is_named(pictures, labels, said: str, tmp_path: Path) -> None:
    savemat(tmp_path / "train_32x32.mat", {"X": pictures, "y": labels})
    with pytest.raises(InputError, match=rf"train_32x32\.mat: {said}"):
        read_numbers(tmp_path)


def test_one_picture_under_two_names_is_named(tmp_path: Path) -> None:
    for name in ("a", "A"):
        text = f"<a><filename>{name}.png</filename>{OBJECT.format(1, 3)}</a>"
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "Annotations" / f"{'lower' if name == 'a' else 'upper'}.xml").write_text(text)
    save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"upper\.xml: A\.png is the same file as a\.png"):
        read_numbers(tmp_path, "voc")
    (tmp_path / "numbers.csv").write_text("image,number\na.png,1\nA.png,2\n")
    with pytest.raises(InputError, match=r"numbers\.csv:3: A\.png is the same file as a\.png"):
        read_numbers(tmp_path, "folder")
    digit = (1, 0.0, 0.0, 9.0, 9.0)
    write_digit_struct(tmp_path / "digitStruct.mat", {"a.png": [digit], "A.png": [digit]})
    with pytest.raises(InputError, match=r"digitStruct\.mat: A\.png is the same file as a\.png"):
        read_numbers(tmp_path, "svhn")


def test_one_picture_twice_in_format_1_is_named(tmp_path: Path) -> None:
    digit = (1, 0.0, 0.0, 9.0, 9.0)
    write_digit_struct(tmp_path / "digitStruct.mat", {"a.png": [digit], "./a.png": [digit]})
    save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"digitStruct\.mat: picture a\.png occurs twice"):
        read_numbers(tmp_path)


@pytest.mark.parametrize("format", list(FORMATS))
def test_a_folder_that_is_not_of_the_format_is_named(format: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: no such folder"):
        read_numbers(tmp_path / "absent", format)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: is a file, a folder is needed"):
        read_numbers(tmp_path / "file", format)
    with pytest.raises(InputError, match=rf"holds no .*, so it is not of the format {format!r}"):
        read_numbers(tmp_path, format)


def test_the_format_of_a_folder_that_is_called_another_is_named(tmp_path: Path) -> None:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text("<annotation/>")
    with pytest.raises(InputError, match=r"it has those of .voc.: --data\.format voc"):
        read_numbers(tmp_path, "folder")


def test_a_folder_is_not_passed_over_where_plates_are_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format 'fronts' draws its pictures and reads no folder"):
        read_numbers(tmp_path, "fronts")


def test_other_photographs_of_the_same_names_are_other_meters(tmp_path: Path) -> None:
    for digit in range(10):
        for photograph in range(25):
            save(tmp_path / str(digit) / f"{photograph}.png", PICTURES[..., 0])
    before = read_numbers(tmp_path, numbers=5)
    assert read_numbers(tmp_path, numbers=5).identity == before.identity
    save(tmp_path / "3" / "0.png", PICTURES[..., 0] + 9)
    os.utime(tmp_path / "3" / "0.png", (1, 1))
    assert read_numbers(tmp_path, numbers=5).identity != before.identity
