"""ROUGE-L as the COCO evaluation computes it (Lin 2004, eq. 2-4, with the best of several references)."""

from collections.abc import Sequence

BETA = 1.2  # weight of recall against precision


def rouge_l(hypothesis: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """F-measure in 0..1 of the longest common subsequence, of one image.

    The COCO script takes the best precision and the best recall, each from whichever reference gives it. It
    reads a sentence without words as a single empty word.
    """
    hypothesis = hypothesis or [""]
    positions: dict[str, int] = {}  # a bit for each place where the word stands in the hypothesis
    for place, word in enumerate(hypothesis):
        positions[word] = positions.get(word, 0) | 1 << place
    precision = recall = 0.0
    for reference in references:
        reference = reference or [""]
        common = _common_length(positions, len(hypothesis), reference)
        precision = max(precision, common / len(hypothesis))
        recall = max(recall, common / len(reference))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common_length(positions: dict[str, int], length: int, reference: Sequence[str]) -> int:
    """Length of the longest common subsequence, one row of the dynamic programme an integer (Hyyrö 2004).

    A bit of `row` is 0 where the table's value rises from one place of the hypothesis to the next.
    """
    every_place = (1 << length) - 1
    row = every_place
    for word in reference:
        rises = row & positions.get(word, 0)
        row = ((row + rises) | (row - rises)) & every_place
    return length - row.bit_count()
