"""The sound of notes: its pitch, its length, and that it is never clipped."""

import io
import wave

import numpy as np
import pytest

from pipelines.language.music.plucked_string import wav
from pipelines.language.music.tune_reader import Note


def samples(file: bytes) -> tuple[np.ndarray, int]:
    with wave.open(io.BytesIO(file)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth()) == (1, 2)
        return np.frombuffer(reader.readframes(10**9), "<i2").astype(float), reader.getframerate()


@pytest.mark.parametrize(("pitch", "hertz"), [(57, 220.0), (69, 440.0), (86, 1174.66)])
def test_a_note_has_its_pitch(pitch, hertz):
    sound, rate = samples(wav([Note(0.0, 1.0, pitch)]))
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert spectrum.argmax() * rate / len(sound) == pytest.approx(hertz, rel=0.005)


def test_many_notes_at_once_are_not_clipped_and_end_in_silence():
    sound, rate = samples(wav([Note(n / 10, 0.4, 60 + n) for n in range(12)]))
    assert 0.85 * 32767 < np.abs(sound).max() <= 0.9 * 32767 + 1
    assert len(sound) / rate == pytest.approx(1.1 + 0.4 + 0.6, abs=0.001)
    assert np.abs(sound[-20:]).max() < 100
    first, second = sound[: rate // 20], sound[round(1.15 * rate) : round(1.2 * rate)]
    assert np.abs(first).max() > 1000 and np.abs(second).max() > 1000


def test_what_comes_late_is_left_away():
    sound, rate = samples(wav([Note(n, 0.9, 69) for n in range(20)], rate=8000, most_seconds=4.0))
    assert (len(sound), rate) == (32_000, 8000)
    assert len(samples(wav([]))[0]) == 0
