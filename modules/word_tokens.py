# ruff: noqa: RUF001
r"""Text to words and back without losing a blank.

Words are NLTK's (its word tokenizer, whose rules need no downloaded corpora), case kept; a Chinese, Japanese
or Korean character is a word of its own. Between two words stands what a reader expects: one blank, but none
before `,` `)` or `n't`, after `(` or an opening quote, or between two Chinese characters (`Spacing`). Only
what differs from that becomes a token: a line break `\n`; a tab; blanks in runs of 16, 8, 4, 2 and 1 (so that
indentations share tokens); and JOIN where two words touch against the rule, as in `f(x)`. Joining the tokens
of a text therefore gives the very same text, and joining generated ones gives readable text.
"""

import re
import unicodedata
from functools import lru_cache

from nltk.tokenize import NLTKWordTokenizer

# no text gives this token: NLTK always splits < and > off
JOIN = "<join>"
_RUNS = (16, 8, 4, 2, 1)
# fmt: off
_CLITICS = frozenset([
    "n't", "'s", "'m", "'d", "'ll", "'re", "'ve", "’s", "’m", "’d", "’ll", "’re", "’ve",
])
# Unicode's opening and closing punctuation (categories Ps, Pi and Pe, Pf) comes on top of these
_TIGHT_BEFORE = frozenset([
    ",", ".", ";", ":", "!", "?", "...", "…", "—", "%", "''", "、", "。", "，", "！", "？", "；", "：",
])
_TIGHT_AFTER = frozenset(["$", "£", "€", "@", "—", "``", "\\", "、", "。", "，", "！", "？", "；", "："])
# fmt: on
_IDEOGRAPH = (
    "[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_PIECES = re.compile(r"\n|\t| +|[^\S\n\t ]|\S+")
_IDEOGRAPHS = re.compile(f"({_IDEOGRAPH})")
# what NLTK would take apart although it is made of letters alone
_CONTRACTED = frozenset(["cannot", "gimme", "gonna", "gotta", "lemme", "wanna"])
_nltk = NLTKWordTokenizer()


class Spacing:
    """Knows whether a blank is expected between the words so far and the next one.

    A straight double quote opens where an even number of them stands before it in its line, and closes
    otherwise.
    """

    def __init__(self) -> None:
        self.last = ""  # token before; "" at the beginning of the text
        self.in_quotes = False

    def expects_blank(self, word: str) -> bool:
        """Returns whether a blank is expected before this word."""
        if not self.last or self.last == JOIN or self.last.isspace() or word == JOIN or word.isspace():
            return False
        if word == '"' and self.in_quotes:
            return False
        if self.last == '"' and self.in_quotes:
            return False
        if _is_tight_after(self.last) or _is_tight_before(word):
            return False
        return not (_is_ideograph(self.last[-1]) and _is_ideograph(word[0]))

    def advance(self, token: str) -> None:
        """Takes note of the token that came."""
        if token == '"':
            self.in_quotes = not self.in_quotes
        elif token == "\n":
            self.in_quotes = False
        self.last = token


class WordSplitter:
    """Splits a text that comes in pieces into tokens; a piece should end after a blank or a line break."""

    def __init__(self) -> None:
        self._spacing = Spacing()
        self._blanks = 0  # that were read and may turn out to be the expected one

    def push(self, text: str) -> list[str]:
        """Returns the tokens of a piece; blanks at its end may be kept back for the next."""
        tokens: list[str] = []
        for piece in _PIECES.findall(text):
            if piece[0] == " ":
                self._blanks += len(piece)
            elif piece.isspace():
                self._put_blanks(tokens)
                self._put(piece, tokens)
            else:
                for word in split_stretch(piece):
                    expected = self._spacing.expects_blank(word)
                    if self._blanks == 1 and expected:
                        self._blanks = 0
                    elif self._blanks:
                        self._put_blanks(tokens)
                    elif expected:
                        self._put(JOIN, tokens)
                    self._put(word, tokens)
        return tokens

    def flush(self) -> list[str]:
        """Returns the tokens of the blanks at the end of the text."""
        tokens: list[str] = []
        self._put_blanks(tokens)
        return tokens

    def _put(self, token: str, tokens: list[str]) -> None:
        self._spacing.advance(token)
        tokens.append(token)

    def _put_blanks(self, tokens: list[str]) -> None:
        for run in _RUNS:
            while self._blanks >= run:
                self._put(" " * run, tokens)
                self._blanks -= run


class WordJoiner:
    """Writes tokens one after the other as text."""

    def __init__(self) -> None:
        self._spacing = Spacing()

    def push(self, token: str) -> str:
        """Returns what this token adds to the text: itself, and the blank before it where one is expected."""
        blank = " " if self._spacing.expects_blank(token) else ""
        self._spacing.advance(token)
        return "" if token == JOIN else blank + token


@lru_cache(maxsize=1 << 18)  # texts repeat their words: this spares nearly all of the regular expressions
def split_stretch(stretch: str) -> tuple[str, ...]:
    """Returns the words of a text without blanks; written one after the other they are that text."""
    if stretch.isascii() and stretch.isalnum() and stretch.lower() not in _CONTRACTED:
        return (stretch,)
    words: list[str] = []
    for part in _IDEOGRAPHS.split(stretch):
        if part:
            words += [part] if _IDEOGRAPHS.fullmatch(part) else _nltk_words(part)
    return tuple(words)


def _nltk_words(stretch: str) -> list[str]:
    """Returns NLTK's words with the quotes as they were written, which NLTK replaces by `` and ''."""
    words: list[str] = []
    at = 0
    for word in _nltk.tokenize(stretch):
        if word in ("``", "''") and stretch.startswith('"', at):
            word = '"'
        if not stretch.startswith(word, at):
            break
        words.append(word)
        at += len(word)
    # a stretch in which NLTK changed something else stays in one piece from there on
    return words if at == len(stretch) else [*words, stretch[at:]]


@lru_cache(maxsize=1 << 16)
def _is_tight_before(word: str) -> bool:
    return word.lower() in _CLITICS or word in _TIGHT_BEFORE or _category(word) in ("Pe", "Pf")


@lru_cache(maxsize=1 << 16)
def _is_tight_after(word: str) -> bool:
    return word in _TIGHT_AFTER or _category(word) in ("Ps", "Pi")


def _category(word: str) -> str:
    return unicodedata.category(word) if len(word) == 1 else ""


def _is_ideograph(character: str) -> bool:
    return _IDEOGRAPHS.match(character) is not None
