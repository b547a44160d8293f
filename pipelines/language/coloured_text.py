"""Text on a coloured ground, one colour a piece: how surprising each character was, how active a unit was.

The colours are classes of `coloured_text.css.jinja`, which a template includes in its style block.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup, escape

from modules.language.surprise import Unit

LEVELS = 8  # steps of colour on either side of none
MOST_BITS = 8.0  # a piece of so many bits or more has the strongest colour
# what a page cannot show: control characters as their pictures, so that a file's own stay visible
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}


class Piece(NamedTuple):
    """Some text, its colour from -LEVELS to LEVELS, and what a pointer over it shows ("" for nothing)."""

    text: str
    level: int
    title: str = ""


def surprise_level(bits: float) -> int:
    """Returns the colour 0..LEVELS of a piece that cost so many bits."""
    return max(0, min(LEVELS, round(bits / MOST_BITS * LEVELS)))


def surprise_pieces(units: Iterable[Unit]) -> Iterator[Piece]:
    """Yields the units on the colour of what they cost; a pointer over one shows what was expected there."""
    bits = 0.0
    for unit in units:
        bits += unit.bits
        if not unit.text:  # the first bytes of a character, or two words that touch: what follows has it
            continue
        level, title = surprise_level(bits), ""
        if level:
            expected, probability = printable(unit.expected), math.exp(unit.expected_log_prob)
            title = f"{bits:.1f} bits; expected {expected} ({probability:.0%})"
        yield Piece(unit.text, level, title)
        bits = 0.0


def activation_level(activation: float) -> int:
    """Returns the colour -LEVELS..LEVELS of an activation from -1 to 1."""
    return max(-LEVELS, min(LEVELS, round(activation * LEVELS)))


def coloured(pieces: Iterable[Piece]) -> Markup:
    """The pieces, escaped, for a `<pre class="coloured">`; neighbours of one colour share an element."""
    parts: list[Markup] = []
    for (level, title), group in groupby(pieces, key=lambda piece: (piece.level, piece.title)):
        text = escape("".join(piece.text for piece in group).translate(_PICTURES))
        if level:
            # a line break has no ground to colour
            text = text.replace("\n", Markup('<i class="nl"></i>\n'))
        name = f"p{level}" if level > 0 else f"m{-level}" if level < 0 else ""
        attributes = Markup(' class="{}"').format(name) if name else Markup("")
        attributes += Markup(' title="{}"').format(title) if title else Markup("")
        parts.append(Markup("<span{}>{}</span>").format(attributes, text) if attributes else text)
    return Markup("").join(parts)


def printable(text: str) -> str:
    """Returns the text with spaces, line breaks and control characters made visible, for a table's cell."""
    pictures = _PICTURES | {ord("\n"): "↵", ord("\t"): "⇥", ord(" "): "␣"}
    return text.translate(pictures)
