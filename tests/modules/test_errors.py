"""The message that a user gets."""

import pytest

from modules.errors import InputError, check_choice


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    assert (
        str(InputError("a.csv:1: column 'im\nage'\r\nis absent\u2028"))
        == "a.csv:1: column 'im age' is absent"
    )


def test_a_choice_that_is_none_is_told_the_nearest() -> None:
    check_choice(("one", "two"), number="two")
    with pytest.raises(InputError, match="number is 'TWOO'; the nearest is 'two' of one, two"):
        check_choice(("one", "two"), other="one", number="TWOO")
