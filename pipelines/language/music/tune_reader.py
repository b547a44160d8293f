"""One tune in ABC notation as notes in seconds and as MIDI, as the package music21 reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, NamedTuple

from data_prep.text.abc_notation import BrokenTuneError, simplified
from data_prep.text.tunes import corpus_folder

TEMPO = 120  # quarter notes a minute, where a tune says nothing
# a repeat that begins where the last one ended: to music21 it would begin with the tune
_ENDS_ONLY = re.compile(r":\|(?![\d:|\[\]])(?=(?:(?!\|:|::)[\s\S])*?:\|)")
_SLACK = 0.01  # quarter notes by which triplets may miss the length of a bar


class Note(NamedTuple):
    """A note that sounds: where it begins and how long it lasts, in seconds, and its pitch as MIDI counts."""

    start_s: float
    seconds: float
    pitch: int


class ReadTune:
    """A tune that music21 has read.

    Args:
        abc: The tune, which begins with X:.

    Attributes:
        fills_metre: Whether every bar lasts as long as the metre says; None for a tune without a metre. The
            first and the last bar of a section may be shorter: they share a bar with the upbeat.
        ends_on_tonic: Whether the last note is the tonic of the key.

    Raises:
        BrokenTuneError: It is no ABC notation.
    """

    def __init__(self, abc: str) -> None:
        corpus_folder()  # says how to install music21
        from music21 import converter

        # music21 passes over what it does not know; this form has nothing else
        simple = _ENDS_ONLY.sub("::", simplified(abc))
        if tempo := re.search(r"^Q:.*$", abc, re.MULTILINE):
            simple = simple.replace("\n", f"\n{tempo[0]}\n", 1)
        with _told_as_broken():
            self._score: Any = converter.parseData(simple, format="abc")
            self.fills_metre = _fills_metre(self._score)
            self.ends_on_tonic = _ends_on_tonic(self._score)

    @cached_property
    def played(self) -> Any:
        """music21's score with repeats written out, ties joined, and a tempo."""
        from music21 import repeat, stream, tempo

        score = self._score
        with _told_as_broken():
            # a repeat that begins nowhere is played once; what is shorter than two bars has none to music21
            with suppress(repeat.ExpanderException):
                score = score.expandRepeats() if score[stream.Measure] else score
            score = score.stripTies()
        if not score[tempo.MetronomeMark]:
            score.parts[0].insert(0, tempo.MetronomeMark(number=TEMPO))
        return score

    @property
    def quarters_a_minute(self) -> float:
        """Its tempo."""
        from music21 import tempo

        return float(self.played[tempo.MetronomeMark].first().getQuarterBPM())

    @cached_property
    def sounding(self) -> list[tuple[Any, Any, Any]]:
        """Beginning and length in quarter notes and pitches of notes and chords, repeats included."""
        return [(own.offset, own.quarterLength, own.pitches) for own in self.played.flatten().notes]

    @cached_property
    def notes(self) -> list[Note]:
        """What sounds, repeats included, by the time at which it begins."""
        second = self.quarters_a_minute / 60  # in quarter notes
        return sorted(
            Note(float(begin) / second, float(length) / second, pitch.midi)
            for begin, length, pitches in self.sounding
            for pitch in pitches
        )

    def midi(self) -> bytes:
        """Returns the tune as a MIDI file."""
        from music21 import chord, stream, tempo
        from music21.midi.translate import streamToMidiFile

        # notes alone: of bars music21 would expand repeats once more, and it loses its way in flattened ones
        plain = stream.Part()
        plain.insert(0, tempo.MetronomeMark(number=self.quarters_a_minute))
        for begin, length, pitches in self.sounding:
            if length:  # a grace note has none
                plain.insert(begin, chord.Chord(pitches, quarterLength=length))
        return bytes(streamToMidiFile(plain).writestr())


@contextmanager
def _told_as_broken() -> Iterator[None]:
    """Turns what music21 raises at a text that is no tune into a BrokenTuneError."""
    from music21.exceptions21 import Music21Exception

    try:
        yield
    except (Music21Exception, ArithmeticError, LookupError, ValueError) as error:
        raise BrokenTuneError(1, " ".join(str(error).split())[:80] or "music21 cannot read it") from None


def _fills_metre(score: Any) -> bool | None:
    from music21 import bar, meter, stream

    if not score[meter.TimeSignature]:
        return None
    bars = list(score[stream.Measure])
    if not bars:
        return False
    section: list[Any] = []
    for measure in bars:
        section.append(measure)
        closing = [*measure[bar.Barline]]
        ends = any(line.type != "regular" and line.activeSite.rightBarline is line for line in closing)
        if ends or measure is bars[-1]:
            for place, own in enumerate(section):
                missing = own.barDuration.quarterLength - own.duration.quarterLength
                at_edge = place in (0, len(section) - 1)
                if missing < -_SLACK or (missing > _SLACK and not at_edge):
                    return False
            section = []
    return True


def _ends_on_tonic(score: Any) -> bool:
    from music21 import key

    last = list(score.flatten().notes)[-1]
    keys = list(score[key.Key])
    return bool(keys) and last.pitches[-1].pitchClass == keys[0].tonic.pitchClass
