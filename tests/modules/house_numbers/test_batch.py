"""Numbers as digits and back."""

from modules.house_numbers.batch import MOST_DIGITS, STOP, decode, encode


def test_digits_come_back_as_numbers() -> None:
    numbers = ["7", "10", "00123"]
    digits = encode(numbers)
    assert digits.shape == (3, MOST_DIGITS) and digits[0].tolist() == [7, *[STOP] * 4]
    assert decode(digits) == numbers
