"""Encoded texts: the very text, encoded once, in little memory, and never half of it."""

import multiprocessing
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_prep.text import encoded, files
from data_prep.text.encoded import Units, encode_text
from data_prep.text.files import find_text
from modules.errors import InputError
from modules.metrics.language import Spelling
from modules.text_codec import StreamEncoder, TextCodec
from modules.vocabulary import Vocabulary

LEVELS = ["character", "word", "byte"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(12):
        path = tmp_path / f"text/{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"  This is number {number}: 名可 and \U0001f600.\nIt isn't (quite) x{number}y.\n" * 3
        )
    return tmp_path / "text"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "text"


@pytest.mark.parametrize("level", LEVELS)
def test_documents_come_back_from_their_numbers(folder, cache, level):
    text = encode_text(find_text(folder), Units(level))
    assert text.folder.parent == cache
    for split, counts in text.splits.items():
        tokens = np.asarray(text.tokens(split))
        documents = [document for document in text.documents if document.split == split]
        assert (len(tokens), len(documents)) == (counts.tokens, counts.documents)
        contents = ["".join(document.pieces(None)) for document in documents]
        assert sum(map(len, contents)) == counts.characters
        own = np.split(tokens, np.flatnonzero(tokens == Vocabulary.BOS))[1:]
        for part, content in zip(own, contents, strict=True):
            assert part[1:].tolist() == text.codec.encode(content)
        assert counts.units == sum(len(text.codec.encode(content)) for content in contents)
    assert text.splits["train"].unknown == 0 and text.splits["train"].unknown_bits == 0
    assert text.beginning("train", 40) == (folder / text.documents[0].name).read_text()[:40]


def test_units_are_of_the_training_split_and_others_are_charged(tmp_path, cache):
    path = tmp_path / "a.txt"
    path.write_text("ab\n" * 300 + "abz犬\n" * 20)
    text = encode_text(find_text(path), Units("character"))
    assert text.codec.vocabulary.words[4:] == ["\n", "a", "b"]
    unknown = sum(text.splits[split].unknown for split in ("val", "test"))
    assert text.splits["train"].unknown == 0 and unknown == 40
    bits = sum(split.unknown_bits for split in text.splits.values())
    assert bits == pytest.approx(40 * Spelling(text.codec).unit_bits("z"))
    assert text.beginning("val", 10**6) + text.beginning("test", 10**6) in path.read_text()


def test_integers_are_as_small_as_can_be(tmp_path, cache):
    path = tmp_path / "a.txt"
    for count, dtype in [(200, np.uint8), (300, np.uint16), (70_000, np.uint32)]:
        path.write_text("".join(map(chr, range(0x20000, 0x20000 + count))) * 2 + "\n")
        text = encode_text(find_text(path), Units("character"))
        assert text.dtype == dtype and text.tokens("train").dtype == dtype


def test_nothing_is_encoded_twice(folder, cache, monkeypatch):
    first = encode_text(find_text(folder), Units("word", 1))
    with monkeypatch.context() as patch:
        # what is complete is only read: the cache may be another's, or a disk that nobody may write to
        patch.setattr(encoded, "in_turn", lambda *_: pytest.fail("was to be written"))
        assert encode_text(find_text(folder), Units("word", 1)).folder == first.folder
        moved = folder.rename(folder.with_name("elsewhere"))
        again = encode_text(find_text(moved), Units("word", 1))
        assert again.folder == first.folder and again.beginning("val", 10) == first_line(moved, again)
        # a checkpoint's units are those of its own text
        own = encode_text(find_text(moved), Units("word", 1, codec=first.codec))
        assert own.folder == first.folder
    others = [
        Units("word", 2),
        Units("word", 1, 20),
        Units("character"),
        Units("word", codec=codec_of("It is")),
    ]
    folders = {encode_text(find_text(moved), units).folder for units in others}
    assert len(folders | {first.folder}) == 5
    (moved / "0.txt").write_text("changed")
    assert encode_text(find_text(moved), Units("word", 1)).folder != first.folder


def first_line(folder: Path, text: encoded.EncodedText) -> str:
    name = next(document.name for document in text.documents if document.split == "val")
    return (folder / name).read_text()[:10]


def codec_of(text: str) -> TextCodec:
    return TextCodec.build("word", [text])


def test_a_checkpoints_units_are_kept(folder, cache):
    codec = codec_of("It is number\n")
    text = encode_text(find_text(folder), Units("character", codec=codec))
    assert text.codec == codec
    assert text.splits["train"].unknown > 0 and text.splits["train"].unknown_bits > 0


# ------------------------------------------------------------------------------- killed, damaged, crowded


def forked(work: Callable[..., object], *arguments: object) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def encode_and_die(folder: Path) -> None:
    push = StreamEncoder.push
    pushed: list[int] = []

    def last_push(self: StreamEncoder, text: str) -> np.ndarray:
        pushed.append(1)
        if len(pushed) > 4:
            os._exit(9)  # as a killed process: nothing is tidied up
        return push(self, text)

    StreamEncoder.push = last_push  # type: ignore[method-assign]
    encode_text(find_text(folder), Units("character"))


def test_a_killed_run_leaves_nothing_that_is_trusted(folder, cache):
    killed = forked(encode_and_die, folder)
    killed.join(60)
    assert killed.exitcode == 9
    parts = list(cache.glob(".*.part*"))
    assert len(parts) == 1 and (parts[0] / "train.tokens").exists()
    text = encode_text(find_text(folder), Units("character"))
    assert text.is_whole() and not list(cache.glob(".*.part*"))


@pytest.mark.parametrize("damage", ["short", "absent", "no meta", "torn meta"])
def test_a_damaged_text_is_encoded_again(folder, cache, damage):
    text = encode_text(find_text(folder), Units("character"))
    wanted = np.array(text.tokens("train"))
    tokens, meta = text.folder / "train.tokens", text.folder / "meta.json"
    if damage == "short":
        os.truncate(tokens, 7)
    elif damage == "torn meta":
        os.truncate(meta, 100)
    else:
        (tokens if damage == "absent" else meta).unlink()
    again = encode_text(find_text(folder), Units("character"))
    assert np.array_equal(again.tokens("train"), wanted)


def test_processes_that_begin_at_once_agree(folder, cache):
    def encode() -> None:
        text = encode_text(find_text(folder), Units("word"))
        os._exit(0 if text.is_whole() else 1)

    processes = [forked(encode) for _ in range(4)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_a_cache_that_cannot_be_written_is_one_line(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .* SEQSIGHT_CACHE"):
        encode_text(find_text(folder), Units("character"), tmp_path / "file" / "cache")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encoded, "_write", full)
    with pytest.raises(InputError, match="No space left on device"):
        encode_text(find_text(folder), Units("character"), tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache" / "text").iterdir() if path.is_dir()]


def test_bytes_that_are_no_text_are_an_error_of_the_file(tmp_path, cache):
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\n" * 1000 + b"b\xe4d\n")
    with pytest.raises(InputError, match=r"a.txt:1001: byte 5,001 is not UTF-8"):
        encode_text(find_text(path), Units("character"))


# -------------------------------------------------------------------------------- larger than the memory


@pytest.mark.parametrize("level", ["character", pytest.param("byte", marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_text(tmp_path, cache, monkeypatch, level):
    monkeypatch.setattr(files, "_CHUNK", 1 << 18)
    path = tmp_path / "a.txt"
    peaks = []
    for megabytes in (4, 24):
        line = "A line of the text, which is a little longer than it has to be; 名可名.\n"
        path.write_text(line * (megabytes * 1_000_000 // len(line)))
        tracemalloc.start()
        text = encode_text(find_text(path), Units(level))
        tokens = text.tokens("train")
        assert tokens[len(tokens) // 2 :: 100_000].max() < len(text.codec.vocabulary)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] and peaks[1] < 35_000_000
