"""What can be counted of tunes: of those that a model composed, beside real ones that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from data_prep.text.abc_notation import BrokenTuneError, first_tune, melody, simplified
from data_prep.text.near_duplicates import near_duplicates
from modules.decoding import DecodingOptions
from modules.language.continuation import read_prompt, written_texts
from modules.language.language_model import LanguageModel
from pipelines.language.music.tune_reader import ReadTune

TUNES = 100  # of each kind: music21 reads some ten a second
LENGTH = 600  # characters in which a tune has to come to its end
BEGINNING = "X:1\n"
COUNTED = {
    "parse": "are read by music21",
    "fill_metre": "fill the metre in every bar",
    "end_on_tonic": "end on the tonic",
    "copied": "are near a tune that was trained on",
}


def compose(model: LanguageModel, seed: int) -> list[str]:
    """Returns TUNES tunes that a model, in evaluation mode, writes after X:1, at temperature 1."""
    options = DecodingOptions("sample", seed=seed)
    begun = read_prompt(model.codec, BEGINNING, told=False)
    texts = written_texts(model, begun, options, LENGTH, TUNES)
    return [first_tune(BEGINNING + text) for text in texts]


def judged(tunes: Sequence[str], trained_on: Iterable[str]) -> dict[str, float]:
    """Returns the share of tunes of each kind of COUNTED, and how many there were.

    A tune that is not read counts as failing. Of the bars only tunes with a metre are counted.

    Args:
        tunes: In ABC notation, whole or broken.
        trained_on: Tunes in the simple form.
    """
    parsed = fill = free = tonic = 0
    melodies = []
    for tune in tunes:
        try:
            read = ReadTune(tune)
        except BrokenTuneError:
            continue
        parsed += 1
        fill += read.fills_metre is True
        free += read.fills_metre is None
        tonic += read.ends_on_tonic
        melodies.append(melody(simplified(tune)))
    known = [melody(tune) for tune in trained_on]
    groups = near_duplicates([*known, *melodies])[len(known) :]
    return {
        "tunes": len(tunes),
        "parse": parsed / max(1, len(tunes)),
        "fill_metre": fill / max(1, len(tunes) - free),
        "end_on_tonic": tonic / max(1, len(tunes)),
        "copied": sum(group < len(known) for group in groups) / max(1, len(tunes)),
    }


def tunes_table(tunes: dict[str, dict[str, float]]) -> Table:
    """Returns the shares as a table, a column a kind of tunes."""
    table = Table(title="Share of the tunes that ...")
    table.add_column("")
    for name, shares in tunes.items():
        table.add_column(f"{shares['tunes']:.0f} {name}", justify="right")
    for key, what in COUNTED.items():
        table.add_row(what, *(f"{shares[key]:.0%}" for shares in tunes.values()))
    return table
