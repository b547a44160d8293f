"""Of any caption the words are fixed points: they are split no further, and come back from what is shown."""

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st
from nltk.tokenize import TreebankWordTokenizer

from modules.caption_tokens import PUNCTUATION, detokenize, tokenize

PARTS = [
    *"abAi.,;:!?()[]{}<>\"'`-/$%@#&0é道‘’“”…–— ",  # noqa: RUF001
    "n't", "'s", "can", "not", "gon", "na", "'t", "is", "wan", "d", "'ye", "mr.", "u.s.", "--", "...",
    "3,000", "-lrb-",
]  # fmt: skip
captions = st.one_of(st.text(), st.lists(st.sampled_from(PARTS), max_size=25).map("".join))


@given(captions)
def test_words_are_lower_case_without_blanks_or_punctuation(caption: str) -> None:
    for word in tokenize(caption):
        assert word and word.split() == [word] and word not in PUNCTUATION and word == word.lower()


@given(captions)
def test_words_are_split_no_further(caption: str) -> None:
    words = tokenize(caption)
    assert tokenize(" ".join(words)) == words


@given(captions)
def test_what_is_shown_gives_the_words_again(caption: str) -> None:
    words = tokenize(caption)
    assert tokenize(detokenize(words)) == words


@given(
    st.lists(
        st.sampled_from(["a", "dog", "n't", "ca", "'s", "can", "not", "u.s.", "<unk>", "man", "gon", "na"])
    )
)
def test_a_models_words_are_shown_in_their_order(words: list[str]) -> None:
    assert detokenize(words).replace(" ", "") == "".join(words)


contractions = [("can", "not"), ("gim", "me"), ("gon", "na"), ("got", "ta"), ("lem", "me"), ("wan", "na")]
letters_and_digits = st.sampled_from([*chain(*contractions), "a", "s", "ll", "7", "d", "ye"])


@given(st.lists(letters_and_digits, min_size=1).map("".join))
def test_letters_and_digits_alone_are_one_word_but_for_contractions(word: str) -> None:
    parts = next((pair for pair in contractions if "".join(pair) == word), (word,))
    assert tuple(tokenize(word)) == parts == tuple(TreebankWordTokenizer().tokenize(f"{word} .")[:-1])
