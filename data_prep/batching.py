"""Which items make a batch: near-equal lengths, the same for any number of processes, resumable.

Batches are a function of seed and epoch alone. With several processes each takes its share of every batch,
so that a step sees the same items however many there are; nothing is padded, repeated or dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, get_worker_info

from data_prep.resumable import Place, Resumable, ResumableLoader
from modules.errors import InputError

# how many batches are sorted by length together: enough for little padding, few enough to stay random
WINDOW = 50
MOST_WORKERS = 64  # a core: disks that are far away keep many waiting


class BucketSampler(Resumable, Sampler[list[int]]):
    """Yields lists of item numbers for training, of near-equal length.

    Args:
        lengths: Length of each item.
        batch_size: Items in a batch of all processes together.
        groups: Items of one group stay in one batch (the captions of an image); by default each stands alone.
        grouped_from: The first epoch in which they do.
        min_batches: An epoch goes through the items as often as it takes for so many batches.
        seed: Of the order.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        batch_size: int,
        *,
        groups: Sequence[int] | np.ndarray | None = None,
        grouped_from: int | float = 0,
        min_batches: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if len(lengths) < world_size:
            raise InputError(f"{len(lengths)} items to train on are too few for {world_size} processes")
        self.lengths = np.asarray(lengths)
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self.grouped_from, self.min_batches = grouped_from, min_batches
        # items group by group, and where each group begins: arrays, not one object a group
        self.items = np.arange(len(self.lengths))
        self.begin = self.items
        if groups is not None:
            self.items = np.argsort(groups, kind="stable")
            self.begin = np.flatnonzero(np.diff(np.asarray(groups)[self.items], prepend=-1))
        self.longest = np.maximum.reduceat(self.lengths[self.items], self.begin)
        self.sizes = np.diff(self.begin, append=len(self.items))
        self._epoch_batches: tuple[int, list[np.ndarray]] | None = None

    def batches(self) -> list[np.ndarray]:
        """Returns the batches of this epoch, over all processes."""
        if self._epoch_batches is None or self._epoch_batches[0] != self.epoch:
            random = np.random.default_rng([self.seed, self.epoch])
            batches = self._draw(random)
            while len(batches) < self.min_batches:
                batches += self._draw(random)
            self._epoch_batches = (self.epoch, batches)
        return self._epoch_batches[1]

    def _draw(self, random: np.random.Generator) -> list[np.ndarray]:
        """Returns batches that hold every item once."""
        is_grouped = self.epoch >= self.grouped_from
        longest = self.longest if is_grouped else self.lengths
        order = random.permutation(len(longest))
        # as many batches whether items are grouped or not; near-equal parts, so that no remainder is too
        # small for several processes
        count = min(len(order), -(-len(self.lengths) // self.batch_size))
        parts = np.array_split(order, count)
        batches: list[np.ndarray] = []
        for start in range(0, len(parts), WINDOW):
            count = len(parts[start : start + WINDOW])
            window = np.concatenate(parts[start : start + count])
            # a stable sort leaves groups of equal length in random order
            window = window[np.argsort(longest[window], kind="stable")]
            batches += np.array_split(window, count)
        joined: list[np.ndarray] = []
        for batch in batches:
            items = self._items_of(batch) if is_grouped else batch
            # every process needs an item of every batch: one too small for that joins the one before
            if joined and min(len(items), len(joined[-1])) < self.world_size:
                joined[-1] = np.concatenate([joined[-1], items])
            else:
                joined.append(items)
        return [joined[i] for i in random.permutation(len(joined))]

    def _items_of(self, groups: np.ndarray) -> np.ndarray:
        """Returns the items of groups, one group after another."""
        sizes = self.sizes[groups]
        before = np.cumsum(sizes) - sizes  # items of the groups before
        return self.items[np.repeat(self.begin[groups] - before, sizes) + np.arange(sizes.sum())]

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.remaining():
            yield self.batches()[step][self.rank :: self.world_size].tolist()

    def __len__(self) -> int:
        return len(self.batches())


class ShareSampler(Resumable, Sampler[list[int]]):
    """Yields lists of item numbers for evaluation, each item once on one process.

    Args:
        items: Number of items.
        batch_size: Items in a batch of one process.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(self, items: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> None:
        self.mine = list(range(rank, items, world_size))
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.remaining():
            yield self.mine[step * self.batch_size : (step + 1) * self.batch_size]

    def __len__(self) -> int:
        return -(-len(self.mine) // self.batch_size)


def decoding_workers() -> int:
    """Returns how many processes decode images beside this one: one fewer than there are cores, at most 8."""
    return min(8, max(1, (os.cpu_count() or 2) - 1))


def _shared(batch: Any) -> Any:
    """Moves what a worker process read to shared memory.

    PyTorch would do so in a thread whose errors reach nobody, and wait for the batch for ever.
    """
    if get_worker_info() is not None:
        for part in [batch] if isinstance(batch, Tensor) else batch:
            if isinstance(part, Tensor):
                part.share_memory_()
    return batch


class BatchLoader(ResumableLoader):
    """Iterates over the batches of a sampler, from the place in an epoch where training stands.

    It has a DataLoader and is none: Lightning would rebuild one for prediction and lose the sampler.

    Args:
        dataset: Returns a batch of what the sampler yields.
        sampler: Yields what the data set takes.
        place: Where training stands, asked when the first batch is wanted: workers fetch ahead from then on.
        workers: Worker processes.

    Raises:
        InputError: There would be far more workers than cores; they are all begun at once.
    """

    def __init__(
        self,
        dataset: Any,
        sampler: Resumable,
        *,
        place: Place | None = None,
        workers: int = 0,
    ) -> None:
        super().__init__(place)
        if workers > (most := MOST_WORKERS * (os.cpu_count() or 1)):
            raise InputError(f"num_workers is {workers:,}; for the cores of this machine {most} are the most")
        self.sampler = sampler
        self.batch_sampler = None  # Lightning asks; `sampler` yields the batches
        self.loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=_shared,
        )

    def __iter__(self) -> Iterator[Any]:
        if self.place is not None:
            self.sampler.begin_at(*self.place())
        yield from self.loader

    def __len__(self) -> int:
        return len(self.loader)


def evaluation_batches(
    dataset: Any, batch_size: int, *, rank: int = 0, world_size: int = 1, workers: int = 0
) -> BatchLoader:
    """Returns the batches of a data set that is evaluated, each item once on one process.

    Args:
        dataset: Returns a batch of numbers of items.
        batch_size: Items in a batch of one process.
        rank: Number of this process.
        world_size: Number of processes.
        workers: Worker processes.

    Raises:
        InputError: A process would have no item, and the others would wait for what it says at the end.
    """
    if len(dataset) < world_size:
        raise InputError(f"{len(dataset)} items to evaluate are too few for {world_size} processes")
    sampler = ShareSampler(len(dataset), batch_size, rank=rank, world_size=world_size)
    return BatchLoader(dataset, sampler, workers=workers)
