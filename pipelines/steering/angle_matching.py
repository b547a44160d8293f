"""Predicted angles beside the true ones: frame by frame, in the order of time, cut where time jumps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.driving.cutting import breaks
from data_prep.driving.label_files import read_labels
from data_prep.driving.table import DriveTable
from data_prep.input_files import read_text
from modules.errors import InputError, first_five
from modules.steering.units import AngleUnit
from pipelines.steering.angle_files import FRAME_COLUMNS, FrameAngles, count_of, frame_names

FRAMES_PER_SECOND = 20.0  # of frames whose names are no times
_LARGEST_RAD = 1e5  # of any wheel in any unit, with room
_ROUNDED = re.compile(r"[\d.]+e\+?\d+", re.IGNORECASE)


@dataclass(frozen=True)
class MatchedAngles:
    """What was predicted beside what is true, frame by frame in the order of time.

    Attributes:
        frames: Names of the frames.
        drive: Name of the drive of each (N,).
        prediction_rad: Predicted angles (N,).
        truth_rad: True angles (N,).
        stretch: Number of the unbroken stretch each frame belongs to (N,).
        rate_hz: Frames a second.
        is_public: The challenge's flag (N,), or None.
        notes: What the user should know of how it was done, a line each.
        deviation_rad: Standard deviation that came with each prediction (N,), or None.
    """

    frames: list[str]
    drive: np.ndarray
    prediction_rad: np.ndarray
    truth_rad: np.ndarray
    stretch: np.ndarray
    rate_hz: float
    is_public: np.ndarray | None
    notes: tuple[str, ...]
    deviation_rad: np.ndarray | None = None

    def in_unit(self, unit: AngleUnit) -> MatchedAngles:
        """Returns the same frames with angles in a unit."""
        names = ("prediction_rad", "truth_rad", "deviation_rad")
        known = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(self, **{name: values / unit.full_lock for name, values in known.items()})


def match_angles(
    predictions: FrameAngles,
    labels: FrameAngles,
    subset: Path | None = None,
    rate_hz: float | None = None,
) -> MatchedAngles:
    """Returns prediction and truth of every labelled frame, in the order of time.

    InputError names the frames that are missing, unknown or there twice.

    Args:
        predictions: Of a system.
        labels: To score them against.
        subset: File of the frames to score; by default all that have a label.
        rate_hz: Frames a second where the frames' names and the labels' columns tell no times.
    """
    for angles in (predictions, labels):
        beyond = np.flatnonzero(np.abs(angles.angle_rad) > _LARGEST_RAD)
        if len(beyond):
            row = int(beyond[0])
            raise InputError(
                f"{angles.where(row)}: frame {angles.frames[row]} has the angle {angles.angle_rad[row]:g}, "
                "which no steering wheel has in any unit"
            )
    notes = list(labels.notes)
    by_drive = labels.recordings is not None and predictions.recordings is not None
    by_drive = by_drive and len(set(labels.frames)) < len(labels.frames)
    true, said = _unique(labels, by_drive), _unique(predictions, by_drive)
    wanted = _subset(subset, labels) if subset is not None else set(labels.frames)
    unknown = [key for key in said if key not in true]
    if unknown and subset is None:
        row = said[unknown[0]]
        raise InputError(
            f"{predictions.where(row)}: frame {predictions.frames[row]} is not in {labels.path}; "
            f"{count_of(len(unknown), len(said))} are not: {first_five(name for _, name in unknown)}"
            f"{_hint([name for _, name in unknown], None if len(unknown) < len(said) else labels.frames[0])}"
        )
    rows = [row for (_, name), row in true.items() if name in wanted]
    keys = labels.keys(by_drive)
    missing = [row for row in rows if keys[row] not in said]
    if missing:
        raise InputError(
            f"{predictions.path}: no angle for frame {labels.frames[missing[0]]} "
            f"({labels.where(missing[0])}); {count_of(len(missing), len(rows))} have none: "
            f"{first_five(labels.frames[row] for row in missing)}; to score a part, name its frames in a "
            "file, one a line, with --subset"
        )
    known = [row for row in rows if not np.isnan(labels.angle_rad[row])]
    if not known:
        raise InputError(f"{labels.path}: no frame has an angle; there is nothing to score")
    if len(known) < len(rows):
        first = next(row for row in rows if np.isnan(labels.angle_rad[row]))
        notes.append(
            f"{labels.where(first)}: {count_of(len(rows) - len(known), len(rows))} have no true angle and "
            "are left out"
        )
    table = _in_order(labels, known, rate_hz)
    order = np.array(table.line)  # rows of the labels
    begins = {later for _, later in breaks(table)}
    begins |= {int(i) + 1 for i in np.flatnonzero(table.drive[1:] != table.drive[:-1])}
    stretch = np.cumsum([row in begins for row in range(len(table))])
    steps = np.diff(table.time_s)[np.diff(stretch) == 0]
    rate = 1 / float(np.median(steps)) if len(steps) and np.median(steps) > 0 else FRAMES_PER_SECOND
    own = [said[keys[row]] for row in order]
    return MatchedAngles(
        frames=table.frame.tolist(),
        drive=table.drive,
        prediction_rad=predictions.angle_rad[own],
        truth_rad=labels.angle_rad[order],
        stretch=stretch,
        rate_hz=rate,
        is_public=None if labels.is_public is None else labels.is_public[order],
        notes=tuple(notes),
        deviation_rad=None if predictions.deviation_rad is None else predictions.deviation_rad[own],
    )


def _in_order(labels: FrameAngles, rows: Sequence[int], rate_hz: float | None) -> DriveTable:
    """Returns the frames drive by drive in the order of time, `line` the row of the labels."""
    taken = np.array(rows)
    names = np.array(labels.frames)[taken]
    drives = np.array(labels.recordings, str)[taken] if labels.recordings is not None else None
    if labels.time_s is not None:
        if rate_hz is not None:
            raise InputError(f"rate: {labels.path} has the times of its frames; leave --rate out")
        times = labels.time_s[taken]
    else:
        # numbers count frames; other names say nothing, but the order of the file does
        count = [int(name) for name in names] if all(map(str.isdecimal, names)) else range(len(names))
        times = np.array(count, np.float64) / (rate_hz or FRAMES_PER_SECOND)
    first = np.unique(drives, return_index=True, return_inverse=True) if drives is not None else None
    place = np.zeros(len(taken)) if first is None else first[1][first[2]]
    order = np.lexsort((times, place))
    return DriveTable.build(
        labels.path.parent,
        frame=names[order],
        file=names[order],
        time_s=times[order],
        angle_rad=labels.angle_rad[taken][order],
        drive="drive" if drives is None else drives[order],
        source=labels.path,
        line=taken[order],
    )


def _unique(angles: FrameAngles, by_drive: bool) -> Mapping[tuple[str, str], int]:
    """Returns the row of each frame; InputError where one occurs twice."""
    rows: dict[tuple[str, str], int] = {}
    again: dict[tuple[str, str], int] = {}
    for row, key in enumerate(angles.keys(by_drive)):
        if rows.setdefault(key, row) != row:
            again.setdefault(key, row)
    if again:
        key, row = next(iter(again.items()))
        several = len(set(angles.recordings or ())) > 1 and not by_drive
        remedy = "give the labels of one drive, or a column drive beside predictions" if several else ""
        raise InputError(
            f"{angles.where(row)}: frame {key[1]} was already in line {angles.lines[rows[key]]}; "
            f"{count_of(len(again), len(rows))} occur twice: {first_five(name for _, name in again)}; "
            f"{remedy or 'keep one row a frame'}"
        )
    return rows


def _subset(path: Path, labels: FrameAngles) -> set[str]:
    """Returns the listed frames: a text file with one a line, or a csv with a column of frames."""
    head = read_text(path).lstrip().partition("\n")[0].lower()
    is_table = any(cell.strip(' "\r') in FRAME_COLUMNS for cell in re.split("[,;\t]", head))
    table = read_labels(path, None if is_table else ["frame_id"])
    names = frame_names(table, table.need("frame", *FRAME_COLUMNS))
    known = set(labels.frames)
    unknown = [row for row, name in enumerate(names) if name not in known]
    if unknown:
        raise InputError(
            f"{table.where(unknown[0])}: frame {names[unknown[0]]} is not in {labels.path}; "
            f"{count_of(len(unknown), len(names))} are not: {first_five(names[row] for row in unknown)}"
        )
    return set(names)


def _hint(names: Sequence[str], other: str | None) -> str:
    """Returns what probably happened to the names of unknown frames.

    Args:
        names: Of the unknown frames.
        other: A name from the labels, where they know none of the predictions' frames.
    """
    if all(_ROUNDED.fullmatch(name) for name in names):
        return "; a spreadsheet has rounded the names: write them as text"
    if other is not None:
        return f"; the labels name theirs like {other}: give the labels of the same recording"
    return "; to score a part of the predictions, name its frames in a file, one a line, with --subset"
