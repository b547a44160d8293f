"""The `correct` command: the least probable words of a text beside likelier spellings, and planted errors."""

from __future__ import annotations

import json as jsonlib
import random
import string
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_prep.input_files import read_text
from modules.errors import InputError, check_at_least
from modules.language.language_model import LanguageModel
from modules.language.spelling import Doubt, NoisyChannel
from modules.text_codec import normalised
from pipelines.devices import chosen_device

REMEDY = (
    "correct needs a model of words and one that reads backwards, --ckpt_path FORWARD BACKWARD: "
    "fit --data.file FILE --data.level word, and once more with --data.backward true"
)


def correct(
    file: Path,
    ckpt_path: list[Path] | None = None,
    n: int = 50,
    plant: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Print the words of a text that another spelling within two edits is likelier than, the surest first.

    A word is judged by what stands before it and behind it: two models are needed, of which one was trained
    with --data.backward true.

    Args:
        file: UTF-8 text.
        ckpt_path: checkpoints of a forward and a backward model of words, of the same text.
        n: at most so many words.
        plant: share of the words that are misspelt before the text is read; what is found of them is counted.
        seed: of the planted errors.
        device: auto, cpu, cuda, cuda:N or mps; auto takes an NVIDIA GPU where there is one.
        json: print one JSON object in place of the table.
    """
    check_at_least(1, n=n)
    check_at_least(0, seed=seed)
    if not 0 <= plant <= 0.5:
        raise InputError(f"plant is {plant}; it has to be from 0 to 0.5")
    models = _load(ckpt_path or [], device)
    codec = models[0].codec
    units = codec.units(normalised(read_text(file)))
    if not any(unit.isalpha() for unit in units):
        raise InputError(f"{file}: holds no words; there is nothing to correct")
    if plant:
        _print_planted(units, models, plant, seed, json)
        return
    found = sorted(NoisyChannel(units, models).doubts(), key=lambda doubt: -doubt.gain)
    lines = [1]
    for unit in units:
        lines.append(lines[-1] + (unit == "\n"))
    if json:
        rows = [asdict(doubt) | {"line": lines[doubt.place]} for doubt in found[:n]]
        print(jsonlib.dumps({"file": str(file), "words": rows}))
        return
    table = Table(title=Text(f"{file.name}: {len(found):,} words with a likelier spelling"))
    for heading in ("line", "word", "bits", "likelier", "by bits"):
        table.add_column(heading, justify="left" if heading in ("word", "likelier") else "right")
    for doubt in found[:n]:
        # as Text: a word is no markup
        better = Text(", ".join(doubt.better))
        line = f"{lines[doubt.place]:,}"
        table.add_row(line, Text(doubt.word), f"{doubt.bits:.1f}", better, f"{doubt.gain:.1f}")
    Console().print(table)


def _load(paths: Sequence[Path], device: str) -> list[LanguageModel]:
    """Returns the forward and the backward model."""
    if len(paths) != 2:
        raise InputError(REMEDY)
    where = chosen_device(device)
    forward, backward = sorted(map(LanguageModel.load, paths), key=lambda model: model.reads_backward)
    if forward.reads_backward or not backward.reads_backward:
        raise InputError(f"both models read {'back' if forward.reads_backward else 'for'}wards; {REMEDY}")
    if forward.codec.level != "word" or forward.codec != backward.codec:
        raise InputError(f"the models do not read the same words; {REMEDY}")
    return [forward.to(where), backward.to(where)]


# ---- planted errors


def planted(units: Sequence[str], share: float, seed: int) -> dict[int, str]:
    """Returns misspelt words by their places: a fifth of them with two edits, others with one."""
    draw = random.Random(seed)
    words = [at for at, unit in enumerate(units) if len(unit) > 2 and unit.isalpha()]
    errors = {}
    for at in draw.sample(words, round(share * len(words))):
        wrong = units[at]
        for _ in range(2 if draw.random() < 0.2 else 1):
            wrong = _edited(wrong, draw)
        if wrong.lower() != units[at].lower():
            errors[at] = wrong
    return errors


def _edited(word: str, draw: random.Random) -> str:
    """Returns a word of which a letter is left out, swapped with the next, replaced, or one is inserted."""
    at, letter = draw.randrange(len(word) - 1), draw.choice(string.ascii_lowercase)
    kinds = (word[at + 1 :], word[at + 1] + word[at] + word[at + 2 :], letter + word[at + 1 :])
    return word[:at] + draw.choice((*kinds, letter + word[at:]))


def by_dictionary(channel: NoisyChannel) -> list[Doubt]:
    """Returns every unknown word beside the nearest known one, the most frequent of these: no context."""
    known, found = channel.codec.vocabulary, []
    for at, edits in channel.edits.items():
        word = channel.units[at]
        if edits and not (word in known or word.lower() in known):
            best = min(edits, key=lambda number: (edits[number], number))
            found.append(Doubt(at, word, 0.0, [known.words[best]], 0.0))
    return found


def counted(found: Sequence[Doubt], errors: dict[int, str], units: Sequence[str]) -> dict[str, float]:
    """Returns precision and recall of the planted errors, and the share of them that are put right."""
    hits = [doubt for doubt in found if doubt.place in errors]
    right = [doubt for doubt in hits if doubt.better[0].lower() == units[doubt.place].lower()]
    return {
        "precision": len(hits) / max(1, len(found)),
        "recall": len(hits) / max(1, len(errors)),
        "put_right": len(right) / max(1, len(errors)),
    }


def _print_planted(
    units: Sequence[str], models: Sequence[LanguageModel], share: float, seed: int, json: bool
) -> None:
    errors = planted(units, share, seed)
    channel = NoisyChannel([errors.get(at, unit) for at, unit in enumerate(units)], models)
    systems = {
        "both sides": list(channel.doubts()),
        "forward model alone": list(channel.doubts(sides=1)),
        "unknown words, no context": by_dictionary(channel),
    }
    scores = {name: counted(found, errors, units) for name, found in systems.items()}
    if json:
        print(jsonlib.dumps({"planted": len(errors), "systems": scores}))
        return
    words = sum(unit.isalpha() for unit in units)
    table = Table(title=f"{len(errors):,} planted errors among {words:,} words")
    for heading in ("system", "precision", "recall", "put right"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    for name, figures in scores.items():
        table.add_row(name, *(f"{value:.3f}" for value in figures.values()))
    Console().print(table)
