"""Tunes in ABC notation: where they begin and end, and their simple form."""

import pytest

from data_prep.text.abc_notation import BrokenTuneError, first_tune, melody, simplified, split_tunes

FANCY = """X: 17
T:The Tune % a title
M:C|
L:1/8
K:E Minor
u"4"e|\\
v(c<A)(A>.B) "Em"{ag}(3ABc !trill!d2|[ceg]2 x4 z2:|
w: words are sung
g4 A,4||
"""


def test_the_simple_form_has_four_headers_and_no_ornaments():
    wanted = "X:1\nM:2/2\nL:1/8\nK:Em\ne|c<AA>B(3ABcd2|[ceg]2z4z2:|\ng4A,4||\n"
    assert simplified(FANCY) == wanted
    assert simplified(wanted) == wanted


@pytest.mark.parametrize(
    ("metre", "length"), [("M:2/4\n", "1/16"), ("M:3/4\n", "1/8"), ("", "1/8"), ("M:2/4\nL:1/4\n", "1/4")]
)
def test_the_note_length_is_that_of_the_standard_where_none_is_given(metre, length):
    assert f"\nL:{length}\n" in simplified(f"X:1\n{metre}K:G\nGABc|\n")


@pytest.mark.parametrize(
    ("written", "key"),
    [("G", "G"), ("Gmaj", "G"), ("G Minor", "Gm"), ("A Dorian", "Ador"), ("F#m", "F#m"), ("bb", "Bb")],
)
def test_keys_have_one_name_each(written, key):
    assert f"\nK:{key}\n" in simplified(f"X:1\nK:{written}\nG|\n")


@pytest.mark.parametrize(
    ("tune", "line", "what"),
    [
        ("X:1\nK:G\nhello there", 3, "'hllothr' is no note"),
        ("X:1\nABc|\nK:G\n", 2, "notes stand before the key"),
        ("X:1\nK:G\n", 3, "holds no notes"),
        ("X:1\nK:G\nABc|\nK:D\nABc|", 4, "changes within a tune"),
        ("X:1\nK:Q\nABc|", 1, "K:Q is no key"),
        ("X:1\nM:4/0\nK:G\nABc|", 1, "M:4/0 is no metre"),
        ("X:1\nM:0/4\nK:G\nABc|", 1, "M:0/4 is no metre"),
        ("X:1\nL:8\nK:G\nABc|", 1, "L:8 is no note length"),
        ("X:1\nL:1/0\nK:G\nABc|", 1, "L:1/0 is no note length"),
    ],
)
def test_what_is_broken_is_said_with_its_line(tune, line, what):
    with pytest.raises(BrokenTuneError) as error:
        simplified(tune)
    assert error.value.line == line and what in str(error.value)


def test_a_tune_begins_with_x_and_ends_with_an_empty_line_or_the_next():
    text = "% a book\n\nX:1\nK:G\nAB|\n\nnotes of the editor\nX:2\nK:D\nX:3\nK:A\nC|"
    tunes = [(tune.line, tune.text) for tune in split_tunes(text)]
    assert tunes == [(3, "X:1\nK:G\nAB|\n"), (8, "X:2\nK:D\n"), (10, "X:3\nK:A\nC|\n")]
    assert first_tune(text) == "X:1\nK:G\nAB|\n" and first_tune("no tune") == ""


def test_the_melody_is_the_same_in_another_key_and_rhythm():
    one = melody("X:1\nK:C\nC2E2|G2c2|\n")
    assert one == [2, 2, 3] == melody("X:1\nM:3/4\nK:G\nG,B,DG|]\n") != melody("X:1\nK:C\nCEGB|\n")
