"""From probabilities of digits to numbers, and the scores of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from modules.house_numbers.batch import MOST_DIGITS, STOP


def whole_numbers(
    log_p: Float[Tensor, "B M 11"], backward: Float[Tensor, "B M 11"] | None = None
) -> tuple[list[str], Float[Tensor, " B"], list[list[float]]]:
    """Returns the most probable number of each picture, its probability, and that of each of its digits.

    Steps do not depend on what was read before, so the best number is found exactly: of every length the best
    digits, and of these the best length. Where two readers decide, their log-probabilities are averaged (Ba
    et al. 2015, sec. 4.1). The first digit of the one is the last of the other.

    Args:
        log_p: Log-probabilities of the classes at every step, from left to right.
        backward: The same from right to left.
    """
    # of every length: scores of its digits, with the stop after them
    candidates: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for length in range(1, MOST_DIGITS + 1):
        digits = log_p[:, :length, :STOP]  # (B, L, 10)
        stop = log_p[:, length, STOP] if length < MOST_DIGITS else log_p.new_zeros(len(log_p))
        if backward is not None:
            digits = (digits + backward[:, :length, :STOP].flip(1)) / 2
            if length < MOST_DIGITS:
                stop = (stop + backward[:, length, STOP]) / 2
        best, chosen = digits.max(2)  # (B, L)
        everything = digits.logsumexp(2)
        candidates.append((best.sum(1) + stop, everything.sum(1) + stop, chosen, (best - everything).exp()))
    scores = torch.stack([score for score, _, _, _ in candidates], 1)  # (B, M)
    total = torch.stack([everything for _, everything, _, _ in candidates], 1).logsumexp(1)
    most, lengths = scores.max(1)
    numbers, by_digit = [], []
    for row, digits_less_one in enumerate(lengths.tolist()):
        _, _, chosen, p = candidates[digits_less_one]
        numbers.append("".join(map(str, chosen[row].tolist())))
        by_digit.append(p[row].tolist())
    return numbers, (most - total).exp(), by_digit


def digit_nats(logits: Float[Tensor, "B M 11"], digits: Int[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """Returns -log p of every digit or stop (nats)."""
    nats = F.cross_entropy(logits.flatten(0, 1), digits.flatten(), reduction="none")  # (B M,)
    return nats.view(digits.shape)


def read_terms(digits: Int[Tensor, "B M"]) -> Tensor:
    """Returns which steps count (B, M) bool: all digits of a number, and the first STOP behind them."""
    return (digits == STOP).cumsum(1) <= 1


def reversed_digits(digits: Int[Tensor, "B M"]) -> Int[Tensor, "B M"]:
    """Returns the digits from right to left, STOP behind them."""
    order = (digits == STOP).flip(1).long().argsort(dim=1, stable=True)
    return digits.flip(1).gather(1, order)


def number_scores(read: Sequence[str], true: Sequence[str]) -> dict[str, float]:
    """Returns the shares of numbers read right as a whole, of lengths, and of digits at their places.

    A digit is right where the number read has it at its place from the left, and has as many digits.

    Args:
        read: Numbers.
        true: What the pictures show, in the same order; at least one.
    """
    pairs = list(zip(read, true, strict=True))
    digits = [a == b and len(r) == len(t) for r, t in pairs for a, b in zip(r.ljust(len(t)), t, strict=False)]
    return {
        "accuracy": sum(r == t for r, t in pairs) / len(pairs),
        "length_accuracy": sum(len(r) == len(t) for r, t in pairs) / len(pairs),
        "digit_accuracy": sum(digits) / len(digits),
    }
