"""The table of words and ids."""

import pytest

from modules.vocabulary import Vocabulary

CAPTIONS = [["a", "dog", "runs"], ["a", "cat", "runs"], ["a", "bird"]]


def test_words_come_by_frequency_and_then_by_alphabet():
    vocabulary = Vocabulary.build(CAPTIONS)
    assert vocabulary.words == ["<pad>", "<bos>", "<eos>", "<unk>", "a", "runs", "bird", "cat", "dog"]
    assert len(vocabulary) == 9
    assert (Vocabulary.PAD, Vocabulary.BOS, Vocabulary.EOS, Vocabulary.UNK) == (0, 1, 2, 3)


def test_the_order_of_the_captions_does_not_matter():
    assert Vocabulary.build(CAPTIONS) == Vocabulary.build(CAPTIONS[::-1])


def test_rare_words_and_words_beyond_the_limit_are_left_out():
    assert Vocabulary.build(CAPTIONS, min_count=2).words[4:] == ["a", "runs"]
    assert Vocabulary.build(CAPTIONS, max_size=5).words[4:] == ["a"]
    assert Vocabulary.build(CAPTIONS, max_size=100).words == Vocabulary.build(CAPTIONS).words
    with pytest.raises(ValueError, match="no room"):
        Vocabulary.build(CAPTIONS, max_size=4)


def test_a_marker_in_a_caption_is_no_second_word():
    assert Vocabulary.build([["<unk>", "<eos>", "dog"]]).words[4:] == ["dog"]


def test_encode_and_decode_are_inverse_on_known_words():
    vocabulary = Vocabulary.build(CAPTIONS)
    assert vocabulary.decode(vocabulary.encode(["a", "dog", "runs"])) == ["a", "dog", "runs"]
    assert vocabulary.encode(["a", "zebra"]) == [4, Vocabulary.UNK]
    assert "dog" in vocabulary and "zebra" not in vocabulary


def test_decode_stops_at_the_end_and_skips_padding():
    vocabulary = Vocabulary.build(CAPTIONS)
    assert vocabulary.decode([1, 4, 0, 3, 5, 2, 8, 8]) == ["a", "<unk>", "runs"]
    assert vocabulary.decode([]) == []


def test_coverage_counts_running_words():
    vocabulary = Vocabulary.build(CAPTIONS)
    assert vocabulary.coverage([["a", "a", "zebra"], ["dog"]]) == 0.75
    assert vocabulary.coverage([]) == 1.0


def test_the_words_alone_rebuild_the_vocabulary():
    vocabulary = Vocabulary.build(CAPTIONS)
    assert Vocabulary(vocabulary.words) == vocabulary


@pytest.mark.parametrize("words", [["a", "b"], ["<pad>", "<bos>", "<eos>", "<unk>", "a", "a"]])
def test_a_list_that_is_no_vocabulary_is_refused(words):
    with pytest.raises(ValueError, match="vocabulary"):
        Vocabulary(words)


def test_words_of_another_vocabulary_come_behind_ones_own():
    one, other = (
        Vocabulary([*Vocabulary.MARKERS, "dog", "a"]),
        Vocabulary([*Vocabulary.MARKERS, "cat", "dog"]),
    )
    assert one.with_words_of(other).words == [*Vocabulary.MARKERS, "dog", "a", "cat"]
