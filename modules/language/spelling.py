"""Likelier spellings of the words of a text, by what two language models expect from both sides.

The noisy channel of Kernighan, Church and Gale (1990) takes a word w for a slip of c where this holds:

    log P(c | context) + log P(w | c) > log P(w | context) + log P(no slip)

A forward model knows what stands before a word, a backward one what stands behind it; the context's
log-probability is the mean of theirs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from modules.language.language_model import LanguageModel
from modules.language.surprise import CHUNK, opening
from modules.metrics.language import Spelling
from modules.vocabulary import Vocabulary

MOST_EDITS = 2
SLIPS = 0.03  # share of words that are expected to be slips
_LETTERS = 26
_LONGEST = 60  # letters: more are no word, and there are ever more ways to leave two out


def edit_distance(a: str, b: str) -> int:
    """Returns how many letters are inserted, left out, replaced or swapped with their neighbour (Damerau)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        above, before, row = before, row, [i]
        for j, y in enumerate(b, start=1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y)))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                row[j] = min(row[j], above[j - 2] + 1)
    return row[-1]


class NearWords:
    """Finds the known words within two edits of another one, whatever their case.

    Two words that are so near have a form in common that lacks up to two letters of each.

    Args:
        words: All known ones, by id; what is no word of letters is left out, and near none.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._by_form: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for number, word in enumerate(words):
            if word.isalpha() and len(word) <= _LONGEST:
                for form in _shortened(word.lower()):
                    self._by_form[form].append((word.lower(), number))

    def __call__(self, word: str) -> dict[int, int]:
        """Returns edits by id of the near words that differ in more than case."""
        if len(word) > _LONGEST:
            return {}
        word = word.lower()
        near = {pair for form in _shortened(word) for pair in self._by_form.get(form, ())}
        edits = {number: edit_distance(word, other) for other, number in near if other != word}
        return {number: count for number, count in edits.items() if count <= MOST_EDITS}


def _shortened(word: str) -> set[str]:
    places = range(len(word))
    return {
        "".join(letter for at, letter in enumerate(word) if at not in left_out)
        for count in range(min(MOST_EDITS, len(word) - 1) + 1)
        for left_out in combinations(places, count)
    }


@dataclass(frozen=True)
class Doubt:
    """A word that is less probable than another spelling of it.

    Attributes:
        place: Of the word among the text's units.
        word: As it is written.
        bits: What it costs in its context.
        better: The likeliest spellings, the best first.
        gain: By how many bits the best is likelier, the cost of a slip taken off.
    """

    place: int
    word: str
    bits: float
    better: list[str]
    gain: float


class NoisyChannel:
    """What models expect at every word of a text; each of them reads it once.

    Args:
        units: Words and marks of the text, as `TextCodec.units` gives them.
        models: Of words, with the same codec; one that reads backwards knows the other side.

    Attributes:
        edits: By place of a word the known words near it, as `NearWords` has them.
    """

    def __init__(self, units: Sequence[str], models: Sequence[LanguageModel]) -> None:
        self.units, self.codec = units, models[0].codec
        near = NearWords(self.codec.vocabulary.words)
        words = {unit for unit in units if len(unit) > 1 and unit.isalpha()}
        edits = {word: near(word) for word in words}  # a text repeats its words
        self.edits = {at: edits[unit] for at, unit in enumerate(units) if unit in words}
        self.ids = self.codec.vocabulary.encode(units)
        wanted = [[own, *self.edits.get(at, ())] for at, own in enumerate(self.ids)]
        self.sides = [_read(model, self.ids, wanted) for model in models]

    def doubts(self, sides: int | None = None, shown: int = 3) -> Iterator[Doubt]:
        """Yields the words that are less probable than a spelling within two edits.

        Args:
            sides: Of how many models, the first ones, the context is; by default of all.
            shown: Spellings to name of each.
        """
        spelling, known = Spelling(self.codec), self.codec.vocabulary.words
        slip = math.log2((1 - SLIPS) / SLIPS)
        for at, of_unit in self.edits.items():
            word = self.units[at]
            context = torch.stack([side[at] for side in self.sides[:sides]]).mean(0)
            costs = (-context / math.log(2)).tolist()
            own = costs[0] + (spelling.unit_bits(word) if self.ids[at] == Vocabulary.UNK else 0.0)
            # a slip is any of the words so many edits away
            ways = math.log2(2 * (_LETTERS + 1) * len(word) + _LETTERS)
            found = sorted(
                (cost + slip + count * ways, number)
                for cost, (number, count) in zip(costs[1:], of_unit.items(), strict=True)
            )
            if found and found[0][0] < own:
                better = [_cased(known[number], word) for cost, number in found[:shown] if cost < own]
                yield Doubt(at, word, own, list(dict.fromkeys(better)), own - found[0][0])


def _cased(word: str, like: str) -> str:
    return word.capitalize() if like.istitle() and word.islower() else word


@torch.inference_mode()
def _read(model: LanguageModel, ids: Sequence[int], wanted: Sequence[Sequence[int]]) -> list[Tensor]:
    """Returns log-probabilities (nats) of the wanted units at every place, given one side of it."""
    order = list(range(len(ids)))[:: -1 if model.reads_backward else 1]
    read = [opening(model.codec), *(ids[at] for at in order)]
    state, found = model.decoder.init_state(1), [torch.empty(0)] * len(ids)
    for start in range(0, len(order), CHUNK):
        places = order[start : start + CHUNK]
        given = torch.tensor([read[start : start + len(places)]], device=model.device)
        logits, state = model.decoder(given, state)
        log_probs = logits[0].float().log_softmax(1).cpu()
        for row, place in zip(log_probs, places, strict=True):
            found[place] = row[torch.tensor(wanted[place])]
    return found
