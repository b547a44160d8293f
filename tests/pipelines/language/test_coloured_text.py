"""Coloured text is escaped, complete and no longer than it has to be."""

import math
from html import unescape
from re import sub

from modules.language.surprise import Unit
from pipelines.language.coloured_text import (
    LEVELS,
    Piece,
    activation_level,
    coloured,
    printable,
    surprise_level,
    surprise_pieces,
)


def text_of(html: str) -> str:
    return unescape(sub("<[^>]*>", "", html))


def test_markup_in_text_and_titles_is_text():
    evil = "<script>alert('\"')</script>&amp;"
    html = coloured([Piece(evil, 3, f'"{evil}'), Piece(evil, 0)])
    assert "<script" not in html and text_of(html) == evil * 2
    assert html.count('"') == 4  # class and title, with no third quotation mark to end one early


def test_nothing_of_the_text_is_lost():
    text = "two\nlines\twith  spaces é 語 😀"
    pieces = [Piece(c, i % 5 - 2) for i, c in enumerate(text)]
    assert text_of(coloured(pieces)) == text
    assert coloured(pieces[:1]) == '<span class="m2">t</span>'


def test_neighbours_of_one_colour_share_an_element():
    assert (
        coloured([Piece("a", 1), Piece("b", 1), Piece("c", 0), Piece("d", 0)])
        == '<span class="p1">ab</span>cd'
    )
    assert coloured([Piece("a", 1, "x"), Piece("b", 1, "y")]).count("<span") == 2
    assert coloured([]) == ""


def test_what_adds_no_text_counts_with_what_follows():
    units = [
        Unit("", -1.0, 3.0, "<c3>", -1.0),
        Unit("é", -1.0, 2.0, " ", math.log(0.25)),
        Unit("a", 0, 0, "a", 0),
    ]
    assert list(surprise_pieces(units)) == [
        Piece("é", surprise_level(5), "5.0 bits; expected ␣ (25%)"),
        Piece("a", 0),
    ]


def test_control_characters_are_shown_not_sent():
    assert coloured([Piece("a\x00\x1b[1m\x7f", 0)]) == "a␀␛[1m␡"
    assert printable(" \t\n\x00x") == "␣⇥↵␀x"


def test_levels_stay_within_the_colours_there_are():
    assert [surprise_level(bits) for bits in (0, 0.4, 1, 8, 30)] == [0, 0, 1, LEVELS, LEVELS]
    assert [activation_level(a) for a in (-1.5, -1, -0.05, 0, 0.5, 1)] == [-8, -8, 0, 0, 4, 8]
