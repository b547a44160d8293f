"""Drives cut into stretches without a break, so that no clip ever shows a jump."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from data_prep.driving.clocks import frame_period
from data_prep.driving.table import TARGETS, DriveTable, rows_by_key
from modules.errors import InputError

# a longer step of time than this many frame periods is a break; a step of three is none, however rounded
LONGEST_STEP = 3.001


def repeated_rows(table: DriveTable) -> np.ndarray:
    """Returns a mask of the rows that show again what an earlier row of their drive and camera shows.

    That is the same file, or another one at the very time of the row before.
    """
    repeated = np.zeros(len(table), bool)
    for rows in table.series():
        _, first = np.unique(table.file[rows], return_index=True)
        again = np.ones(len(rows), bool)
        again[first] = False
        again[1:] |= np.diff(table.time_s[rows]) == 0
        repeated[rows] = again
    return repeated


def breaks(table: DriveTable) -> list[tuple[int, int]]:
    """Returns the pairs of neighbouring rows of one drive and camera that time separates.

    Time separates where it runs backwards or leaps over more than `LONGEST_STEP` frame periods.
    """
    longest = np.zeros(len(table))  # the longest step of time that is none, by row
    for rows in table.series(recordings=True):
        longest[rows] = LONGEST_STEP * frame_period(table.time_s[rows])
    found = []
    for rows in table.series():
        steps = np.diff(table.time_s[rows])
        for place in np.flatnonzero((steps < 0) | (steps > longest[rows[0]])):
            found.append((int(rows[place]), int(rows[place + 1])))
    return found


def cut_drives(table: DriveTable, unusable: np.ndarray | None = None, *, at_gaps: bool = True) -> DriveTable:
    """Returns the table without unusable and repeated rows, each drive a stretch without a break.

    A drive is cut where time runs backwards or leaps over more than 3 frame periods, and where an unusable
    row lay; its parts are called `monday`, `monday~2`, `monday~3`. The rows of a drive and camera
    follow one another in the order they had. Cutting once more changes nothing.

    Args:
        table: any drives.
        unusable: mask (N,) of the rows that cannot be shown (image absent, damaged or deleted).
        at_gaps: Otherwise cut at unusable rows alone, and keep repeated ones.
    """
    broken = np.zeros(len(table), bool) if unusable is None else unusable
    repeated = repeated_rows(table) if at_gaps else np.zeros(len(table), bool)
    for rows in table.series(recordings=True):
        if len(rows) > 20 and repeated[rows].mean() > 0.5:
            row = rows[int(repeated[rows].argmax())]
            raise InputError(
                f"{table.where(row)}: most frames of {table.drive[row]} stand at the time or in the file of "
                "another; times need fractions of a second"
            )
    kept = np.flatnonzero(~(broken | repeated))
    # how many unusable rows of its drive and camera come before each row: where that grows, there is a break
    lost = np.zeros(len(table), np.int64)
    for rows in table.series():
        lost[rows] = np.cumsum(broken[rows])
    left = table.select(kept)
    begins = {later for _, later in breaks(left)} if at_gaps else set()

    names = left.drive.astype(object)
    recordings = left.recordings()
    parts: dict[tuple[str, str], int] = {}
    order = []
    for rows in rows_by_key(recordings, left.camera):
        key = recordings[rows[0]], left.camera[rows[0]]
        for stretch in (rows[left.drive[rows] == drive] for drive in dict.fromkeys(left.drive[rows])):
            order.append(stretch)
            for place, row in enumerate(stretch):
                gone = place > 0 and lost[kept[row]] > lost[kept[stretch[place - 1]]]
                if place == 0 or gone or row in begins:
                    parts[key] = parts.get(key, 0) + 1
                names[row] = key[0] if parts[key] == 1 else f"{key[0]}~{parts[key]}"
    left.drive = names.astype(str)
    return left.select(np.concatenate(order) if order else np.zeros(0, np.int64))


def shift_labels(table: DriveTable, frames: int) -> DriveTable:
    """Returns the table in which a frame has the labels of the one so many frames later in its stretch.

    They are NaN where there is no such frame.

    Args:
        table: drives that were cut.
        frames: below 0 for earlier ones.
    """
    if not frames:
        return table
    moved: dict[str, Any] = {name: np.full(len(table), np.nan) for name in TARGETS}
    for rows in table.series():
        places = np.arange(len(rows)) + frames
        inside = (places >= 0) & (places < len(rows))
        for name, column in moved.items():
            column[rows[inside]] = getattr(table, name)[rows[places[inside]]]
    return replace(table, **moved)


def smooth_angles(table: DriveTable, frames: float, chosen: np.ndarray) -> DriveTable:
    """Returns the table with each angle the mean of those around it, weighted by a Gaussian, in its stretch.

    A keyboard's angles are pulses, whose mean over a moment is what the driver meant. Unknown ones stay so.

    Args:
        table: drives that were cut.
        frames: standard deviation of the Gaussian.
        chosen: mask (N,) of the rows that are read and changed, such as those that train.
    """
    if not frames:
        return table
    reach = math.ceil(3 * frames)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    angles = table.angle_rad.copy()
    for rows in table.series():
        known = chosen[rows] & ~np.isnan(angles[rows])
        padded = (np.pad(part, reach) for part in (np.where(known, angles[rows], 0.0), known.astype(float)))
        sums, counts = (np.convolve(part, weights, "valid") for part in padded)
        angles[rows[known]] = (sums / np.maximum(counts, 1e-12))[known]
    return replace(table, angle_rad=angles)
