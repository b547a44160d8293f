"""Every format gives the same table; hostile files are one line that names them."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from data_prep.house_numbers import read_numbers
from data_prep.house_numbers.records import NumberTable
from modules.errors import InputError
from modules.house_numbers.preprocessing import NumberPictures

PICTURE = np.arange(40 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 80, 3)


def save(path: Path, picture: np.ndarray = PICTURE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1])


def contents(table: NumberTable) -> list[tuple[str, str, str]]:
    return [(record.image, record.number, record.split) for record in table.records]


def test_a_folder_with_a_table(tmp_path: Path) -> None:
    (tmp_path / "numbers.csv").write_text("Image;number;split\na.png; 042 ;train\nb/c.png;7;dev\n")
    save(tmp_path / "a.png")
    save(tmp_path / "b" / "c.png")
    table = read_numbers(tmp_path)
    assert contents(table) == [("a.png", "042", "train"), ("b/c.png", "7", "val")]
    assert table.picture(table.records[0], NumberPictures(32)).shape == (32, 32, 3)


@pytest.mark.parametrize("number", ["12a", "", "-3", "1.5", "²", "123456"])
def test_a_number_that_is_none_is_named(number: str, tmp_path: Path) -> None:
    (tmp_path / "numbers.csv").write_text(f"image,number\nb.png,1\na.png,{number}\n")
    with pytest.raises(InputError, match=r"numbers\.csv:3: the number .*(digits)"):
        read_numbers(tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("image,number\n", "numbers.csv: holds no numbers"),
        ("image,label\na.png,1\n", "numbers.csv:1: needs one column 'number'"),
        ("image,number\nb.png,1\n", "numbers.csv: holds one labelled image; training and validation need"),
        ("image,number\na.png,1\na.png,2\n", "numbers.csv:3: image a.png was already in"),
        ("image,number\nabsent.png,1\nb.png,2\n", "numbers.csv:2: image absent.png is not in"),
        ("image,number\n../a.png,1\n", "leaves the images folder"),
    ],
)
def test_a_table_that_is_wrong_is_named(table: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "numbers.csv").write_text(table)
    save(tmp_path / "b.png")
    with pytest.raises(InputError, match=message):
        read_numbers(tmp_path)


def write_digit_struct(path: Path, rows: dict[str, list[tuple[int, float, float, float, float]]]) -> None:
    """Writes SVHN's table: label, left, top, width and height of each digit of a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        parts = file.create_group("#refs#")
        reference = h5py.special_dtype(ref=h5py.Reference)
        names = file.create_dataset("digitStruct/name", (len(rows), 1), reference)
        boxes = file.create_dataset("digitStruct/bbox", (len(rows), 1), reference)
        for row, (name, digits) in enumerate(rows.items()):
            letters = np.array([[ord(letter)] for letter in name], np.uint16)
            names[row, 0] = parts.create_dataset(f"name{row}", data=letters).ref
            box = parts.create_group(f"box{row}")
            for column, title in enumerate(("label", "left", "top", "width", "height")):
                values = [float(digit[column]) for digit in digits]
                if len(values) == 1:
                    box.create_dataset(title, data=[values])
                    continue
                made = [
                    parts.create_dataset(f"{title}{row}{i}", data=[[v]]).ref for i, v in enumerate(values)
                ]
                box.create_dataset(title, (len(values), 1), reference)[:, 0] = made
            boxes[row, 0] = box.ref


def test_svhn_in_format_1_is_cut_out_about_its_digits(tmp_path: Path) -> None:
    digits = [(10, 30.0, 5.0, 10.0, 20.0), (4, 20.0, 5.0, 10.0, 20.0)]  # not in reading order
    write_digit_struct(tmp_path / "train" / "digitStruct.mat", {"1.png": digits})
    write_digit_struct(tmp_path / "test" / "digitStruct.mat", {"1.png": [(1, 0.0, 0.0, 80.0, 40.0)]})
    for name in ("train", "test"):
        save(tmp_path / name / "1.png")
    table = read_numbers(tmp_path)
    assert contents(table) == [("train/1.png", "40", "train"), ("test/1.png", "1", "test")]
    assert table.records[0].box == (20.0, 5.0, 40.0, 25.0)
    seen = table.picture(table.records[0], NumberPictures(32, "squash"))
    assert np.array_equal(seen, NumberPictures(32, "squash")(PICTURE[2:28, 17:43]))


def test_svhn_in_format_2_calls_ten_nought(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (32, 32, 3, 2), np.uint8)
    savemat(tmp_path / "train_32x32.mat", {"X": pictures, "y": np.array([[10], [3]])})
    table = read_numbers(tmp_path)
    assert contents(table) == [("train/000000", "0", "train"), ("train/000001", "3", "train")]
    assert np.array_equal(table.picture(table.records[1], NumberPictures(32)), pictures[..., 1])


@pytest.mark.parametrize("name", ["train/digitStruct.mat", "train_32x32.mat"])
@pytest.mark.parametrize("content", [b"", b"no table at all", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_mat_that_is_none_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: is no .* that can be read"):
        read_numbers(tmp_path)


def test_a_mat_of_something_else_is_named(tmp_path: Path) -> None:
    savemat(tmp_path / "train_32x32.mat", {"X": np.zeros((4, 4)), "y": np.zeros((4, 1))})
    with pytest.raises(InputError, match=r"train_32x32.mat: X is float64 \(4, 4\)"):
        read_numbers(tmp_path)


BOX = "<bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>20</xmax><ymax>9</ymax></bndbox>"
OBJECT = f"<object><name>{{}}</name>{BOX}</object>"


def test_boxes_of_voc_are_read_from_left_to_right(tmp_path: Path) -> None:
    (tmp_path / "Annotations").mkdir()
    for name in ("a", "b"):
        objects = OBJECT.format(7, 12) + OBJECT.format(2, 3)
        text = f"<annotation><filename>{name}.png</filename>{objects}</annotation>"
        (tmp_path / "Annotations" / f"{name}.xml").write_text(text)
        save(tmp_path / "JPEGImages" / f"{name}.png")
    assert {(image, number) for image, number, _ in contents(read_numbers(tmp_path))} == {
        ("a.png", "27"),
        ("b.png", "27"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [("<annotation>", "is no XML"), ('<?xml version="1.0" encoding="foo"?><a/>', "is no XML"),
     ("<a><filename>a.png</filename></a>", "no digit")]
    + [(f"<a><filename>a.png</filename>{OBJECT.format(*wrong)}</a>", m) for wrong, m in
       ((("x", 1), "called 'x'"), ((1, "left"), "no bndbox"),
        ((1, "nan"), "no bndbox of four numbers"), ((1, "-1e999"), "no bndbox of four numbers"))],
)  # fmt: skip
def test_boxes_that_are_wrong_are_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(text)
    with pytest.raises(InputError, match=rf"a\.xml: .*{message}"):
        read_numbers(tmp_path)


def test_meters_take_each_split_from_photographs_of_its_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for digit in range(10):
        for half in (0, 5):
            for photograph in range(25):
                picture = rng.integers(0, 255, (8, 5, 3)).astype(np.uint8)
                save(tmp_path / f"{digit}.{half}" / f"{photograph}-{half}.png", picture)
    table = read_numbers(tmp_path, "auto", 40)
    used: dict[str, set[str]] = {}
    for record in table.records:
        paths, _ = record.source
        used.setdefault(record.split, set()).update(paths)
        assert record.number == "".join(path[0] for path in paths)  # the lower digit of a half-turned one
    assert not used["train"] & used["val"] and not used["train"] & used["test"]
    assert any(".5/" in path for path in used["train"])
    first = table.records[0]
    assert np.array_equal(*(table.picture(first, NumberPictures(32)) for _ in range(2)))


def test_what_cannot_be_read_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_numbers(tmp_path / "absent")
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(InputError, match=r"looked for numbers.csv \(folder\)"):
        read_numbers(tmp_path)
    with pytest.raises(InputError, match="did you mean 'svhn'"):
        read_numbers(tmp_path, "shvn")
    with pytest.raises(InputError, match=r"--data\.root"):
        read_numbers(None, "svhn")
