"""A split's captions as one array: the words they had, cut off and unknown ones included."""

from pathlib import Path

import numpy as np

from data_prep.captions.records import CaptionRecord
from data_prep.captions.token_table import TokenTable
from modules.caption_tokens import tokenize
from modules.vocabulary import Vocabulary

CAPTIONS = [("A dog runs.", "a brown dog"), ("?!",), ("two dogs, and a dog", "a dog", "one dog")]


def test_ids_are_those_of_every_caption_tokenized_by_itself() -> None:
    records = [CaptionRecord(f"{n}.jpg", Path(f"{n}.jpg"), said, "train") for n, said in enumerate(CAPTIONS)]
    table = TokenTable(records, "train")
    each = [tokenize(text) for said in CAPTIONS for text in said]
    assert table.counts() == {
        word: sum(words.count(word) for words in each) for words in each for word in words
    }
    assert table.first_caption.tolist() == [0, 2, 3, 6]

    vocabulary = Vocabulary.of_counts(table.counts(), min_count=2)
    assert vocabulary == Vocabulary.build(each, min_count=2) and len(vocabulary) == 6
    for most in (3, 100):
        ids, begin = table.ids(vocabulary, most)
        found = [part.tolist() for part in np.split(ids, begin[1:-1])]
        assert found == [[Vocabulary.BOS, *vocabulary.encode(words[:most]), Vocabulary.EOS] for words in each]


def test_no_captions_are_an_empty_table() -> None:
    table = TokenTable([], "test")
    ids, begin = table.ids(Vocabulary(Vocabulary.MARKERS), 5)
    assert (len(ids), begin.tolist(), table.counts()) == (0, [0], {})
