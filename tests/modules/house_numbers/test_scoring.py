"""The number that is read is the most probable one of all there are."""

import itertools

import pytest
import torch

from modules.house_numbers.batch import MOST_DIGITS, STOP, decode, encode
from modules.house_numbers.scoring import number_scores, read_terms, reversed_digits, whole_numbers


def probabilities(seed: int) -> torch.Tensor:
    logits = 2 * torch.randn(1, MOST_DIGITS, 11, generator=torch.Generator().manual_seed(seed)).double()
    logits[:, :, 3:STOP] = -30.0  # three digits are left, so that all numbers can be tried
    return logits.log_softmax(-1)


def score(log_p: torch.Tensor, number: str) -> float:
    steps = [int(digit) for digit in number] + [STOP] * (len(number) < MOST_DIGITS)
    return float(sum(log_p[0, step, value] for step, value in enumerate(steps)))


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_no_number_is_more_probable(seed: int, both: bool) -> None:
    forward, backward = probabilities(seed), probabilities(seed + 10) if both else None
    numbers = ["".join(n) for length in range(1, 6) for n in itertools.product("012", repeat=length)]

    def total(number: str) -> float:
        if backward is None:
            return score(forward, number)
        return (score(forward, number) + score(backward, number[::-1])) / 2

    scores = torch.tensor([total(number) for number in numbers]).double()
    (found,), probability, digits = whole_numbers(forward, backward)
    assert found == numbers[int(scores.argmax())]
    assert float(probability) == pytest.approx(float(scores.softmax(0).max()), abs=1e-6)
    assert len(digits[0]) == len(found) and all(0 < p <= 1 for p in digits[0])


def test_digits_are_turned_round() -> None:
    digits = encode(["123", "45678", "9"])
    assert decode(reversed_digits(digits)) == ["321", "87654", "9"]
    assert read_terms(digits).sum(1).tolist() == [4, 5, 2]


def test_shares_of_what_is_right() -> None:
    scores = number_scores(["12", "13", "1", "12345"], ["12", "12", "12", "12345"])
    assert scores == {
        "accuracy": 0.5,
        "length_accuracy": 0.75,
        "digit_accuracy": pytest.approx((2 + 1 + 0 + 5) / 11),
    }
