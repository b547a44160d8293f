"""Texts of several authors: splits that share nothing, streams that are alike, folders that are wrong."""

import re

import numpy as np
import pytest
import torch

from data_prep.text.authors import AuthorDataModule, AuthorStreams, fingerprint, read_author
from modules.errors import InputError
from modules.vocabulary import Vocabulary
from tests.data_prep.text.markov_authors import markov_text, write_authors


def test_one_file_is_cut_and_of_several_whole_ones_are_held_out(tmp_path):
    root = write_authors(tmp_path)
    ann, bob = (read_author(root / name) for name in ("ann", "bob"))
    texts = [ann.texts[split][0] for split in ("train", "val", "test")]
    assert "".join(texts) == markov_text(0, 4000)
    assert [round(len(text), -2) for text in texts] == [3200, 400, 400]
    assert texts[0].endswith("\n") and texts[1].endswith("\n")
    files = {markov_text(1, 1000, number) for number in range(4)}
    assert [len(bob.texts[split]) for split in ("train", "val", "test")] == [2, 1, 1]
    assert {text for texts in bob.texts.values() for text in texts} == files


def test_passages_do_not_overlap_and_are_evenly_spaced_where_there_are_many(tmp_path, monkeypatch):
    author = read_author(write_authors(tmp_path) / "ann")
    whole = author.passages("train", 100)
    assert "".join(whole) == author.texts["train"][0][: sum(map(len, whole))] and len(whole) >= 31
    monkeypatch.setattr("data_prep.text.authors.MOST_PASSAGES", 3)
    assert author.passages("train", 100) == [whole[0], whole[round((len(whole) - 1) / 2)], whole[-1]]


def test_every_author_has_as_many_streams_and_begins_again_where_the_text_ends():
    texts = [np.concatenate([[Vocabulary.BOS], np.full(size, 4 + n)]) for n, size in enumerate((500, 60))]
    streams = AuthorStreams(texts, 2, 10, seed=1)
    batches = list(streams)
    assert len(batches) == len(streams) == 562 // 4 // 10
    for number, batch in enumerate(batches):
        assert batch.authors.tolist() == [0, 0, 1, 1]
        assert batch.resets.tolist() == [number == 0] * 4
        own = 4 + batch.authors.unsqueeze(1)
        assert ((batch.targets == own) | (batch.targets == Vocabulary.PAD)).all()
    again = AuthorStreams(texts, 2, 10, seed=1, place=lambda: (0, 5))
    assert torch.equal(next(iter(again)).tokens, batches[5].tokens)
    parts = [list(AuthorStreams(texts, 2, 10, seed=1, rank=rank, world_size=2)) for rank in (0, 1)]
    assert torch.equal(parts[1][3].tokens, batches[3].tokens[[1, 3]])
    assert parts[1][3].authors.tolist() == [0, 1]


def test_another_text_has_another_fingerprint(tmp_path):
    root = write_authors(tmp_path)
    before = fingerprint(root)
    assert before == fingerprint(root)
    (root / "bob" / "3.txt").write_text("other")
    assert fingerprint(root) != before


def test_passages_stand_after_a_line_break_and_know_their_author(tmp_path):
    data = AuthorDataModule(write_authors(tmp_path), passage=100)
    encoded, codec = data.passages("test"), data.training_codec()
    assert sorted(set(encoded.labels)) == [0, 1] and data.names == ["ann", "bob"]
    assert {ids[0] for ids in encoded.texts} == {codec.encode("\n")[0]}
    assert codec.decode(encoded.texts[0][1:]) == data.authors[0].passages("test", 100)[0]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({}, "has no folder; two authors are needed"),
        ({"ann/a.txt": b"abc " * 999}, "has one folder alone (ann); two authors are needed"),
        ({"ann/a.txt": b"abc " * 999, "bob/b.txt": b""}, "bob: no text file in this folder"),
        (
            {"ann/a.txt": b"abc " * 999, "bob/b.bin": b"\0\1" * 99},
            "bob: no text file in this folder (1 oth",
        ),
        (
            {"ann/a.txt": b"abc " * 999, "bob/b.txt": b"abc"},
            "bob: its train part has 2 characters; give more",
        ),
        ({"ann/a.txt": b"abc " * 999, "bob/b.txt": b"a\nb\xff" * 99}, "b.txt:2: byte 3 is not UTF-8"),
    ],
)
def test_folders_that_are_wrong_are_named(tmp_path, texts, said):
    for name, content in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=re.escape(said)):
        AuthorDataModule(tmp_path, passage=100).read()
    with pytest.raises(InputError, match="no such folder"):
        AuthorDataModule(tmp_path / "absent").read()
    with pytest.raises(InputError, match=r"needs --data\.root DIR"):
        AuthorDataModule().read()
