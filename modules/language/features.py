"""What can be said of each place of a text without a model: in quotation marks, how deep in brackets, ...

Karpathy, Johnson and Li (2015, section 4.2) found single cells that follow such things. A feature's value at
a character describes the text up to and including it. A recurrent state that has just read the character
could know as much; only the end of a quotation is looked up ahead, so that a stray mark opens none.
"""

import re
import unicodedata

import numpy as np
from jaxtyping import Float

# a comment hides the quotation marks in it and the other way round; a blank line ends what was never closed
_COMMENT_OR_QUOTATION = re.compile(
    r"(?P<comment>(?<!\S)(?:#|//)[^\n]*)"
    r'|"""(?:\\.|[^\\])*?"""'
    r"|'''(?:\\.|[^\\])*?'''"
    r'|"(?:\\.|[^"\\\n]|\n(?![ \t]*\n))*"'
    r"|(?<!\w)'(?:\\.|[^'\\\n])*'(?!\w)"
    r"|“[^”]*”|«[^»]*»|„[^“”]*[“”]|「[^」]*」",
    re.DOTALL,
)
_BLANK_LINE = re.compile(r"\n[ \t]*(?=\n)")
_LONGEST = 100  # characters: what is farther away counts as this far


def is_word_character(character: str) -> bool:
    """Whether it belongs to a word: letters, marks and digits of every script, and the underscore."""
    return character == "_" or unicodedata.category(character)[0] in "LMN"


def text_features(text: str) -> dict[str, Float[np.ndarray, " C"]]:
    """One value a character for each feature, by the feature's name; C is the number of characters."""
    count = len(text)
    names = (
        "position in the line",
        "indentation",
        "depth of brackets",
        "position in the word",
        "position in the sentence",
    )
    values = {name: np.zeros(count, np.float32) for name in names}
    column = indentation = depth = word = sentence = 0
    margin = True  # nothing but spaces so far in this line
    blank = {match.end() for match in _BLANK_LINE.finditer(text)}
    for place, character in enumerate(text):
        if character == "\n":
            column, indentation, margin = 0, 0, True
            depth = 0 if place in blank else depth
        else:
            column += 1
            margin = margin and character in " \t"
            indentation += margin
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth = max(0, depth - 1)
        word = word + 1 if is_word_character(character) else 0
        sentence = 0 if character in ".!?。！？" or place in blank else sentence + 1  # noqa: RUF001
        for name, value in zip(names, (column, indentation, depth, word, sentence), strict=True):
            values[name][place] = min(value, _LONGEST)
    quoted, commented = np.zeros(count, np.float32), np.zeros(count, np.float32)
    for match in _COMMENT_OR_QUOTATION.finditer(text):
        if match["comment"]:
            commented[match.start() : match.end()] = 1
        else:  # after the mark that closes it one is outside
            quoted[match.start() : match.end() - 1] = 1
    return {
        "inside quotation marks": quoted,
        "inside a comment (after # or //)": commented,
        **values,
        "capital letter": np.array([c.isupper() for c in text], np.float32),
        "digit": np.array([c.isdigit() for c in text], np.float32),
        "space or line break": np.array([c.isspace() for c in text], np.float32),
    }
