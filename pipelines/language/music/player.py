"""A tune on a page: its notes as a drawing, and the sound of them inside the page."""

from __future__ import annotations

import base64
from importlib.util import find_spec

from markupsafe import Markup

from data_prep.text.abc_notation import BrokenTuneError, first_tune
from pipelines.language.music.plucked_string import wav
from pipelines.language.music.tune_reader import Note, ReadTune

_PAGE_RATE, _PAGE_S = 8_000, 10.0  # samples a second and seconds of a sound that lies inside a page
_WIDTH, _HEIGHT = 480, 90


def sample_player(text: str) -> Markup:
    """Returns the drawing and the sound of the first tune of a sample, or a line that says why there is none.

    Nothing for a text in which no tune begins, and where music21 is not installed.
    """
    tune = first_tune(text)
    if not tune or find_spec("music21") is None:
        return Markup("")
    try:
        notes = ReadTune(tune).notes
    except BrokenTuneError as error:
        return Markup('<p class="small faint">No tune yet: {}.</p>').format(str(error))
    sound = base64.b64encode(wav(notes, _PAGE_RATE, _PAGE_S)).decode()
    audio = Markup('<audio controls src="data:audio/wav;base64,{}"></audio>').format(sound)
    return piano_roll([note for note in notes if note.start_s < _PAGE_S]) + audio


def piano_roll(notes: list[Note]) -> Markup:
    """Returns a drawing of notes: time to the right, pitch upwards."""
    end = max((note.start_s + note.seconds for note in notes), default=1.0) or 1.0
    lowest = min((note.pitch for note in notes), default=0)
    span = max((note.pitch for note in notes), default=0) - lowest + 1
    bars = Markup("").join(
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            note.start_s / end * _WIDTH,
            (lowest + span - 1 - note.pitch) / span * _HEIGHT,
            0.9 * note.seconds / end * _WIDTH,
            _HEIGHT / span,
        )
        for note in notes
    )
    box = Markup('<svg class="roll" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>')
    return box.format(_WIDTH, _HEIGHT, bars)
