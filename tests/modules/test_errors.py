"""The message that a user gets."""

import math

import pytest

from modules.errors import InputError, check_at_least, check_choice, tell


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    assert (
        str(InputError("a.csv:1: column 'im\nage'\r\nis absent\u2028"))
        == "a.csv:1: column 'im age' is absent"
    )


def test_nothing_in_a_line_steers_a_terminal(capsys) -> None:
    name = "a\x1b[31m\r\n\u202e\udcff é 犬.jpg"
    tell(name)
    assert capsys.readouterr().err == "a�[31m���� é 犬.jpg\n"
    assert "\x1b" not in str(InputError(f"{name}: no such file"))


def test_a_choice_that_is_none_is_told_the_nearest() -> None:
    check_choice(("one", "two"), number="two")
    with pytest.raises(InputError, match="number is 'TWOO'; the nearest is 'two' of one, two"):
        check_choice(("one", "two"), other="one", number="TWOO")


@pytest.mark.parametrize("value", [-0.5, math.nan])
def test_what_is_below_the_least_or_no_number_is_refused(value):
    with pytest.raises(InputError, match="it has to be at least 0"):
        check_at_least(0, length=3, rate=None, temperature=value)
