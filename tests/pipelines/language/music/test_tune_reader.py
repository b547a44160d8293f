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


# music21 itself loses this one in writing it once its bars are flattened
COMPOSED = """X:1
M:2/4
L:1/16
K:F
|G4F2E2|D2F2G4|G2A2F4
c2c2A2F2|G4=F2E2|F2G2F2E2|D4CDF2|C8-|F8
A6F2|c4B4|G12
A2c2A2E2|F2F2G2F2|G8
"""


def test_every_note_is_written_as_midi():
    from music21.midi import ChannelVoiceMessages, MidiFile

    for read in (ReadTune(COMPOSED), tune("C2[EG]F|z4|CD-D2|")):
        written = MidiFile()
        written.readstr(read.midi())
        begun = [
            event.pitch
            for track in written.tracks
            for event in track.events
            if event.type is ChannelVoiceMessages.NOTE_ON and event.velocity
        ]
        assert sorted(begun) == sorted(note.pitch for note in read.notes) and begun


def test_a_tune_whose_repeats_are_wrong_is_played_once():
    broken = tune("CDEF|G4:||:|:C4|D4|:E4|")
    assert broken.notes and broken.midi()[:4] == b"MThd"
