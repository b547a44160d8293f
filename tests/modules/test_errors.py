"""The message that a user gets."""

from modules.errors import InputError


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    assert (
        str(InputError("a.csv:1: column 'im\nage'\r\nis absent\u2028"))
        == "a.csv:1: column 'im age' is absent"
    )
