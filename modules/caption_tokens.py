"""Caption tokens as the COCO evaluation makes them, without Java: for the vocabulary and for scoring."""

import re
from collections.abc import Sequence
from functools import lru_cache

from nltk.tokenize import TreebankWordTokenizer

# The COCO evaluation's list; Stanford's tokenizer, which it uses, writes brackets as -LRB- etc.
# fmt: off
PUNCTUATION = frozenset([
    "''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";",
    "(", ")", "{", "}", "[", "]", "<", ">",
])
# Treebank words that are written as one; the apostrophe clitics attach to any word.
_CLITICS = frozenset(["n't", "'s", "'m", "'d", "'ll", "'re", "'ve"])
_CONTRACTED = frozenset([
    ("can", "not"), ("gim", "me"), ("gon", "na"), ("got", "ta"), ("lem", "me"), ("wan", "na"),
    ("d", "'ye"), ("more", "'n"), ("'t", "is"), ("'t", "was"),
])
# fmt: on
# A period that belongs to the word: "u.s.", "p.m." and the few that stand inside sentences.
_ABBREVIATION = re.compile(r"(?:[a-z]\.){2,}|(?:mr|mrs|ms|dr|st|jr|sr|vs|etc|co|inc)\.")
# What Treebank's rules leave stuck to a word: brackets and marks around an abbreviation; the hyphens and
# periods of "dog-" and "..a", but not the point of ".22"; an opening quote, but not the apostrophe of a
# clitic; the comma of "a,1", but not of "3,000".
_STUCK = re.compile(
    r"""^[][(){}<>",;:!?]+ | [][(){}<>",;:!?]+$
      | ^[-.]+(?=[^\W\d])  | [-.]+$
      | ^'(?=[^\W\d])(?!(?:s|m|d|ll|re|ve|t|tis|twas|n|em|til|ye)\b)
      | (?<!\d),           | ,(?!\d)""",
    re.VERBOSE,
)
_TYPOGRAPHIC = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "…": " ", "–": " ", "—": " "}  # noqa: RUF001
)
_treebank = TreebankWordTokenizer()


def tokenize(caption: str) -> list[str]:
    """Words of a caption: Penn Treebank tokens in lower case, punctuation dropped.

    "A man's dog (brown) can't swim." gives a man 's dog brown ca n't swim. Every stretch without blanks is
    tokenized by itself, so a period ends a sentence anywhere in the caption. A language written without
    blanks must be segmented first: one stretch is one word.
    """
    stretches = caption.translate(_TYPOGRAPHIC).lower().split()
    return [word for stretch in stretches for word in _tokenize_stretch(stretch)]


def detokenize(words: Sequence[str]) -> str:
    """The caption a reader expects of tokenized words: "ca n't" is written "can't", "man 's" "man's".

    `tokenize(detokenize(words)) == words` for all words that came from `tokenize`: two words are joined only
    where tokenizing takes them apart again.
    """
    stretches: list[str] = []
    inside: list[str] = []  # the words within the last stretch
    for word in words:
        belongs = word in _CLITICS or (len(inside) == 1 and (inside[0], word) in _CONTRACTED)
        if inside and belongs and _tokenize_stretch(stretches[-1] + word) == (*inside, word):
            stretches[-1] += word
            inside.append(word)
        else:
            stretches.append(word)
            inside = [word]
    return " ".join(stretches)


@lru_cache(maxsize=1 << 16)  # captions repeat their words: this spares nearly all of the regular expressions
def _tokenize_stretch(stretch: str) -> tuple[str, ...]:
    """Words of a lower-case text without blanks; each of them, tokenized again, is left as it is."""
    words, pending = [], [stretch]
    while pending:
        piece = pending.pop()
        if piece in PUNCTUATION:
            continue
        pieces = [piece]
        if not _ABBREVIATION.fullmatch(piece):
            pieces = _STUCK.sub(" ", piece).split()
            if pieces == [piece]:
                pieces = _treebank.tokenize(piece)
        if pieces == [piece]:
            words.append(piece)
        else:
            pending += reversed(pieces)
    return tuple(words)
