"""Images and captions as people name and write them."""

from pathlib import Path

import pytest

from data_prep.captions import read_captions
from data_prep.captions.formats import flickr8k
from modules.errors import InputError
from tests.data_prep.captions.formats.test_formats import contents, draw, put


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_of_spreadsheets(delimiter: str, tmp_path: Path) -> None:
    rows = [
        ["Image", "caption", "split"],
        ["a.jpg", '"A dog, running; again"', "train"],
        ["b.jpg", "A cat", "val"],
    ]
    put(tmp_path, "captions.csv", "\r\n".join(delimiter.join(row) for row in rows))
    draw(tmp_path, "a.jpg", "b.jpg")
    found = [("a.jpg", ("A dog, running; again",), "train"), ("b.jpg", ("A cat",), "val")]
    assert contents(read_captions(tmp_path)) == found
    assert flickr8k.read_tokens(tmp_path / "captions.csv") == {name: list(texts) for name, texts, _ in found}


def test_names_may_differ_in_case_and_in_composed_accents(tmp_path: Path) -> None:
    names = ["Dogs/Größe.JPG", "cafe\u0301.png", "same.jpg"]
    written = ["dogs/größe.jpg", "caf\u00e9.png", "same.jpg"]
    rows = [f"{name},a dog,{split}" for name, split in zip(written, ("train", "val", "test"), strict=True)]
    put(tmp_path, "captions.csv", "\n".join(["image,caption,split", *rows]))
    draw(tmp_path, *(f"images/{name}" for name in names))
    table = read_captions(tmp_path)
    assert [record.image for record in table.records] == written
    assert [record.path for record in table.records] == [tmp_path / "images" / name for name in names]
    # two files that fit are not chosen between
    draw(tmp_path, "images/DOGS/größe.Jpg")
    with pytest.raises(InputError, match=r"csv:2: image dogs/größe.jpg is not in .*images"):
        read_captions(tmp_path)
