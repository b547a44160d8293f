"""Long texts as batches: parallel streams for training, every token once for evaluation.

Training is truncated backpropagation through time: row b of a batch goes on where row b of the batch before
ended, so that the model can carry its state along. Both kinds of streams are a function of their arguments
alone; with several processes each has its own streams, and together they read what one process would.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from data_prep.resumable import NumberedBatches, Place
from modules.errors import InputError
from modules.language.batch import TextBatch
from modules.vocabulary import Vocabulary

# evaluation: tokens of a document that one stream scores, and those it reads in before them
PIECE, LEAD = 8192, 256


class TrainingStreams(NumberedBatches):
    """Batches of B streams that stand evenly spaced in the text, which is read as a ring.

    Every stream reads as many whole windows of T tokens as there are up to the start of the next. From the
    second epoch on the ring is entered at a place drawn for the epoch. So windows fall differently and the
    few tokens left over change; a single stream always reads from beginning to end. A document begins with
    <bos>, which is read and never a target.

    Args:
        tokens: Ids, every document after a <bos>.
        batch_size: Streams of all processes together.
        sequence_length: Tokens of a window, T.
        seed: Of the places where the epochs begin.
        rank: Number of this process, which has the streams rank, rank + world_size, ...
        world_size: Number of processes.
        place: Where training stands, asked when the first batch is wanted. Without it every pass is the first
            epoch.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        batch_size: int,
        sequence_length: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        place: Place | None = None,
    ) -> None:
        super().__init__(place)
        if batch_size % world_size:
            raise InputError(
                f"data.batch_size is {batch_size}; {world_size} processes share it, so it has to be a "
                f"multiple of {world_size}"
            )
        # without the memory map's own class, which makes every look-up slower
        self.tokens, self.streams, self.sequence_length = np.asarray(tokens), batch_size, sequence_length
        self.seed = seed
        starts = np.arange(rank, batch_size, world_size) * (len(tokens) // batch_size)
        self.first_places = starts[:, None] + np.arange(sequence_length + 1)  # (B, T + 1) of the first batch

    def __len__(self) -> int:
        """Returns the batches of an epoch."""
        return max(1, len(self.tokens) // self.streams // self.sequence_length)

    def batch(self, epoch: int, number: int) -> TextBatch:
        """Returns a batch of an epoch."""
        begin = number * self.sequence_length
        if epoch and self.streams > 1:
            begin += int(np.random.default_rng([self.seed, epoch]).integers(len(self.tokens)))
        # wrap: the text is a ring
        window = self.tokens.take(self.first_places + begin, mode="wrap").astype(np.int64)  # (B, T + 1)
        tokens, following = window[:, :-1], window[:, 1:]
        targets = np.where(following == Vocabulary.BOS, Vocabulary.PAD, following)
        resets = torch.full((len(window),), number == 0)
        return TextBatch(torch.from_numpy(tokens), torch.from_numpy(targets), resets)


class HeldOutStreams:
    """Batches in which every token of a split is a target exactly once.

    A document is cut into pieces of at most 8,192 targets. A piece begins with the state zero; its stream
    first reads the 256 tokens before it, or the <bos> of the document, without scoring them. Which piece is
    read beside which other changes nothing, so neither does the batch size.

    Args:
        tokens: Ids, every document after a <bos>.
        batch_size: Streams of this process.
        sequence_length: Most tokens of a window.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        batch_size: int,
        sequence_length: int,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.tokens, self.sequence_length = tokens, sequence_length
        # the longest first, so that streams side by side end at nearly the same time
        pieces = sorted(_pieces(tokens), key=lambda piece: piece[0] - piece[2])[rank::world_size]
        self.groups = [pieces[start : start + batch_size] for start in range(0, len(pieces), batch_size)]
        if not self.groups:
            # a process without a share still takes part in what all of them do at the end
            self.groups = [[(0, 1, 1)]]

    def __len__(self) -> int:
        return sum(-(-self._longest(group) // self.sequence_length) for group in self.groups)

    @staticmethod
    def _longest(group: list[tuple[int, int, int]]) -> int:
        return max(1, max(stop - start - 1 for start, _, stop in group))

    def __iter__(self) -> Iterator[TextBatch]:
        for group in self.groups:
            longest = self._longest(group)
            for at in range(0, longest, self.sequence_length):
                width = min(self.sequence_length, longest - at)
                tokens = np.zeros((len(group), width), np.int64)  # PAD is 0
                targets = tokens.copy()
                for row, (start, scored, stop) in enumerate(group):
                    window = self.tokens[start + at : min(stop, start + at + width + 1)]
                    read = max(0, len(window) - 1)
                    tokens[row, :read] = window[:-1]
                    unscored = max(0, scored - (start + at + 1))
                    targets[row, unscored:read] = window[1 + unscored :]
                resets = torch.full((len(group),), at == 0)
                yield TextBatch(torch.from_numpy(tokens), torch.from_numpy(targets), resets)


def _pieces(tokens: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yields (first token to read, first target, end) of all pieces."""
    begins = np.flatnonzero(tokens == Vocabulary.BOS).tolist()
    for begin, end in zip(begins, [*begins[1:], len(tokens)], strict=True):
        for scored in range(begin + 1, end, PIECE):
            yield max(begin, scored - 1 - LEAD), scored, min(end, scored + PIECE)
