"""The words of a split's captions as numbers in one array, tokenized once whatever is asked of them."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from data_prep.captions.records import CaptionRecord
from data_prep.progress import tracked
from modules.caption_tokens import tokenize
from modules.vocabulary import Vocabulary


class TokenTable:
    """Half a million captions are 30 MB here; as lists of words they were ten times as much.

    Args:
        records: Images with their captions; captions are numbered image by image.
        split: Name of theirs, for the bar.

    Attributes:
        words: The different words, in the order of their first occurrence.
        numbers: Of the words of all captions, one caption after another.
        starts: Where each caption begins in `numbers`, and the end of the last.
        first_caption: Of each image, and the number of captions.
    """

    def __init__(self, records: Sequence[CaptionRecord], split: str) -> None:
        known: defaultdict[str, int] = defaultdict()
        known.default_factory = known.__len__  # a new word takes the next number
        numbers, lengths = array("i"), array("i")
        for record in tracked(records, f"words of {split}", visible=len(records) >= 4_000):
            for text in record.captions:
                words = tokenize(text)
                numbers.extend(map(known.__getitem__, words))
                lengths.append(len(words))
        self.words = list(known)
        self.numbers: Int[np.ndarray, " words"] = np.array(numbers)
        self.starts: Int[np.ndarray, " captions+1"] = _ends_before(np.array(lengths))
        self.first_caption: Int[np.ndarray, " images+1"] = _ends_before(
            [len(record.captions) for record in records]
        )

    def counts(self) -> dict[str, int]:
        """Returns how often each word occurs."""
        counted = np.bincount(self.numbers, minlength=len(self.words))
        return dict(zip(self.words, counted.tolist(), strict=True))

    def ids(
        self, vocabulary: Vocabulary, max_words: int
    ) -> tuple[Int[np.ndarray, " ids"], Int[np.ndarray, " captions+1"]]:
        """Returns `<bos> words <eos>` of all captions, one after another, and where each begins.

        Args:
            vocabulary: Says the id of each word.
            max_words: Longer captions are cut off here.
        """
        lengths = np.diff(self.starts)
        begin = _ends_before(np.minimum(lengths, max_words) + 2)
        ids = np.empty(begin[-1], np.int32)
        is_word = np.ones(len(ids), bool)
        for marks, mark in ((begin[:-1], Vocabulary.BOS), (begin[1:] - 1, Vocabulary.EOS)):
            ids[marks], is_word[marks] = mark, False
        place = np.arange(len(self.numbers)) - np.repeat(self.starts[:-1], lengths)  # in its caption
        of_word = np.array(vocabulary.encode(self.words), np.int32)
        ids[is_word] = of_word[self.numbers[place < max_words]]
        return ids, begin


def _ends_before(lengths: Sequence[int] | np.ndarray) -> Int[np.ndarray, " n+1"]:
    """Returns 0 and the running sum of lengths."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
