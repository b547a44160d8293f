"""Which frames make a clip: windows that never cross a cut.

A clip has `left_context` frames and `sequence_length` frames to predict. Before the beginning of a segment
its first frame is repeated, behind its end its last; both are marked as padding. In training time may be
stretched: a clip then takes places that are further apart than frames are, or nearer to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_prep.driving.table import DriveTable


class ClipPlan(NamedTuple):
    """The clips of a batch, before any frame is read.

    Attributes:
        rows: Rows of the drive table (B, S).
        is_padding: Repeated frames (B, S).
        resets: Clips that do not continue those of the batch before (B,).
        draws: Seed of each clip's augmentation (B,); that of a stream stays until its reset.
        between: From each row to the place that is meant (B, S), -0.5 to 0.5 frames; 0 unless time is
            stretched.
        rates: Frames of the drive from one place of a clip to the next (B,).
    """

    rows: np.ndarray
    is_padding: np.ndarray
    resets: np.ndarray
    draws: np.ndarray
    between: np.ndarray
    rates: np.ndarray


class Window(NamedTuple):
    """A clip by its place.

    Attributes:
        segment: Number of the segment; -1 for none, where a stream has ended.
        first: First frame to predict, counted from the beginning of the segment.
    """

    segment: int
    first: int


NO_WINDOW = Window(-1, 0)


class Pace(NamedTuple):
    """How time runs in a clip: its frame q is at the place `offset + rate q` of the segment.

    Attributes:
        rate: Above 1 the car is faster than it was.
        offset: In frames of the segment.
    """

    rate: float
    offset: float


AS_DRIVEN = Pace(1.0, 0.0)


def segments_of(table: DriveTable, chosen: np.ndarray) -> list[np.ndarray]:
    """Returns runs of chosen rows that follow one another in one drive and camera.

    Args:
        table: drives that were cut.
        chosen: mask (N,) of the rows of one split.
    """
    segments = []
    for rows in table.series():
        mask = chosen[rows]
        edges = np.flatnonzero(np.diff(mask)) + 1
        segments += [part for part in np.split(rows, edges) if chosen[part[0]]]
    return segments


def windows_of(segments: Sequence[np.ndarray], length: int, stride: int) -> list[Window]:
    """Returns windows at every `stride` frames, and one at each segment's end so that no frame is missed."""
    windows = []
    for number, rows in enumerate(segments):
        last = max(0, len(rows) - length)
        firsts = list(range(0, last + 1, stride))
        windows += [Window(number, first) for first in (firsts if firsts[-1] == last else [*firsts, last])]
    return windows


def plan_clips(
    segments: Sequence[np.ndarray],
    windows: Sequence[Window],
    length: int,
    context: int,
    paces: Sequence[Pace] = (),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the rows of windows, which are padding, and what lies between row and place.

    All are (B, context + length). A place between two frames has the row of the nearer one.
    """
    # where a stream has ended any frame will do, as long as it is of this split
    rows = np.full((len(windows), context + length), segments[0][0], np.int64)
    is_padding, between = np.ones(rows.shape, bool), np.zeros(rows.shape)
    for number, (segment, first) in enumerate(windows):
        if segment < 0:
            continue
        rate, offset = paces[number] if paces else AS_DRIVEN
        place = offset + rate * np.arange(first - context, first + length)
        inside = place.clip(0, len(segments[segment]) - 1)
        nearest = np.rint(inside).astype(np.int64)
        rows[number], between[number] = segments[segment][nearest], inside - nearest
        is_padding[number] = np.abs(place - inside) > 1e-6  # less is rounding
    return rows, is_padding, between
