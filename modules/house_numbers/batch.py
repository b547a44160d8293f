"""What the models of house numbers are fed, and how numbers are written as digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

MOST_DIGITS = 5  # of a number (Goodfellow et al. 2014)
STOP = 10  # what is read after the last digit
CLASSES = 11


class NumberBatch(NamedTuple):
    """B pictures of house numbers.

    Attributes:
        images: RGB bytes (B, 3, S, S).
        digits: What they show (B, MOST_DIGITS), STOP behind the last digit.
        names: Of the pictures.
        errors: Names of pictures that cannot be read, each with the reason.
    """

    images: Tensor
    digits: Tensor
    names: list[str]
    errors: Sequence[tuple[str, str]] = ()


def encode(numbers: Sequence[str]) -> Int[Tensor, "B M"]:
    """Returns the digits of numbers of at most MOST_DIGITS digits, STOP behind them."""
    digits = torch.full((len(numbers), MOST_DIGITS), STOP)
    for row, number in enumerate(numbers):
        digits[row, : len(number)] = torch.tensor([int(digit) for digit in number])
    return digits


def decode(digits: Int[Tensor, "B M"]) -> list[str]:
    """Returns the numbers of digits, up to the first STOP."""
    rows = [row[: row.index(STOP)] if STOP in row else row for row in digits.tolist()]
    return ["".join(map(str, row)) for row in rows]
