"""CIDEr-D (Vedantam et al. 2015, eq. 4-5), the variant that every captioning table calls CIDEr."""

import math
from collections import Counter
from collections.abc import Sequence

from modules.metrics.bleu import MAX_ORDER, Ngrams

SIGMA = 6.0  # width of the penalty on a difference in length
SCALE = 10.0


class CiderD:
    """Scores hypotheses against the references of a set of images, whose rare n-grams weigh most.

    The document frequency of an n-gram is the number of images with a reference that has it. So scores of
    different sets, or of a part of one, do not compare. A set of one image scores 0.

    Args:
        references: for every image the n-gram counts of each of its references.
    """

    def __init__(self, references: Sequence[Sequence[Ngrams]]) -> None:
        self._references = references
        frequency = Counter(ngram for image in references for ngram in set().union(*image))
        log_images = math.log(len(references))
        self._unseen = log_images**2
        # squared inverse document frequencies: they are never negative, so that
        # min(g_h, g_r) g_r of eq. 5 is the same as idf^2 min(count_h, count_r) count_r
        self._idf2 = {ngram: (log_images - math.log(count)) ** 2 for ngram, count in frequency.items()}
        self._norms = [[self._norm(reference) for reference in image] for image in references]
        self._lengths = [[_length(reference) for reference in image] for image in references]

    def score(self, image: int, hypothesis: Ngrams) -> float:
        """CIDEr-D of one image, 0..10: the mean over the orders 1..4 and the references of that image."""
        similarities = self._similarities(image, hypothesis)
        return sum(similarities) / len(similarities)

    def score_among_others(self, image: int, reference: int) -> float:
        """CIDEr-D of one reference of an image against its other references, at least one."""
        similarities = self._similarities(image, self._references[image][reference])
        del similarities[reference]
        return sum(similarities) / len(similarities)

    def alikeness(self, one: Ngrams, other: Ngrams) -> float:
        """CIDEr of two captions, 0..1: the mean cosine of their TF-IDF vectors over the orders 1..4."""
        product = [0.0] * MAX_ORDER
        for ngram in one.keys() & other.keys():
            product[len(ngram) - 1] += one[ngram] * other[ngram] * self._idf2.get(ngram, self._unseen)
        norms = zip(product, self._norm(one), self._norm(other), strict=True)
        return sum(p / (a * b) for p, a, b in norms if p) / MAX_ORDER

    def _similarities(self, image: int, hypothesis: Ngrams) -> list[float]:
        """The score against each reference of an image."""
        hypothesis_norm = self._norm(hypothesis)
        hypothesis_length = _length(hypothesis)
        similarities = []
        references = zip(self._references[image], self._norms[image], self._lengths[image], strict=True)
        for reference, norm, length in references:
            product = [0.0] * MAX_ORDER
            for ngram, count in hypothesis.items():
                expected = reference.get(ngram)
                if expected:
                    product[len(ngram) - 1] += self._idf2[ngram] * min(count, expected) * expected
            similarity = sum(p / (h * r) for p, h, r in zip(product, hypothesis_norm, norm, strict=True) if p)
            difference = hypothesis_length - length
            likeness = math.exp(-(difference**2) / (2 * SIGMA**2))
            similarities.append(SCALE * similarity * likeness / MAX_ORDER)
        return similarities

    def _norm(self, counts: Ngrams) -> list[float]:
        """Euclidean length of the TF-IDF vector of each order."""
        squares = [0.0] * MAX_ORDER
        for ngram, count in counts.items():
            squares[len(ngram) - 1] += count**2 * self._idf2.get(ngram, self._unseen)
        return [math.sqrt(square) for square in squares]


def _length(counts: Ngrams) -> int:
    """Number of bigrams, which is what the COCO script takes for the length of a sentence."""
    return sum(count for ngram, count in counts.items() if len(ngram) == 2)
