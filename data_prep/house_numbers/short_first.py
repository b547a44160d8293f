"""Short numbers first: what is easy to find teaches a reader to see, and then it finds more (Bengio 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.batching import BucketSampler
from modules.house_numbers.batch import MOST_DIGITS


class ShortFirstSampler(BucketSampler):
    """Yields lists of item numbers for training; the first ones hold short numbers alone.

    The first quarter of those batches has numbers of one digit, the second of at most two, and so on. Digits
    of short numbers are large. They are drawn with replacement, so every epoch has equally many batches.

    Args:
        digits: Of each item's number.
        batch_size: Items in a batch of all processes together.
        short_first: Epochs that hold the short numbers; a part of an epoch is one, too.
        options: As of BucketSampler.
    """

    def __init__(self, digits: Sequence[int], batch_size: int, short_first: float, **options: Any) -> None:
        super().__init__([1] * len(digits), batch_size, **options)
        self.digits, self.short_first = np.asarray(digits), short_first

    def batches(self) -> list[np.ndarray]:
        """Returns the batches of this epoch, over all processes."""
        if self._epoch_batches is None or self._epoch_batches[0] != self.epoch:
            batches = super().batches()
            random = np.random.default_rng([self.seed, self.epoch, 1])
            # where few numbers are short, longer ones join them
            enough = np.sort(self.digits)[min(self.batch_size, len(self.digits)) - 1]
            short = round(len(batches) * (self.short_first - self.epoch))  # batches from here on
            quarter = len(batches) * self.short_first / (MOST_DIGITS - 1)
            for place in range(min(max(short, 0), len(batches))):
                most = 1 + int((self.epoch * len(batches) + place) / quarter)
                items = np.flatnonzero(self.digits <= max(most, enough))
                batches[place] = random.choice(items, len(batches[place]))
        return super().batches()
