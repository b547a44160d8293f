"""BLEU as the COCO evaluation computes it (Papineni et al. 2002), from counts that add up over images."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Num

MAX_ORDER = 4
# The COCO script's constants: without matches a precision is tiny, not 0, and a geometric mean stays defined.
_TINY, _SMALL = 1e-15, 1e-9

Ngrams = Counter[tuple[str, ...]]


def count_ngrams(words: Sequence[str]) -> Ngrams:
    """How often each n-gram of 1 to 4 words occurs."""
    counts: Ngrams = Counter()
    for n in range(1, MAX_ORDER + 1):
        counts.update(zip(*(words[i:] for i in range(n)), strict=False))
    return counts


class BleuReferences:
    """The references of one image, reduced to what BLEU asks of them.

    Args:
        counts: n-gram counts of each reference.
        lengths: words of each reference.
    """

    def __init__(self, counts: Sequence[Ngrams], lengths: Sequence[int]) -> None:
        self._lengths = sorted(set(lengths))
        self._ceiling: dict[tuple[str, ...], int] = {}  # the most any single reference has of an n-gram
        for of_reference in counts:
            for ngram, count in of_reference.items():
                if count > self._ceiling.get(ngram, 0):
                    self._ceiling[ngram] = count

    def statistics(self, hypothesis: Ngrams, length: int) -> list[int]:
        """Ten counts: clipped matches of order 1..4, n-grams of order 1..4, words, closest reference's words.

        Of two references equally close in length the shorter counts.
        """
        matches = [0] * MAX_ORDER
        for ngram, count in hypothesis.items():
            ceiling = self._ceiling.get(ngram)
            if ceiling:
                matches[len(ngram) - 1] += min(count, ceiling)
        possible = [max(0, length - n) for n in range(MAX_ORDER)]
        closest = min(
            self._lengths, key=lambda words: abs(words - length)
        )  # the first, so the shorter, on ties
        return [*matches, *possible, length, closest]


def bleu(statistics: Num[np.ndarray, "*rows 10"]) -> Float[np.ndarray, "*rows 4"]:
    """BLEU-1..4 in 0..1 of summed (or of one image's) statistics: brevity penalty times geometric mean."""
    matches, possible = statistics[..., :4], statistics[..., 4:8]
    precision = (matches + _TINY) / (possible + _SMALL)
    mean = np.cumprod(precision, axis=-1) ** (1 / np.arange(1, MAX_ORDER + 1))
    ratio = (statistics[..., 8] + _TINY) / (statistics[..., 9] + _SMALL)
    penalty = np.exp(np.minimum(0, 1 - 1 / ratio))
    return mean * penalty[..., None]
