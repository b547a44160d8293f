"""Tunes as music21 reads them: what sounds, whether bars are full, whether they end at home."""

import pytest

from data_prep.text.abc_notation import BrokenTuneError
from pipelines.language.music.tune_reader import Note, ReadTune

pytest.importorskip("music21")


def tune(notes: str, header: str = "M:4/4\nL:1/4\nK:C") -> ReadTune:
    return ReadTune(f"X:1\n{header}\n{notes}\n")


def pitches(notes: str, **header: str) -> list[int]:
    return [note.pitch for note in tune(notes, **header).notes]


def test_notes_have_seconds_and_pitches():
    assert tune("C2 ^D z|").notes == [Note(0.0, 1.0, 60), Note(1.0, 0.5, 63)]
    assert tune("C2-C2|", header="Q:1/4=60\nL:1/4\nK:C").notes == [Note(0.0, 4.0, 60)]


@pytest.mark.parametrize(
    ("notes", "order"),
    [
        ("|C4|C4:|D4|D4:|E4|", "CCCCDDDDE"),
        ("|C4|C4:|\nD4|D4:|", "CCCCDDDD"),
        ("|C4|C4::D4|D4:|", "CCCCDDDD"),
        ("|C4|:D4|D4:|E4|", "CDDDDE"),
        ("|C4|C4|1D4:|2E4|", "CCDCCE"),
        ("|C4|D4|", "CD"),
        ("C4:|", "C"),
    ],
)
def test_repeats_are_played_from_where_the_last_one_ended(notes, order):
    assert pitches(notes) == [{"C": 60, "D": 62, "E": 64}[letter] for letter in order]


@pytest.mark.parametrize(
    ("notes", "fills"),
    [
        ("CDEF|GABc|", True),
        ("C|DEFG|ABc|", True),  # the upbeat and the last bar are one
        ("CDEF|GAB|cdef|", False),
        ("CDEFG|", False),
        ("CDEF|GAB:|:c|defg|", True),
        ("(3CDE F2 G|(3CDE F2 G|", True),
    ],
)
def test_bars_fill_the_metre(notes, fills):
    assert tune(notes).fills_metre is fills
    assert tune(notes, header="M:none\nL:1/4\nK:C").fills_metre is None


def test_the_tonic_is_that_of_the_key():
    assert tune("CDEF|C4|").ends_on_tonic and not tune("CDEF|G4|").ends_on_tonic
    assert tune("A4|", header="L:1/4\nK:Ador").ends_on_tonic
    assert tune("A,4|", header="L:1/4\nK:Am").ends_on_tonic


@pytest.mark.parametrize(
    "abc", ["", "hello", "X:1\nK:G\n", "X:1\nK:G\n(3|", "X:1\nK:C\n]C[", "X:1\nK:C\nC/0|"]
)
def test_what_is_no_tune_is_broken(abc):
    with pytest.raises(BrokenTuneError):
        ReadTune(abc)


def test_midi_is_midi():
    assert tune("CDEF|").midi()[:4] == b"MThd"


def test_a_tune_whose_repeats_are_wrong_is_played_once():
    broken = tune("CDEF|G4:||:|:C4|D4|:E4|")
    assert broken.notes and broken.midi()[:4] == b"MThd"
