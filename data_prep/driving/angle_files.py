"""Angles by frame: any system's predictions, and the labels to score them against.

Predictions: a csv with `frame_id,steering_angle`, as the Udacity challenge has them; further columns do not
matter. Labels: the challenge's `frame_id,steering_angle[,public]`, our `drive.csv`, or Udacity's
`interpolated.csv`, whose frames are called by their `timestamp`. Angles are radians, left positive.

Of labels with several cameras the centre one's are taken, or else the first one's. A frame may be named by
its file: `center/12.jpg` is 12. Where two drives use the same names, a column `drive` in both files tells
them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.driving.cutting import breaks
from data_prep.driving.drive_table import DriveTable, frame_name, recording_name
from data_prep.driving.label_files import LabelFile, number, read_labels
from data_prep.input_files import read_text
from modules.errors import InputError, first_five

FRAMES_PER_SECOND = 20.0  # of frames whose names are no times
_FRAME_COLUMNS = ("frame_id", "frame", "timestamp", "filename", "file", "image")
_ANGLE_COLUMNS = ("steering_angle", "steering_angle_rad", "angle_rad", "angle", "steering")
_FILE = re.compile(r".+\.(jpe?g|png|bmp|gif|webp)", re.IGNORECASE)
# 1e15 ns are twelve days after 1970: no recording is from then
_NANOSECONDS = re.compile(r"\d{16,19}")
_ROUNDED = re.compile(r"[\d.]+e\+?\d+", re.IGNORECASE)
_FLAGS = {"0": False, "1": True, "false": False, "true": True, "0.0": False, "1.0": True}


@dataclass(frozen=True)
class FrameAngles:
    """An angle for every frame of a file, in the file's order.

    Attributes:
        path: The file.
        lines: Line of each frame in it.
        frames: Names of the frames.
        angle_rad: Their angles (N,), NaN where the file has none.
        recordings: Drive of each frame, before it was cut; None where the file names no drives.
        time_s: Times (N,); None where neither a column nor the names tell them.
        is_public: The challenge's flag (N,); None where the file has none.
    """

    path: Path
    lines: list[int]
    frames: list[str]
    angle_rad: np.ndarray
    recordings: list[str] | None = None
    time_s: np.ndarray | None = None
    is_public: np.ndarray | None = None

    def where(self, row: int) -> str:
        """Returns "file:line" of a row."""
        return f"{self.path}:{self.lines[row]}"

    def keys(self, by_drive: bool) -> list[tuple[str, str]]:
        """Returns what tells the frames apart: (drive, name), the drive empty where it does not matter."""
        if by_drive and self.recordings is not None:
            return list(zip(self.recordings, self.frames, strict=True))
        return [("", name) for name in self.frames]


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
    """

    frames: list[str]
    drive: np.ndarray
    prediction_rad: np.ndarray
    truth_rad: np.ndarray
    stretch: np.ndarray
    rate_hz: float
    is_public: np.ndarray | None
    notes: tuple[str, ...]


def read_predicted_angles(path: Path) -> FrameAngles:
    """Returns the angles of a predictions file.

    InputError with file, line and frame: no such columns, a frame that occurs twice, an angle that is absent
    or no number.
    """
    table = read_labels(path)
    column = table.need("frame", *_FRAME_COLUMNS)
    angles = _angles(table, column, table.need("steering angle", *_ANGLE_COLUMNS))
    found = FrameAngles(path, table.lines, _names(table, column), angles, _recordings(table))
    empty = np.flatnonzero(np.isnan(angles))
    if len(empty):
        raise InputError(
            f"{found.where(empty[0])}: frame {found.frames[empty[0]]} has no steering angle; "
            f"{_count(len(empty), len(angles))} have none: {first_five(found.frames[i] for i in empty)}; a "
            "system has to steer at every frame: write a number, such as the angle of the frame before"
        )
    return found


def read_true_angles(path: Path) -> FrameAngles:
    """Returns the angles of a file of labels; only a drive.csv may have frames whose angle is unknown (NaN).

    InputError with file, line and frame: no such columns, an angle or a flag that is absent or no number.
    """
    table = read_labels(path)
    is_interpolated = all(name in table.header for name in ("timestamp", "filename", "angle"))
    column = "timestamp" if is_interpolated else table.need("frame", *_FRAME_COLUMNS)
    camera = "frame_id" if is_interpolated else "camera"
    if camera in table.header:
        table = _one_camera(table, table.texts(camera))
    angle = table.need("steering angle", *_ANGLE_COLUMNS)
    angles, names = _angles(table, column, angle), _names(table, column)
    empty = np.flatnonzero(np.isnan(angles))
    if len(empty) and "time_s" not in table.header:
        raise InputError(
            f"{table.where(empty[0])}: frame {names[empty[0]]} has no {angle}; "
            f"{_count(len(empty), len(angles))} have none: {first_five(names[i] for i in empty)}"
        )
    time_s = None
    if "time_s" in table.header:
        time_s = _known(table, "time_s", names)
    elif all(_NANOSECONDS.fullmatch(name) for name in names):
        time_s = np.array([int(name) for name in names]) / 1e9
    public = _flags(table, names) if "public" in table.header else None
    return FrameAngles(path, table.lines, names, angles, _recordings(table), time_s, public)


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
    notes = []
    by_drive = labels.recordings is not None and predictions.recordings is not None
    by_drive = by_drive and len(set(labels.frames)) < len(labels.frames)
    true, said = _unique(labels, by_drive), _unique(predictions, by_drive)
    wanted = _subset(subset, labels) if subset is not None else set(labels.frames)
    unknown = [key for key in said if key not in true]
    if unknown and subset is None:
        row = said[unknown[0]]
        raise InputError(
            f"{predictions.where(row)}: frame {predictions.frames[row]} is not in {labels.path}; "
            f"{_count(len(unknown), len(said))} are not: {first_five(name for _, name in unknown)}"
            f"{_hint([name for _, name in unknown])}"
        )
    rows = [row for (_, name), row in true.items() if name in wanted]
    keys = labels.keys(by_drive)
    missing = [row for row in rows if keys[row] not in said]
    if missing:
        raise InputError(
            f"{predictions.path}: no angle for frame {labels.frames[missing[0]]} "
            f"({labels.where(missing[0])}); {_count(len(missing), len(rows))} have none: "
            f"{first_five(labels.frames[row] for row in missing)}; to score a part, name its frames in a "
            "file, one a line, with --subset"
        )
    known = [row for row in rows if not np.isnan(labels.angle_rad[row])]
    if not known:
        raise InputError(f"{labels.path}: no frame has an angle; there is nothing to score")
    if len(known) < len(rows):
        first = next(row for row in rows if np.isnan(labels.angle_rad[row]))
        notes.append(
            f"{labels.where(first)}: {_count(len(rows) - len(known), len(rows))} have no true angle and are "
            "left out"
        )
    table = _in_order(labels, known, rate_hz)
    order = np.array(table.line)  # rows of the labels
    begins = {later for _, later in breaks(table)}
    begins |= {int(i) + 1 for i in np.flatnonzero(table.drive[1:] != table.drive[:-1])}
    stretch = np.cumsum([row in begins for row in range(len(table))])
    steps = np.diff(table.time_s)[np.diff(stretch) == 0]
    rate = 1 / float(np.median(steps)) if len(steps) and np.median(steps) > 0 else FRAMES_PER_SECOND
    return MatchedAngles(
        frames=table.frame.tolist(),
        drive=table.drive,
        prediction_rad=predictions.angle_rad[[said[keys[row]] for row in order]],
        truth_rad=labels.angle_rad[order],
        stretch=stretch,
        rate_hz=rate,
        is_public=None if labels.is_public is None else labels.is_public[order],
        notes=tuple(notes),
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


def _names(table: LabelFile, column: str) -> list[str]:
    cells = table.texts(column)
    empty = next((row for row, cell in enumerate(cells) if not cell), None)
    if empty is not None:
        raise InputError(f"{table.where(empty)}: the row names no frame ({column} is empty)")
    is_file = column in ("filename", "file", "image")
    return [frame_name(cell) if is_file or _FILE.fullmatch(cell) else cell for cell in cells]


def _angles(table: LabelFile, frame: str, angle: str) -> np.ndarray:
    frames, cells = table.texts(frame), table.texts(angle)
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            values[row] = number(cell, angle, table.path, table.lines[row])
        except InputError as error:
            raise InputError(f"{error} (frame {frames[row]})") from None
    return values


def _known(table: LabelFile, column: str, names: Sequence[str]) -> np.ndarray:
    values = table.numbers(column)
    empty = np.flatnonzero(np.isnan(values))
    if len(empty):
        raise InputError(f"{table.where(empty[0])}: frame {names[empty[0]]} has no {column}")
    return values


def _flags(table: LabelFile, names: Sequence[str]) -> np.ndarray:
    cells = [cell.lower() for cell in table.texts("public")]
    wrong = next((row for row, cell in enumerate(cells) if cell not in _FLAGS), None)
    if wrong is not None:
        raise InputError(
            f"{table.where(wrong)}: frame {names[wrong]} has public {cells[wrong][:20]!r}; 0 or 1 is needed"
        )
    return np.array([_FLAGS[cell] for cell in cells], bool)


def _recordings(table: LabelFile) -> list[str] | None:
    return [recording_name(cell) for cell in table.texts("drive")] if "drive" in table.header else None


def _one_camera(table: LabelFile, cameras: Sequence[str]) -> LabelFile:
    """Returns the rows of the centre camera, or of the first one where there is none."""
    chosen = next((name for name in cameras if name.startswith("center")), cameras[0])
    rows = [row for row, name in enumerate(cameras) if name == chosen]
    return LabelFile(
        table.path,
        table.header,
        [table.rows[row] for row in rows],
        [table.lines[row] for row in rows],
        table.header_line,
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
        raise InputError(
            f"{angles.where(row)}: frame {key[1]} was already in line {angles.lines[rows[key]]}; "
            f"{_count(len(again), len(rows))} occur twice: {first_five(name for _, name in again)}; keep one "
            "row a frame"
        )
    return rows


def _subset(path: Path, labels: FrameAngles) -> set[str]:
    """Returns the listed frames: a text file with one a line, or a csv with a column of frames."""
    head = read_text(path).lstrip().partition("\n")[0].lower()
    is_table = any(cell.strip(' "\r') in _FRAME_COLUMNS for cell in re.split("[,;\t]", head))
    table = read_labels(path, None if is_table else ["frame_id"])
    names = _names(table, table.need("frame", *_FRAME_COLUMNS))
    known = set(labels.frames)
    unknown = [row for row, name in enumerate(names) if name not in known]
    if unknown:
        raise InputError(
            f"{table.where(unknown[0])}: frame {names[unknown[0]]} is not in {labels.path}; "
            f"{_count(len(unknown), len(names))} are not: {first_five(names[row] for row in unknown)}"
        )
    return set(names)


def _count(some: int, all_: int) -> str:
    return f"{some:,} of {all_:,} frames"


def _hint(names: Sequence[str]) -> str:
    """Returns what probably happened to the names of unknown frames."""
    if all(_ROUNDED.fullmatch(name) for name in names):
        return "; a spreadsheet has rounded the names: write them as text"
    return "; to score a part of the predictions, name its frames in a file, one a line, with --subset"
