"""The table of captions keeps what it holds through its file; splits go by name; readers go by format."""

from pathlib import Path

import pytest

from data_prep.captions import read_captions
from data_prep.captions.records import CaptionRecord, CaptionTable, read_table, write_table
from modules.errors import InputError


def test_table_survives_its_file(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("ü.jpg", "b.jpg"):
        (images / name).write_bytes(b"")
    records = [
        CaptionRecord("ü.jpg", images / "ü.jpg", ("eins", 'zwei "drei"'), "train"),
        CaptionRecord("b.jpg", images / "b.jpg", ("vier",), "test"),
    ]
    table = CaptionTable(images, records)
    write_table(table, tmp_path / "captions.jsonl")
    assert read_table(tmp_path / "captions.jsonl", images) == table
    assert read_captions(tmp_path) == table
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.jsonl", "images"]
    assert table.split("val") == []
    with pytest.raises(InputError, match="split 'dev'"):
        table.split("dev")

    line = '{"image": "b.jpg", "captions": ["x"], "split": "train"}\n'
    (tmp_path / "captions.jsonl").write_text(line * 2)
    with pytest.raises(InputError, match=r"jsonl:2: image b.jpg was already in"):
        read_table(tmp_path / "captions.jsonl", images)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text("old")
    record = CaptionRecord("a.jpg", tmp_path / "a.jpg", ("\ud800",), "train")
    with pytest.raises(UnicodeEncodeError):
        write_table(CaptionTable(tmp_path, [record]), path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="cannot be written"):
        write_table(CaptionTable(tmp_path, []), path / "below.jsonl")


def test_wrong_folders_and_formats(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/readme.txt").write_text("nothing")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("absent", "no such folder"),
        ("empty", "is empty"),
        ("notes/readme.txt", "is a file"),
        ("notes", r"no captions in a known format; looked for .*captions.csv"),
    ):
        with pytest.raises(InputError, match=message):
            read_captions(tmp_path / name)
    for name in ("flickr8k", "coco", "karpathy", "folder"):
        with pytest.raises(InputError, match=r"notes: no"):
            read_captions(tmp_path / "notes", name)
    with pytest.raises(InputError, match=r"format 'flicker8k': did you mean 'flickr8k'"):
        read_captions(tmp_path / "notes", "flicker8k")
