"""Counts of tunes, and a model that composes some."""

import pytest

from pipelines.language.music import judging
from pipelines.language.music.judging import compose, judged, tunes_table
from tests.pipelines.language.tiny_language_models import tiny_model

pytest.importorskip("music21")
HEADER = "X:1\nM:4/4\nL:1/4\nK:C\n"
SCALE = "CDEF|GABc|defg|abc'2|"


def test_shares_are_of_all_tunes_but_bars_only_of_those_with_a_metre():
    free = HEADER.replace("4/4", "none")
    tunes = [
        f"{HEADER}{SCALE}c4|\n",
        f"{HEADER}GFED|CBA|GFED|C4|\n",
        f"{free}EDCD|EEE2|DDD2|EGG2|\n",
        "X:1\nK:C\nno tune",
        "",
    ]
    found = judged(tunes, [f"{HEADER.replace('K:C', 'K:G')}{SCALE}"])
    assert found == {
        "tunes": 5,
        "parse": 3 / 5,
        "fill_metre": 1 / 4,
        "end_on_tonic": 2 / 5,
        "copied": 1 / 5,
    }
    assert judged([], [])["parse"] == 0


def test_a_model_composes_tunes_alike_from_one_seed(monkeypatch):
    monkeypatch.setattr(judging, "TUNES", 3)
    monkeypatch.setattr(judging, "LENGTH", 30)
    model = tiny_model(HEADER + SCALE)
    tunes = compose(model, seed=0)
    assert len(tunes) == 3 and all(tune.startswith("X:1\n") for tune in tunes)
    assert tunes == compose(model, seed=0) != compose(model, seed=1)


def test_the_table_has_a_column_a_kind():
    shares = {"tunes": 100, "parse": 1.0, "fill_metre": 0.875, "end_on_tonic": 0.5, "copied": 0.0}
    table = tunes_table({"composed": shares, "real": shares})
    assert [column.header for column in table.columns] == ["", "100 composed", "100 real"]
    assert list(table.columns[1].cells) == ["100%", "88%", "50%", "0%"]
