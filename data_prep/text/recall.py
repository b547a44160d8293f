"""The long-range recall task: the word at the start of a sentence decides the word at its end.

The lecture's sentence, "When she tried to print her tickets ... she finally printed her ___", made into a
task with one difficulty, distance. A sentence is a keyword, filler words that say nothing about it, and a cue
after which the keyword comes again:

    tickets stationery very went the of ... toner her -> tickets

The distance is the number of time steps from the keyword to the cue, where the prediction is made. Fillers
are drawn anew for every sentence, so only a memory of the first word does better than guessing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.errors import InputError

KEYWORDS = ("tickets", "letters", "photos", "recipes", "maps", "poems", "invoices", "posters")
_BETWEEN = (
    "she found that the printer was out of toner went to stationery store buy more it very overpriced "
    "after installing into finally when tried and"
)
FILLERS = tuple(_BETWEEN.split())
CUE = "her"
WORDS = (*KEYWORDS, *FILLERS, CUE)  # a word's place is its number
CHANCE = 1 / len(KEYWORDS)  # accuracy of whoever knows the keywords but not which one came


@dataclass(frozen=True)
class RecallBatch:
    """Sentences of one distance.

    Args:
        words: Keyword, fillers and cue by their numbers in WORDS, `(B, distance + 1)`.
        targets: The word that comes next, which is the first one, `(B,)`.
    """

    words: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> RecallBatch:
        """Returns the batch on a device."""
        return RecallBatch(self.words.to(device), self.targets.to(device))


def recall_batch(sentences: int, distance: int, generator: torch.Generator) -> RecallBatch:
    """Returns sentences whose last word is their first; equal states of the generator give equal ones.

    Args:
        sentences: Rows B of the batch.
        distance: Time steps from the keyword to the cue, 1 or more; distance - 1 fillers lie between.
        generator: Where chance comes from, on the CPU.

    Raises:
        InputError: No such batch.
    """
    if sentences < 1 or distance < 1:
        raise InputError(f"{sentences} sentences of distance {distance}: both have to be 1 or more")
    first_filler, cue = len(KEYWORDS), len(WORDS) - 1
    keywords = torch.randint(0, first_filler, (sentences, 1), generator=generator)
    fillers = torch.randint(first_filler, cue, (sentences, distance - 1), generator=generator)
    words = torch.cat([keywords, fillers, torch.full((sentences, 1), cue)], dim=1)  # (B, distance + 1)
    return RecallBatch(words, keywords[:, 0])


def recall_batches(
    batches: int, sentences: int, nearest: int, farthest: int, seed: int
) -> Iterator[RecallBatch]:
    """Yields batches, each of one distance; equal seeds give equal ones.

    Distances are drawn log-uniformly, so that doubling the distance costs as much of the training everywhere
    in the range.

    Args:
        batches: How many.
        sentences: Rows B of each.
        nearest: Smallest distance.
        farthest: Largest distance.
        seed: Any whole number that is not negative.
    """
    if not 1 <= nearest <= farthest:
        raise InputError(f"distances from {nearest} to {farthest}: they have to be 1 or more, and grow")
    generator = torch.Generator().manual_seed(seed)
    for _ in range(batches):
        share = torch.rand((), generator=generator).item()
        distance = round(nearest * math.exp(share * math.log(farthest / nearest)))
        yield recall_batch(sentences, distance, generator)


def as_text(words: Sequence[int]) -> str:
    """Returns a sentence as it is read."""
    return " ".join(WORDS[word] for word in words)
