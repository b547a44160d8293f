"""Near words by edits, and the doubts of models that see one side or both."""

import pytest
import torch

from modules.language.language_model import LanguageModel
from modules.language.spelling import NearWords, NoisyChannel, edit_distance
from tests.pipelines.language.tiny_language_models import tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [("cat", "cat", 0), ("cat", "act", 1), ("cat", "cart", 1), ("cat", "at", 1), ("cat", "cut", 1),
     ("form", "from", 1), ("cat", "dog", 3), ("", "ab", 2)],
)  # fmt: skip
def test_edits_are_those_of_damerau(a, b, edits):
    assert edit_distance(a, b) == edit_distance(b, a) == edits


def test_near_words_are_all_those_within_two_edits():
    words = ["<pad>", "the", "The", "then", "other", "cat", "teh", "hat", ",", "x"]
    found = NearWords(words)("Teh")
    wanted = {at: edit_distance("teh", w.lower()) for at, w in enumerate(words) if w.isalpha() and at != 6}
    assert found == {at: edits for at, edits in wanted.items() if edits <= 2}


def test_letters_that_are_no_word_are_near_none_and_take_no_time():
    # of a thousand letters there are half a million ways to leave two out
    assert NearWords(["the", "acgt" * 250])("acgt" * 249 + "ac") == {}


def model(reads_backward: bool, likely: str) -> LanguageModel:
    """Returns a model that expects one word everywhere, by 2 to the power of 60."""
    own = tiny_model("the cat saw a cart and the dog ran", "word")
    own.reads_backward = reads_backward
    with torch.no_grad():
        own.decoder.output.weight.zero_()
        own.decoder.output.bias.zero_()
        own.decoder.output.bias[own.codec.vocabulary.encode([likely])] = 42.0
    return own


def test_a_word_is_doubted_where_both_sides_together_expect_another():
    units = ["the", "catt", "saw", "a", "cart"]
    found = list(NoisyChannel(units, [model(False, "cat"), model(True, "cat")]).doubts())
    assert [(doubt.word, doubt.better[0]) for doubt in found] == [
        ("catt", "cat"),
        ("saw", "cat"),
        ("cart", "cat"),
    ]
    assert all(doubt.gain > 0 and doubt.bits > doubt.gain for doubt in found)
    assert [doubt.word for doubt in NoisyChannel(["cat"], [model(False, "cat")]).doubts()] == []


def test_what_a_side_has_not_read_yet_does_not_count():
    """A backward model says the same of a word whatever stands before it."""
    own = tiny_model("the cat saw a cart and the dog ran", "word")
    own.reads_backward = True
    one, other = (list(NoisyChannel([first, "catt", "ran"], [own]).doubts()) for first in ("the", "dog"))
    assert [d for d in one if d.place == 1] == [d for d in other if d.place == 1]
