"""Which clips make a batch: shuffled ones, or parallel streams of them, and how often each is drawn.

Batches are a function of seed and epoch alone, and the same for any number of processes: each takes its
share of every batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from data_prep.driving.windows import AS_DRIVEN, NO_WINDOW, ClipPlan, Pace, Window, plan_clips, windows_of
from data_prep.resumable import Resumable
from modules.errors import InputError

# Quantiles of the clips' mean angle, without its sign, that part them: the straighter half, and ever smaller
# parts of ever sharper curves. Quantiles know no unit: radians and shares of full lock do alike.
QUANTILES = (0.5, 0.75, 0.9, 0.97)


class ClipSampler(Resumable, Sampler[ClipPlan]):
    """What both ways of making batches share: the rows of clips, and the share of a process.

    Args:
        segments: Rows of each unbroken run of frames.
        length: Frames to predict in a clip.
        context: Frames before them.
        batch_size: Clips in a batch of all processes together.
        seed: Of the order.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        segments: Sequence[np.ndarray],
        length: int,
        context: int,
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size < world_size:
            raise InputError(f"a batch of {batch_size} clips is too small for {world_size} processes")
        self.segments, self.length, self.context = list(segments), length, context
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self.time_stretch = 0.0

    def __iter__(self) -> Iterator[ClipPlan]:
        for step in self.remaining():
            windows, resets, draws = self.batch(step)
            mine = slice(self.rank, None, self.world_size)
            paces = [
                self._pace(step, number, windows[number], int(draws[number]))
                for number in range(len(windows))[mine]
            ]
            planned = plan_clips(self.segments, windows[mine], self.length, self.context, paces)
            rows, is_padding, between = planned
            rates = np.array([pace.rate for pace in paces])
            yield ClipPlan(rows, is_padding, resets[mine], draws[mine], between, rates)

    def __len__(self) -> int:
        """Number of batches in an epoch, the same in every epoch."""
        raise NotImplementedError

    def batch(self, step: int) -> tuple[list[Window], np.ndarray, np.ndarray]:
        """Returns windows, resets and seeds of a batch of this epoch, over all processes."""
        raise NotImplementedError

    def run(self, step: int, number: int) -> tuple[int, int]:
        """Returns the first frame of the clips that go on from one another, and how many frames they have.

        Args:
            step: Of the batch.
            number: Of a clip in it that is one of them.
        """
        raise NotImplementedError

    def stretch_time(self, most: float) -> None:
        """Lets time run up to 1 + `most` times as fast or as slow from now on, the same from reset to reset.

        Both ways are drawn equally often, the logarithm of the rate evenly. Clips that would leave their
        segment begin earlier; where even that is too late, time runs slower.
        """
        self.time_stretch = most

    def _pace(self, step: int, number: int, window: Window, draw: int) -> Pace:
        if not self.time_stretch or window.segment < 0:
            return AS_DRIVEN
        first, frames = self.run(step, number)
        last = len(self.segments[window.segment]) - 1
        if frames - 1 > last:  # padded: there is nothing to spare
            return AS_DRIVEN
        drawn = np.random.default_rng([draw, 1]).uniform(-1, 1)
        rate = min(math.exp(drawn * math.log1p(self.time_stretch)), last / max(1, frames - 1))
        begin = min(float(first), last - rate * (frames - 1))
        return Pace(rate, begin - rate * first)


class ShuffledClips(ClipSampler):
    """Yields clips in random order, each starting afresh.

    Args:
        segments: As for every sampler.
        length: Frames to predict in a clip.
        context: Frames before them.
        batch_size: Clips in a batch of all processes together.
        stride: Frames from one window to the next.
        seed: Of the order.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        segments: Sequence[np.ndarray],
        length: int,
        context: int,
        batch_size: int,
        *,
        stride: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(segments, length, context, batch_size, seed=seed, rank=rank, world_size=world_size)
        self.windows = windows_of(self.segments, length, stride)
        if len(self.windows) < world_size:
            raise InputError(f"{len(self.windows)} clips to train on are too few for {world_size} processes")
        self.share: np.ndarray | None = None
        # near-equal batches, so that no remainder is too small for several processes
        batches = min(-(-len(self.windows) // batch_size), len(self.windows) // world_size)
        self.parts = np.array_split(np.arange(len(self.windows)), batches)
        self._drawn: tuple[int, np.ndarray, np.ndarray] | None = None

    def mean_angles(self, angle_rad: np.ndarray) -> np.ndarray:
        """Returns the mean of |angle| over the frames of each window that are known, NaN where none is.

        Args:
            angle_rad: the angle of every row of the table.
        """
        means = np.full(len(self.windows), np.nan)
        for number, (segment, first) in enumerate(self.windows):
            angles = np.abs(angle_rad[self.segments[segment][first : first + self.length]])
            known = angles[~np.isnan(angles)]
            if len(known):
                means[number] = known.mean()
        return means

    def weigh(self, weights: np.ndarray) -> None:
        """Draws windows with replacement from now on, as often as their weights (N,) say."""
        self.share, self._drawn = weights / weights.sum(), None

    def _draw(self) -> tuple[int, np.ndarray, np.ndarray]:
        """Returns the epoch, its windows in order, and their seeds."""
        if self._drawn is None or self._drawn[0] != self.epoch:
            random = np.random.default_rng([self.seed, self.epoch])
            count = len(self.windows)
            if self.share is None:
                order = random.permutation(count)
            else:
                order = random.choice(count, count, p=self.share)
            self._drawn = self.epoch, order, random.integers(2**62, size=count)
        return self._drawn

    def batch(self, step: int) -> tuple[list[Window], np.ndarray, np.ndarray]:
        _, order, seeds = self._draw()
        places = self.parts[step]
        return [self.windows[i] for i in order[places]], np.ones(len(places), bool), seeds[places]

    def run(self, step: int, number: int) -> tuple[int, int]:
        _, order, _ = self._draw()
        return self.windows[order[self.parts[step][number]]].first, self.length

    def __len__(self) -> int:
        return len(self.parts)


class StreamedClips(ClipSampler):
    """Yields parallel streams of clips, each clip beginning where the one before it in its stream ended.

    The recurrent state is carried from batch to batch, as far as there is no reset. For training the frames
    of all segments are dealt evenly to the streams (truncated BPTT with cursors spaced evenly). Order and
    phase differ from epoch to epoch. For evaluation every segment is one stream's from its first frame to its
    last, and no frame is left out.

    Args:
        segments: As for every sampler.
        length: Frames to predict in a clip.
        context: Frames before them.
        batch_size: Most streams, over all processes.
        training: Cut segments so that all streams are equally long.
        seed: Of the order.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        segments: Sequence[np.ndarray],
        length: int,
        context: int,
        batch_size: int,
        *,
        training: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(segments, length, context, batch_size, seed=seed, rank=rank, world_size=world_size)
        self.training = training
        self._laid: tuple[int, list[list[Window]], np.ndarray] | None = None
        self._runs: dict[int, tuple[int, int]] = {}  # where the run that a stream is in begins and ends
        self.steps = self._training_steps() if training else max(map(len, self._whole()))

    def _tiles(self, number: int, phase: int) -> list[Window]:
        return [Window(number, first) for first in range(phase, len(self.segments[number]), self.length)]

    def _training_steps(self) -> int:
        # a phase leaves out as much as one clip of a segment; counted so that epochs are equally long
        tiles = sum(max(1, len(rows) // self.length) for rows in self.segments)
        return -(-tiles // min(self.batch_size, max(tiles, self.world_size)))

    def _cut(self) -> list[list[Window]]:
        """Returns the clips of all segments, in this epoch's order and phases, dealt evenly to streams."""
        random = np.random.default_rng([self.seed, self.epoch])
        tiles: list[Window] = []
        for number in random.permutation(len(self.segments)).tolist():
            frames = len(self.segments[number])
            count = max(1, frames // self.length)
            # what whole clips leave over is left out, now at the beginning and now at the end
            phase = int(random.integers(max(0, frames - count * self.length) + 1))
            tiles += self._tiles(number, phase)[:count]
        streams = min(self.batch_size, max(len(tiles), self.world_size))
        return [[tiles[i] for i in part] for part in np.array_split(np.arange(len(tiles)), streams)]

    def _whole(self) -> list[list[Window]]:
        """Returns the segments dealt to the streams, the longest first, each to the shortest stream."""
        streams: list[list[Window]] = [
            [] for _ in range(min(self.batch_size, max(len(self.segments), self.world_size)))
        ]
        for number in sorted(range(len(self.segments)), key=lambda n: (-len(self.segments[n]), n)):
            min(streams, key=len).extend(self._tiles(number, 0))
        return streams

    def _lay(self) -> tuple[int, list[list[Window]], np.ndarray]:
        if self._laid is None or self._laid[0] != self.epoch:
            streams = self._cut() if self.training else self._whole()
            seeds = np.random.default_rng([self.seed, self.epoch, 1]).integers(2**62, size=len(streams))
            self._laid, self._runs = (self.epoch, streams, seeds), {}
        return self._laid

    def batch(self, step: int) -> tuple[list[Window], np.ndarray, np.ndarray]:
        _, streams, seeds = self._lay()
        windows = [stream[step] if step < len(stream) else NO_WINDOW for stream in streams]
        resets = np.array([step == 0 or not _continues(stream, step) for stream in streams])
        # one draw from a reset to the next: what is carried over must not see a picture mirrored on the way
        draws = seeds + np.array([window.segment + 1 for window in windows])
        return windows, resets, draws

    def run(self, step: int, number: int) -> tuple[int, int]:
        _, streams, _ = self._lay()
        stream, (begin, end) = streams[number], self._runs.get(number, (0, 0))
        if not begin <= step < end:
            begin, end = step, step + 1
            while begin > 0 and _continues(stream, begin):
                begin -= 1
            while _continues(stream, end):
                end += 1
            self._runs[number] = begin, end
        return stream[begin].first, (end - begin) * self.length

    def __len__(self) -> int:
        return self.steps


def _continues(stream: Sequence[Window], step: int) -> bool:
    """Whether a stream's clip begins where the one before it ended."""
    return step < len(stream) and stream[step].segment == stream[step - 1].segment


def clip_weights(mean_angles: np.ndarray, strength: float) -> np.ndarray:
    """Returns the weight of each clip (N,), with mean 1.

    weight = (1 / share of the clip's part)^strength: 0 leaves all alike, 1 draws every part equally often.

    Args:
        mean_angles: mean of |angle| over each clip (N,); NaN where unknown, which counts as the straightest.
        strength: between 0 and 1.
    """
    size = np.nan_to_num(np.abs(mean_angles))
    # where many clips share an angle, as 0 on a keyboard, some parts are empty
    edges = np.unique(np.quantile(size, QUANTILES))
    part = np.searchsorted(edges, size, side="left")
    share = np.bincount(part, minlength=len(edges) + 1)[part] / len(size)
    weights = share**-strength
    return weights / weights.mean()
