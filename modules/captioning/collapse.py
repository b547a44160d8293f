"""How captions are written, apart from whether they are right: self-critical training can ruin the one.

Rewards rise for captions that stop in "with a", and for captions that are the same for every photograph.
These measures need no reward to see it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modules.caption_tokens import tokenize

RARELY_ENDS = 0.01  # a word ends a caption oddly that ends people's in fewer of its uses


@dataclass(frozen=True)
class Writing:
    """How the captions of a split are written.

    Attributes:
        length: Mean number of words.
        distinct: Share of different captions, 0 to 1.
        odd_endings: Share of captions whose last word seldom ends one of people's, such as "a" or "with".
    """

    length: float
    distinct: float
    odd_endings: float


def writing_of(captions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> Writing:
    """Returns how captions are written.

    Args:
        captions: Of each image.
        references: Of each image people's captions.
    """
    uses: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for texts in references.values():
        for text in texts:
            words = tokenize(text)
            uses.update(words)
            ends.update(words[-1:])
    written = [tokenize(text) for text in captions.values()]
    count = max(1, len(written))
    # a word that people never use says nothing about endings
    odd = sum(
        words[-1] in uses and ends[words[-1]] < RARELY_ENDS * uses[words[-1]] for words in written if words
    )
    return Writing(sum(map(len, written)) / count, len(set(captions.values())) / count, odd / count)


def collapse_of(before: Writing, now: Writing) -> str | None:
    """Returns what has become of the language since self-critical training began; None where it holds.

    Args:
        before: Of the last validation before it.
        now: Of this one.
    """
    if now.odd_endings > before.odd_endings + 0.1:
        return (
            f"{now.odd_endings:.0%} of the captions end in a word such as 'a' or 'with', "
            f"{before.odd_endings:.0%} did before self-critical training"
        )
    if now.distinct < before.distinct / 2:
        return f"{now.distinct:.0%} of the captions are different, {before.distinct:.0%} were"
    if not 0.6 * before.length <= now.length <= 1.6 * before.length:
        return f"captions have {now.length:.1f} words, they had {before.length:.1f}"
    return None
