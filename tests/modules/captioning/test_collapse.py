"""What is said of captions that are no longer language."""

import pytest

from modules.captioning.collapse import Writing, collapse_of, writing_of

REFERENCES = {
    "1.jpg": ["A dog runs on a beach.", "A brown dog with a ball."],
    "2.jpg": ["Two men play with a ball.", "Men on a beach."],
}


def test_length_distinct_captions_and_odd_endings_are_counted():
    captions = {
        "1.jpg": "a dog with a",
        "2.jpg": "a dog on a beach",
        "3.jpg": "a dog on a beach",
        "4.jpg": "",
    }
    assert writing_of(captions, REFERENCES) == Writing(14 / 4, 3 / 4, 1 / 4)


def test_a_word_that_people_never_use_is_no_odd_ending():
    assert writing_of({"1.jpg": "a zebra"}, REFERENCES).odd_endings == 0


BEFORE = Writing(length=10.0, distinct=0.6, odd_endings=0.02)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (Writing(10.0, 0.6, 0.13), "end in a word such as 'a' or 'with'"),
        (Writing(10.0, 0.29, 0.02), "29% of the captions are different, 60% were"),
        (Writing(17.0, 0.6, 0.02), "captions have 17.0 words, they had 10.0"),
        (Writing(5.0, 0.6, 0.02), "captions have 5.0 words"),
    ],
)
def test_what_has_become_of_the_language_is_said(now, said):
    assert said in collapse_of(BEFORE, now)


def test_language_that_holds_is_left_alone():
    assert collapse_of(BEFORE, Writing(9.0, 0.5, 0.05)) is None
