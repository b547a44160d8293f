"""Notes as sound: every note a plucked string, the sum of its partials, as a WAV file."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from pipelines.language.music.tune_reader import Note

RATE = 22_050  # samples a second
_PARTIALS = 12
_PLUCKED_AT = 0.23  # of the string's length
_RING_S, _FADE_S = 0.6, 0.03  # how long a string sounds on after its note, and how long it takes to stop
_PEAK = 0.9  # of what a sample can hold


def plucked(note: Note, rate: int = RATE) -> Float[np.ndarray, " samples"]:
    """Returns the sound of one note.

    A string that is pulled aside at the place p has partials `sin(k pi p) / k^2` (Fletcher and Rossing 1998,
    section 2.8). The higher ones and those of higher notes fade sooner.

    Args:
        note: How long and how high.
        rate: Samples a second.
    """
    t = np.arange(round((note.seconds + _RING_S) * rate)) / rate
    frequency = 440 * 2 ** ((note.pitch - 69) / 12)
    sound = np.zeros_like(t)
    for k in range(1, _PARTIALS + 1):
        if k * frequency < rate / 2:
            decay = (1 + 0.4 * k) * np.sqrt(frequency / 220)
            partial = np.sin(2 * np.pi * k * frequency * t) * np.exp(-decay * t)
            sound += np.sin(k * np.pi * _PLUCKED_AT) / k**2 * partial
    sound *= np.exp(-np.maximum(0, t - note.seconds) * 8)  # a finger lies on the string
    fade = min(len(t), round(_FADE_S * rate))
    sound[len(t) - fade :] *= np.linspace(1, 0, fade)
    return sound


def wav(notes: Iterable[Note], rate: int = RATE, most_seconds: float = np.inf) -> bytes:
    """Returns a WAV file (16 bits, one channel) of notes.

    Args:
        notes: By the time at which they begin.
        rate: Samples a second.
        most_seconds: What comes later is left away.
    """
    played = [note for note in notes if note.start_s < most_seconds]
    length_s = min(most_seconds, max((n.start_s + n.seconds + _RING_S for n in played), default=0))
    sound = np.zeros(round(length_s * rate))
    for note in played:
        begin = round(note.start_s * rate)
        own = plucked(note, rate)[: len(sound) - begin]
        sound[begin : begin + len(own)] += own
    if np.isfinite(most_seconds) and len(sound) == round(most_seconds * rate):
        sound[-rate // 2 :] *= np.linspace(1, 0, rate // 2)
    loudest = np.abs(sound).max(initial=1e-9)
    samples = np.rint(sound * (_PEAK * 32767 / loudest)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples.tobytes())
    return file.getvalue()
