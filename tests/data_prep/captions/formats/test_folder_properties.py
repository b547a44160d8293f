"""Whatever bytes a caption file holds, it is read, or one line says what is wrong with it."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.captions.formats.folder import read_captions_file, read_rows
from modules.errors import InputError

CELLS = ["image", "caption", "split", "captions", "a.jpg", "/a", "../b", "C:\\x", "", " ", "a dog", "train",
         "no", '"', '"a\nb"', "\0", "\ufeff", "é", "1"]  # fmt: skip
values = st.recursive(
    st.one_of(st.sampled_from(CELLS), st.none(), st.booleans(), st.integers(), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(CELLS), inner)),
    max_leaves=6,
)
separators = st.sampled_from([",", ";", "\n", "\r\n", "\r", "\t"])
loose = st.lists(st.one_of(st.sampled_from(CELLS), separators), max_size=30).map("".join)
tables = st.lists(st.lists(st.sampled_from(CELLS), min_size=2, max_size=3).map(",".join), max_size=5).map(
    lambda rows: "\n".join(["image,caption,split", *rows])
)
objects = st.lists(st.dictionaries(st.sampled_from(CELLS), values, max_size=4).map(json.dumps), max_size=4)


def read(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        rows = read_rows(path)
    except InputError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
        return
    assert rows and all(row.image and row.captions and all(row.captions) for row in rows)


@pytest.mark.parametrize("name", ["captions.csv", "captions.jsonl"])
@given(content=st.one_of(st.binary(), loose.map(str.encode), tables.map(str.encode)))
def test_any_bytes_are_read_or_refused(tmp_path: Path, name: str, content: bytes) -> None:
    read(tmp_path / name, content)


@given(rows=objects)
def test_any_objects_are_read_or_refused(tmp_path: Path, rows: list[str]) -> None:
    read(tmp_path / "captions.jsonl", "\n".join(rows).encode())


captions = st.text().filter(lambda text: text.split())


@given(texts=st.lists(captions, min_size=1, max_size=5))
def test_captions_come_back_from_csv_and_jsonl(tmp_path: Path, texts: list[str]) -> None:
    expected = {"a.jpg": [" ".join(text.split()) for text in texts]}
    table = io.StringIO()
    csv.writer(table).writerows([("image", "caption"), *(("a.jpg", text) for text in texts)])
    (tmp_path / "captions.csv").write_bytes(table.getvalue().encode())
    rows = (json.dumps({"image": "a.jpg", "caption": text}, ensure_ascii=False) + "\n" for text in texts)
    (tmp_path / "captions.jsonl").write_bytes("".join(rows).encode())
    assert read_captions_file(tmp_path / "captions.csv") == expected
    assert read_captions_file(tmp_path / "captions.jsonl") == expected
