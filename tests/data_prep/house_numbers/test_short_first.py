"""Short numbers come first, and every item comes once an epoch after that."""

import numpy as np
import pytest

from data_prep.house_numbers.short_first import ShortFirstSampler

DIGITS = [1 + number % 5 for number in range(100)]


def longest(sampler: ShortFirstSampler, epoch: int) -> list[int]:
    sampler.begin_at(epoch, 0)
    return [max(DIGITS[item] for item in batch) for batch in sampler]


def test_numbers_grow_over_a_part_of_the_epochs() -> None:
    sampler = ShortFirstSampler(DIGITS, 10, 1.2)
    first, second = longest(sampler, 0), longest(sampler, 1)
    assert len(first) == len(second) == len(sampler) == 10
    bounds = [1 + int(place / 3) for place in range(12)]  # of 12 batches of short numbers
    assert all(found <= bound for found, bound in zip(first + second, bounds, strict=False))
    assert first[:3] == [1, 1, 1] and max(first) == 4 and max(second[2:]) == 5
    sampler.begin_at(2, 0)
    assert sorted(item for batch in sampler for item in batch) == list(range(100))


def test_batches_depend_on_seed_and_epoch_alone_and_are_shared_by_processes() -> None:
    whole, again = (ShortFirstSampler(DIGITS, 10, 2.0, seed=3) for _ in range(2))
    halves = [ShortFirstSampler(DIGITS, 10, 2.0, seed=3, rank=rank, world_size=2) for rank in (0, 1)]
    for sampler in (whole, again, *halves):
        sampler.begin_at(1, 4)
    batches = list(whole)
    assert batches == list(again) and len(batches) == 6
    assert [sorted(a + b) for a, b in zip(*halves, strict=True)] == [sorted(batch) for batch in batches]


@pytest.mark.parametrize("digits", [[5] * 20, [3] + [5] * 19])
def test_where_few_numbers_are_short_longer_ones_join_them(digits: list[int]) -> None:
    sampler = ShortFirstSampler(digits, 4, 1.0)
    assert len(np.unique([item for batch in sampler for item in batch])) > 4
