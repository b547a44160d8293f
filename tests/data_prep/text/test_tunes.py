"""The tunes that are there without data: no melody lies in two splits."""

import random

import pytest

from data_prep.text import tunes
from data_prep.text.abc_notation import melody, simplified, split_tunes
from data_prep.text.near_duplicates import SHARE, near_duplicates, passages
from data_prep.text.tunes import find_tunes, split_by_melody
from modules.errors import InputError


def tune(notes: str) -> str:
    return f"X:1\nM:4/4\nL:1/8\nK:C\n{notes}\n"


def test_near_duplicates_share_a_quarter_of_the_shorter_ones_passages():
    long, other = list(range(40)), [7 * n % 40 for n in range(40)]
    start = long[:12] + [n + 100 for n in range(7)]  # 3 of its 10 passages are those of `long`
    chained = [n + 100 for n in range(2)] + start[12:] + other[:20]
    assert near_duplicates([long, other, start]) == [0, 1, 0]
    assert near_duplicates([long, other, start, [*start[10:], *start]]) == [0, 1, 0, 0]
    assert near_duplicates([[1, 2], [1, 2], [2, 1], [], []]) == [0, 0, 2, 3, 3]
    assert near_duplicates([long, chained]) == [0, 1]


def test_tunes_that_sound_alike_are_in_one_split():
    drawn = random.Random(0)
    songs = [tune("".join(drawn.choices("CDEFGABcdefgab", k=24)) + "|") for _ in range(60)]
    variants = [song.replace("K:C", "K:G").replace("|", "|C|") for song in songs]
    named = [
        (f"{kind}{n}", song) for kind in "ab" for n, song in enumerate(songs if kind == "a" else variants)
    ]
    splits = split_by_melody(named)
    assert sum(map(len, splits.values())) == 120 and all(splits.values())
    where = {text: split for split, own in splits.items() for text in own}
    assert all(where[song] == where[variant] for song, variant in zip(songs, variants, strict=True))


def test_the_collections_are_read_once(tmp_path, monkeypatch):
    for name in tunes.COLLECTIONS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "book.abc").write_text(
            f"X:1\nT:one\nK:G\n{name[0].upper()}ABc|\r\n\nX:2\nK:G\nno tune\n", encoding="utf-8"
        )
    found = find_tunes(tmp_path / "cache", tmp_path)
    text = "".join(file.path.read_text() for file in found.files)
    assert text.count("X:1") == 3 and "no tune" not in text  # ryansMammoth's R is no note
    monkeypatch.setattr(tunes, "in_turn", None)  # what is complete is only read: the cache may be read-only
    assert [file.path for file in find_tunes(tmp_path / "cache", tmp_path).files] == [
        file.path for file in found.files
    ]
    with pytest.raises(InputError, match="install music21 again"):
        find_tunes(tmp_path / "cache", tmp_path / "absent")


def test_without_music21_its_installation_is_told(monkeypatch):
    monkeypatch.setattr(tunes, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install -e "\.\[music\]"'):
        find_tunes()


@pytest.mark.slow
def test_no_tune_of_music21_has_its_like_in_another_split(tmp_path):
    found = {file.name: file.path.read_text() for file in find_tunes(tmp_path).files}
    splits = {name: [t.text for t in split_tunes(text)] for name, text in found.items()}
    assert sum(map(len, splits.values())) == 12_605
    assert [round(len(splits[f"{name}.abc"]) / 12_605, 2) for name in ("train", "val", "test")] == [
        pytest.approx(share, abs=0.01) for share in (0.9, 0.05, 0.05)
    ]
    for own in splits.values():
        assert all(simplified(text) == text for text in own)
    train = [passages(melody(text)) for text in splits["train.abc"]]
    places = {}
    for number, own in enumerate(train):
        for passage in own:
            places.setdefault(passage, []).append(number)
    for text in splits["val.abc"] + splits["test.abc"]:
        own, shared = passages(melody(text)), {}
        for passage in own:
            for number in places.get(passage, ()):
                shared[number] = shared.get(number, 0) + 1
        assert all(count < SHARE * min(len(own), len(train[n])) for n, count in shared.items())
