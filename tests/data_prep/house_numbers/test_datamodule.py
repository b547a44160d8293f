"""Batches of house numbers: made once, kept, the same after a kill."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep.house_numbers import records
from data_prep.house_numbers.datamodule import NumberDataModule, Numbers, jittered
from data_prep.house_numbers.pictures import NumberArray
from modules.errors import InputError
from modules.house_numbers.batch import STOP, decode
from modules.house_numbers.preprocessing import NumberPictures
from modules.images import UnreadableImage

SIZE = NumberPictures(32)


@pytest.fixture
def data(tmp_path: Path) -> NumberDataModule:
    return NumberDataModule(numbers=20, cache=tmp_path / "cache")


def test_batches_hold_pictures_and_digits(data: NumberDataModule) -> None:
    array = data.prepare("train", SIZE)
    batch = Numbers(array)[[3, 1]]
    assert batch.images.shape == (2, 3, 32, 32) and batch.names == ["train-00003", "train-00001"]
    assert decode(batch.digits) == [array.records[3].number, array.records[1].number]
    assert set(batch.digits[0, len(array.records[3].number) :].tolist()) <= {STOP}
    drawn = array.table.picture(array.records[3], SIZE)
    assert np.array_equal(batch.images[0].permute(1, 2, 0).numpy(), drawn)


def test_a_killed_drawing_goes_on_and_a_finished_one_is_not_repeated(data: NumberDataModule) -> None:
    array = data.prepare("train", SIZE)
    whole = array[range(len(array))]
    index = array.store.index
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:7]) + b'{"image": "cut')
    drawn: list[str] = []
    table = data.table
    assert table is not None
    plain = table.picture
    table.picture = lambda record, size: drawn.append(record.image) or plain(record, size)  # type: ignore[func-returns-value]
    again = NumberArray(table, data.splits["train"], SIZE, data.cache)
    assert again.fill("train") == [] and len(drawn) == 13
    assert np.array_equal(again[range(20)], whole)
    NumberArray(table, data.splits["train"], SIZE, data.cache).fill("train")
    assert len(drawn) == 13


def test_jitter_depends_on_the_batch_alone(data: NumberDataModule) -> None:
    array = data.prepare("train", SIZE)
    training = Numbers(array, 0.1)
    assert training[[0, 1]].images.equal(training[[0, 1]].images)
    assert not training[[0, 1]].images.equal(Numbers(array)[[0, 1]].images)
    flat = np.full((1, 32, 32, 3), 100, np.uint8)
    assert len(np.unique(jittered(flat, 0.2, np.random.default_rng(0)))) == 1


def test_unreadable_pictures_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        "image,number,split",
        "good.png,1,train",
        "bad.png,2,train",
        "dot.png,3,train",
        "bad.png.val,1,val",
    ]
    (tmp_path / "numbers.csv").write_text("\n".join(rows))
    for name, side in (("good.png", 40), ("dot.png", 1)):
        cv2.imwrite(str(tmp_path / name), np.zeros((side, side, 3), np.uint8))
    for name in ("bad.png", "bad.png.val"):
        (tmp_path / name).write_text("no picture")
    data = NumberDataModule(tmp_path, cache=tmp_path / "cache")
    assert [record.image for record in data.prepare("train", SIZE).records] == ["good.png", "dot.png"]
    assert "warning: train: 1 unreadable picture(s) left out, the first bad.png" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"the val split can be read \(bad.png.val: is no image"):
        data.prepare("val", SIZE)


@pytest.mark.parametrize("option", ["numbers", "batch_size", "min_steps", "eval_batch_size"])
def test_options_out_of_range_are_named(option: str) -> None:
    with pytest.raises(InputError, match=f"data.{option} is 0; it has to be at least 1"):
        NumberDataModule(**{option: 0})
    with pytest.raises(InputError, match=r"data\.jitter is 0\.5"):
        NumberDataModule(jitter=0.5)
    with pytest.raises(InputError, match=r"data\.seed is -1; it has to be at least 0"):
        NumberDataModule(seed=-1)


def test_drawn_plates_are_said_to_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    NumberDataModule(numbers=30).read()
    assert "data: drawn plates; --data.root DIR" in capsys.readouterr().out
    for name in "abc":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((9, 9, 3), np.uint8))
    (tmp_path / "numbers.csv").write_text("image,number\na.png,1\nb.png,2\nc.png,3\n")
    NumberDataModule(root=tmp_path).read()
    assert "data: drawn" not in capsys.readouterr().out


def test_what_becomes_readable_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As once a package for HEIC is there, or permission: the file itself has not changed."""
    lines = ["image,number,split"]
    for number in range(6):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((20, 30, 3), 40 * number, np.uint8))
        lines.append(f"{number}.png,{number},{'val' if number > 3 else 'train'}")
    (tmp_path / "numbers.csv").write_text("\n".join(lines))
    plain = records.read_as_shown

    def refused(path: Path, minimum_size: int | None = None) -> tuple[np.ndarray, str]:
        if Path(path).name == "1.png":
            raise UnreadableImage(str(path), "needs one more package")
        return plain(path, minimum_size)

    def prepared() -> NumberArray:
        return NumberDataModule(tmp_path, cache=tmp_path / "cache").prepare("train", SIZE)

    monkeypatch.setattr(records, "read_as_shown", refused)
    assert [record.number for record in prepared().records] == ["0", "2", "3"]
    monkeypatch.undo()
    array = prepared()
    assert [record.number for record in array.records] == ["0", "1", "2", "3"]
    assert array[range(4)][:, 16, 16, 0].tolist() == [0, 40, 80, 120]
