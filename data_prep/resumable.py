"""Batches that begin where training stands, in a fit that goes on amid an epoch too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Place = Callable[[], tuple[int, int]]


def place_in(trainer: Any) -> Place:
    """Returns what returns the epoch where training stands, and the number of batches trained on in it.

    A resumed run has both from its checkpoint. Lightning makes iterators earlier than it restores one, so the
    place is asked for when the first batch is wanted.
    """
    loop = trainer.fit_loop
    return lambda: (loop.epoch_progress.current.processed, loop.epoch_loop.batch_progress.current.processed)


class Resumable:
    """An order of batches that can begin at any place; `__len__` is the number of batches of an epoch."""

    epoch = 0
    skip = 0  # batches of the next pass

    def __len__(self) -> int:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of this epoch; Lightning calls it."""
        self.epoch = epoch

    def begin_at(self, epoch: int, done: int) -> None:
        """Lets the next pass begin after so many batches of an epoch."""
        self.epoch = epoch  # first: epochs may differ in length
        self.skip = done % len(self)

    def remaining(self) -> range:
        """Returns the numbers of the batches of a pass; the next pass will be a whole one."""
        skip, self.skip = self.skip, 0
        return range(skip, len(self))


class ResumableLoader:
    """What Lightning takes for a loader that can resume: it has nothing to keep, the trainer has the place.

    Args:
        place: As `place_in` returns it; by default every pass is a whole one.
    """

    def __init__(self, place: Place | None) -> None:
        self.place = place

    def state_dict(self) -> dict[str, Any]:
        """Returns nothing to keep."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Has nothing to restore; without it Lightning would warn that training cannot be resumed."""


class NumberedBatches(Resumable, ResumableLoader):
    """Batches that are a function of their epoch and their number in it."""

    def batch(self, epoch: int, number: int) -> Any:
        """Returns a batch of an epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        if self.place is not None:
            self.begin_at(*self.place())
        for number in self.remaining():
            yield self.batch(self.epoch, number)
