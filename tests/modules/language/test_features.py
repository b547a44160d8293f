"""What is said of each place of a text."""

import numpy as np
import pytest

from modules.language.features import is_word_character, text_features

QUOTED, COMMENT = "inside quotation marks", "inside a comment (after # or //)"


def marked(text: str, feature: str) -> str:
    """The characters at which the feature is not 0."""
    values = text_features(text)[feature]
    assert values.shape == (len(text),)
    return "".join(c for c, value in zip(text, values, strict=True) if value)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('say "yes" now', '"yes'),
        ("it's not 'that' it isn't", "'that"),
        ('a = "x\\"y" + 1', '"x\\"y'),
        ('"""two\n\nparts""" + x', '"""two\n\nparts""'),
        ("'''it's''' x", "'''it's''"),
        ("he said “yes” and « no » and 「是」", "“yes« no 「是"),
        ('one " stray mark\n\nand "another"', '"another'),
        ('"across\na line"', '"across\na line'),
        ('# a "comment\nx = "y"', '"y'),
        ("", ""),
    ],
)
def test_quotations(text, inside):
    assert marked(text, QUOTED) == inside


def test_comments_end_with_their_line_and_are_none_inside_quotations():
    assert marked('x = 1  # one\ny = "# no"\n// c\nhttp://a C#\n', COMMENT) == "# one// c"


def test_positions_count_from_their_beginnings():
    features = text_features("ab\n  cd. Ef\n\n(g[h])")
    wanted = {
        "position in the line": [1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 1, 2, 3, 4, 5, 6],
        "indentation": [0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0],
        "position in the word": [1, 2, 0, 0, 0, 1, 2, 0, 0, 1, 2, 0, 0, 0, 1, 0, 1, 0, 0],
        "position in the sentence": [1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6],
        "depth of brackets": [0] * 13 + [1, 1, 2, 2, 1, 0],
        "capital letter": [0] * 9 + [1] + [0] * 9,
        "space or line break": [0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 1] + [0] * 6,
    }
    for name, values in wanted.items():
        assert features[name].tolist() == values, name


def test_a_bracket_that_is_never_closed_is_forgotten_at_a_blank_line():
    assert text_features("(a\nb\n \nc)]d")["depth of brackets"].tolist() == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_a_feature_is_known_when_its_character_has_been_read():
    text = "def f(x):\n    return {'a': 1}  # \"b\n\n" * 3
    whole = text_features(text)
    for end in (5, 17, 30, 41, 60):
        begun = text_features(text[:end])
        for name in set(whole) - {QUOTED}:  # which looks ahead for its end
            assert np.array_equal(begun[name], whole[name][:end]), name


def test_words_of_every_script():
    assert all(is_word_character(c) for c in "aé_9я語क\u093e")
    assert not any(is_word_character(c) for c in " .'-\n。")
