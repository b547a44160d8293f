"""What the door to captions prints of a data set, and how it fails."""

import importlib
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from data_prep.captions import FORMATS
from data_prep.captions.__main__ import main


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    lines = "a.jpg#0\tA dog runs .\na.jpg#1\tBrown dog\nb.jpg#0\tA cat\n"
    for name, text in (("token", lines), ("_8k.trainImages", "a.jpg"), ("_8k.devImages", "b.jpg")):
        (tmp_path / f"Flickr{'8k.' if name == 'token' else ''}{name}.txt").write_text(text)
    (tmp_path / "Flicker8k_Dataset").mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (2, 2)).save(tmp_path / "Flicker8k_Dataset" / name)
    return tmp_path


@pytest.mark.parametrize("options", [[], ["--format", "flickr8k"]])
def test_it_prints_what_the_reader_made(
    flickr: Path, capsys: pytest.CaptureFixture, options: list[str]
) -> None:
    output = flickr / "out/captions.jsonl"
    assert main([str(flickr), "--output", str(output), *options]) == 0
    printed = capsys.readouterr().out
    train = next(line.split() for line in printed.splitlines() if line.strip().startswith("train"))
    # images, captions, words, vocabulary of "a dog runs", "brown dog"
    assert train[1:5] == ["1", "2", "5", "4"]
    val = next(line for line in printed.splitlines() if line.strip().startswith("val"))
    assert "50.00 %" in val  # of "a cat" the training captions know "a"
    assert len(output.read_text().splitlines()) == 2


def test_pictures_in_two_splits_and_captions_that_are_not_segmented_are_told(
    flickr: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main([str(flickr)]) == 0
    copies = "1 picture(s) stand in two splits or more, as a.jpg (train) is b.jpg (val)"
    assert capsys.readouterr().err == f"warning: {flickr}: {copies}\n"
    Image.new("RGB", (3, 3)).save(flickr / "Flicker8k_Dataset" / "b.jpg")
    thai = "a.jpg#0\tสุนัขวิ่งบนหญ้า\na.jpg#1\tสุนัขสีน้ำตาลตัวหนึ่ง\nb.jpg#0\tแมวนอนอยู่บนเตียง\n"
    (flickr / "Flickr8k.token.txt").write_text(thai, encoding="utf-8")
    assert main([str(flickr)]) == 0
    error = capsys.readouterr().err
    assert f"warning: {flickr}: Thai captions without blanks" in error and "segment them first" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "arguments are required: dir"),
        (["absent"], "absent: no such folder"),
        (["absent", "--format", "scenes"], "absent: no such folder"),
        ([".", "--format", "flicker8k"], "did you mean 'flickr8k'"),
        ([".", "--form", "coco"], "unrecognized arguments: --form"),
        (["draw", "set", "--images", "many"], "images"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("domain", ["captions", "driving"])
def test_no_table_replaces_what_is_read(domain: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table = tmp_path / {"captions": "captions.csv", "driving": "drive.csv"}[domain]
    table.write_text("mine")
    door = importlib.import_module(f"data_prep.{domain}.__main__")
    assert door.main([str(tmp_path), "--output", str(table)]) == 2
    assert "choose another --output" in capsys.readouterr().err and table.read_text() == "mine"


@pytest.mark.parametrize("domain", ["captions", "driving", "text"])
def test_every_door_opens_as_a_module(domain: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", [domain, str(tmp_path / "absent")])
    monkeypatch.delitem(sys.modules, f"data_prep.{domain}.__main__", raising=False)
    with pytest.raises(SystemExit) as caught:
        runpy.run_module(f"data_prep.{domain}", run_name="__main__")
    assert caught.value.code == 2


def test_help_names_every_format(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in FORMATS) and "draw DIR" in printed
