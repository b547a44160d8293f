# ruff: noqa: RUF001
"""Any text file is read as it was meant, and what is none is one line with file, place and remedy."""

import os
from pathlib import Path

import pytest

from data_prep.text import files
from data_prep.text.files import find_text, read_pieces
from data_prep.text.splits import assign_by_hash, split_documents
from data_prep.text.standard_library import BUDGET, find_standard_library
from modules.errors import InputError

TEXT = "Der Käfer läuft.\n\n名可名，非常名。 𝔘𝔫𝔦 \U0001f600\n\ttab\x0c\n"


def put(root: Path, name: str, text: str | bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(path: Path, encoding: str | None = None) -> str:
    return "".join(read_pieces(path, encoding))


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"]


@pytest.mark.parametrize("chunk", [1, 3, 7, 1 << 20])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_text_is_the_same_in_any_encoding_and_cut_anywhere(tmp_path, monkeypatch, encoding, chunk):
    monkeypatch.setattr(files, "_CHUNK", chunk)
    path = put(tmp_path, "a.txt", TEXT.replace("\n", "\r\n").encode(encoding))
    found = find_text(path, encoding="gb18030" if encoding == "gb18030" else None)
    pieces = list(read_pieces(path, found.encoding))
    assert "".join(pieces) == TEXT
    assert all(piece[-1].isspace() for piece in pieces)


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
def test_a_mark_is_left_away_whatever_encoding_is_named(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(files, "_CHUNK", chunk)
    path = put(tmp_path, "a.txt", "\ufeffa\ufeffb\n".encode("utf-16-le"))
    assert read(path, "utf-16-le") == "a\ufeffb\n"


def test_line_ends_of_every_kind_are_one(tmp_path, monkeypatch):
    path = put(tmp_path, "a.txt", "a\r\nb\rc\n\r\n\n\rd")
    for chunk in (1, 2, 100):
        monkeypatch.setattr(files, "_CHUNK", chunk)
        assert read(path) == "a\nb\nc\n\n\n\nd"


def test_a_text_without_blanks_is_cut_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CHUNK", 30_000)
    path = put(tmp_path, "dna.txt", "ACGT" * 20_000)
    pieces = list(read_pieces(path))
    assert "".join(pieces) == "ACGT" * 20_000 and max(map(len, pieces)) <= 30_000


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (b"ab\ncaf\xe9 au lait\n", None, r"a.txt:2: byte 6 is not UTF-8; .* --data.encoding cp1252 "),
        (b"\x93quoted\x94\n", None, r"a.txt:1: byte 0 is not UTF-8; .* --data.encoding cp1252 "),
        ("é\n".encode() * 5 + b"\xed\xa0\x80", None, r"a.txt:6: byte 15 is not UTF-8"),
        (b"abc\n\xe7\x8a", None, r"a.txt:2: byte 4 is not UTF-8"),  # cut off within a character
        ("a\nb".encode("utf-16") + b"\x00", None, r"a.txt:2: byte 8 is not UTF-16"),
        (b"abc\n\x81x", "cp1252", r"a.txt:2: byte 4 is not CP1252, which data.encoding names"),
        (b"abc\n" * 20_000 + b"x\0y", None, r"a.txt:20001: holds a NUL character"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_wrong_bytes_are_named_by_line_and_place(tmp_path, monkeypatch, content, encoding, message, chunk):
    if chunk == 1 and len(content) > 100:
        pytest.skip("the same with longer chunks")
    monkeypatch.setattr(files, "_CHUNK", chunk)
    path = put(tmp_path, "a.txt", content)
    assert find_text(path, encoding=encoding).files
    with pytest.raises(InputError, match=message) as caught:
        read(path, encoding)
    assert "\n" not in str(caught.value)


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.txt: is empty"),
        (PNG, r"a.txt: is no text \(binary\)"),
        (bytes(range(1, 256)) * 20, r"a.txt: is no text \(binary\)"),
        ("no mark".encode("utf-16-le"), r"a.txt: is no text \(binary\).*--data.encoding"),
        (None, "a.txt: no such file or folder"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, message):
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        find_text(path)


def test_a_named_encoding_is_believed_and_a_wrong_name_is_not(tmp_path):
    path = put(tmp_path, "a.txt", "no mark".encode("utf-16-le"))
    assert read(find_text(path, encoding="utf-16-le").files[0].path, "utf-16-le") == "no mark"
    for name in ("latin9x", "base64", "utf 8 8"):
        with pytest.raises(InputError, match=rf"data.encoding is '{name}'; the nearest is "):
            find_text(path, encoding=name)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: is no regular file"):
        find_text(tmp_path / "pipe")


def test_a_folder_is_all_its_text_files(tmp_path):
    for name in ("b.txt", "a/z.md", "a/b/c.txt", ".hidden.txt", ".git/config"):
        put(tmp_path, name, "text\n")
    put(tmp_path, "empty.txt", "")
    put(tmp_path, "photo.txt", PNG)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken.txt").symlink_to(tmp_path / "absent")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    found = find_text(tmp_path)
    assert [file.name for file in found.files] == ["a/b/c.txt", "a/z.md", "b.txt"]
    assert found.left_out == ["photo.txt"] and found.size == 15
    assert [file.name for file in find_text(tmp_path, "*.md").files] == ["a/z.md"]
    with pytest.raises(InputError, match=r"no file named \*.tex that holds text"):
        find_text(tmp_path, "*.tex")
    with pytest.raises(InputError, match=r"no file named ph\* .*1 others, the first photo.txt"):
        find_text(tmp_path, "ph*")


# ------------------------------------------------------------------------------------------------- splits


def test_linked_folders_are_read_and_each_text_once(tmp_path):
    for name in ("here/books/a.txt", "elsewhere/b.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "here/beside").symlink_to(tmp_path / "elsewhere")
    # under a second name a text would be trained on and held out
    (tmp_path / "here/again").symlink_to(tmp_path / "here/books")
    (tmp_path / "here/a.txt").symlink_to(tmp_path / "here/books/a.txt")
    (tmp_path / "here/books/same.txt").hardlink_to(tmp_path / "here/books/a.txt")
    assert [file.name for file in find_text(tmp_path / "here").files] == ["beside/b.txt", "books/a.txt"]


@pytest.mark.parametrize("length", [40, 1000, 50_000])
@pytest.mark.parametrize("text", ["word " * 12 + "\n", "x", "名可名\n"])
def test_a_single_file_is_cut_in_three_that_make_the_whole(tmp_path, monkeypatch, text, length):
    monkeypatch.setattr(files, "_CHUNK", 4096)
    whole = (text * length)[:length]
    found = find_text(put(tmp_path, "a.txt", whole))
    documents, how = split_documents(found)
    parts = {document.split: "".join(document.pieces(None)) for document in documents}
    assert list(parts) == ["train", "val", "test"] and "last 10 %" in how
    assert "".join(parts.values()) == whole
    assert [len(part) / length for part in parts.values()] == pytest.approx([0.9, 0.05, 0.05], abs=0.03)
    if "\n" in text and length > 1000:
        assert parts["train"].endswith("\n") and parts["val"].endswith("\n")


def test_files_are_split_whole_and_stay_where_they_are(tmp_path):
    names = [f"{i}.txt" for i in range(400)]
    splits = assign_by_hash(names)
    counts = [list(splits.values()).count(split) for split in ("train", "val", "test")]
    assert counts == pytest.approx([360, 20, 20], abs=12)
    more = assign_by_hash([*names, *(f"more{i}.txt" for i in range(100))])
    assert {name: more[name] for name in names} == splits
    for few in (["a", "b"], ["a", "b", "c"]):
        assert {"train", "val"} <= set(assign_by_hash(few).values())
    for name in names[:30]:
        put(tmp_path, name, name)
    documents, how = split_documents(find_text(tmp_path))
    assert {d.name: "".join(d.pieces(None)) for d in documents} == {name: name for name in names[:30]}
    assert {d.name: d.split for d in documents} == {name: splits[name] for name in names[:30]}
    assert "hash" in how


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"], ["test", "train", "val"]),
        (["train/a.txt", "train/b.txt", "dev/a.txt"], ["val", "train", "train"]),
        (["wiki.train.tokens", "wiki.val.tokens"], ["train", "val"]),
    ],
)
def test_names_that_say_a_split_are_believed(tmp_path, names, wanted):
    for name in names:
        put(tmp_path, name, "x")
    documents, how = split_documents(find_text(tmp_path))
    assert [document.split for document in documents] == wanted and "names say" in how
    put(tmp_path, "more.txt", "x")
    assert "hash" in split_documents(find_text(tmp_path))[1]


# --------------------------------------------------------------------------------------- the text at hand


def test_the_standard_library_is_a_text(tmp_path):
    found = find_standard_library()
    documents, _ = split_documents(found)
    size = {file.name: file.size for file in found.files}
    for split, budget in BUDGET.items():
        chosen = sum(size[document.name] for document in documents if document.split == split)
        assert 0.5 * budget < chosen <= budget
    assert not [name for name in size if "test" in name.split("/")[:-1] or "_sysconfigdata" in name]
    assert find_standard_library() == found


def test_a_library_without_source_is_one_line(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match=r"no file named|name a text by --data.file"):
            find_standard_library(folder)
    put(tmp_path, "os.py", "import sys\n")
    with pytest.raises(InputError, match="too few source files"):
        find_standard_library(tmp_path)
