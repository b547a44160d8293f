"""Angles by frame: any system's predictions, and the labels to score them against.

Predictions: a csv with `frame_id,steering_angle`, as the Udacity challenge has them, or with
`frame_id,share_of_full_lock`; a column `standard_deviation` says how sure the system is of each, further
ones do not matter. Labels: the challenge's
`frame_id,steering_angle[,public]`, our `drive.csv`, or Udacity's `interpolated.csv`, whose frames are called
by their `timestamp`; or a recording in any format that `fit` reads, such as the csv of times beside a video.
Angles are radians, left positive, or what the recorder of a `drive.csv` has instead.

Of labels with several cameras the centre one's are taken, or else the first one's. A frame may be named by
its file: `center/12.jpg` is 12. Where two drives use the same names, a column `drive` in both files tells
them apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.driving import read_drives, recognised
from data_prep.driving.clocks import are_times, in_seconds
from data_prep.driving.formats.video import video_of
from data_prep.driving.label_files import LabelFile, read_labels
from data_prep.driving.table import frame_name, recorder_in, recording_name
from modules.errors import InputError, first_five
from modules.steering.units import RADIANS, SHARE, SHARE_COLUMN, AngleUnit, converted, unit_of

FRAME_COLUMNS = ("frame_id", "frame", "timestamp", "filename", "file", "image")
_NAMES_OF_FRAMES = ("frame_id", "filename", "file", "image")
_ANGLE_COLUMNS = ("steering_angle", "steering_angle_rad", "angle_rad", "angle", "steering", SHARE_COLUMN)
DEVIATION = "standard_deviation"  # of an angle, in its unit
_FILE = re.compile(r".+\.(jpe?g|png|bmp|gif|webp)", re.IGNORECASE)
_WHOLE = re.compile(r"[0-9]{1,18}|[1-8][0-9]{18}")
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
        notes: What was assumed of the file, a line each.
        unit: Of the angles; None where the file does not say it.
        deviation_rad: Standard deviation of each (N,); None where the file has none.
    """

    path: Path
    lines: list[int]
    frames: list[str]
    angle_rad: np.ndarray
    recordings: list[str] | None = None
    time_s: np.ndarray | None = None
    is_public: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    unit: AngleUnit | None = None
    deviation_rad: np.ndarray | None = None

    def where(self, row: int) -> str:
        """Returns "file:line" of a row."""
        return f"{self.path}:{self.lines[row]}"

    def in_unit(self, unit: AngleUnit) -> FrameAngles:
        """Returns the same frames with angles as a model of this unit says them.

        InputError where they are of a unit that does not count the same.
        """
        if self.unit is None:
            return self
        deviation = self.deviation_rad
        if deviation is not None:
            deviation = converted(deviation, self.unit, unit, self.path)
        angles = converted(self.angle_rad, self.unit, unit, self.path)
        return replace(self, angle_rad=angles, deviation_rad=deviation, unit=unit)

    def keys(self, by_drive: bool) -> list[tuple[str, str]]:
        """Returns what tells the frames apart: (drive, name), the drive empty where it does not matter."""
        if by_drive and self.recordings is not None:
            return list(zip(self.recordings, self.frames, strict=True))
        return [("", name) for name in self.frames]


def read_predicted_angles(path: Path) -> FrameAngles:
    """Returns the angles of a predictions file.

    InputError with file, line and frame: no such columns, a frame that occurs twice, an angle that is absent
    or no number.
    """
    table = read_labels(path)
    column = table.need("frame", *FRAME_COLUMNS)
    angle = table.need("steering angle", *_ANGLE_COLUMNS)
    angles, unit = _angles(table, column, angle), SHARE if angle == SHARE_COLUMN else None
    deviation = _known(table, DEVIATION, frame_names(table, column)) if DEVIATION in table.header else None
    if deviation is not None and (deviation < 0).any():
        row = int((deviation < 0).argmax())
        raise InputError(f"{table.where(row)}: {DEVIATION} is {deviation[row]:g}; it has to be 0 or more")
    found = FrameAngles(
        *(path, table.lines, frame_names(table, column), angles, _recordings(table)),
        unit=unit,
        deviation_rad=deviation,
    )
    empty = np.flatnonzero(np.isnan(angles))
    if len(empty):
        raise InputError(
            f"{found.where(empty[0])}: frame {found.frames[empty[0]]} has no steering angle; "
            f"{count_of(len(empty), len(angles))} have none: {first_five(found.frames[i] for i in empty)}; a "
            "system has to steer at every frame: write a number, such as the angle of the frame before"
        )
    return found


def read_true_angles(path: Path, camera: str = "center") -> FrameAngles:
    """Returns the angles of a file of labels or of a recording, whose images need not be there.

    Only a drive.csv and a recording may have frames whose angle is unknown (NaN). InputError with file, line
    and frame: no such columns, an angle or a flag that is absent or no number.

    Args:
        path: Of them.
        camera: Of a recording with several; an only one is taken whatever it is called.
    """
    is_csv = path.suffix.lower() == ".csv"
    if path.is_dir() or (not is_csv and path.exists() and recognised(path)):
        return _of_recording(path, camera)
    table = read_labels(path)
    # a table that names frames has nothing to do with the times of a video that is called alike
    if is_csv and not set(_NAMES_OF_FRAMES) & set(table.header) and (video := video_of(path)):
        return _of_recording(video, camera)
    is_interpolated = all(name in table.header for name in ("timestamp", "filename", "angle"))
    column = "timestamp" if is_interpolated else table.need("frame", *FRAME_COLUMNS)
    camera = "frame_id" if is_interpolated else "camera"
    if camera in table.header:
        table = _one_camera(table, table.texts(camera))
    angle = table.need("steering angle", *_ANGLE_COLUMNS)
    angles, names = _angles(table, column, angle), frame_names(table, column)
    empty = np.flatnonzero(np.isnan(angles))
    if len(empty) and "time_s" not in table.header:
        raise InputError(
            f"{table.where(empty[0])}: frame {names[empty[0]]} has no {angle}; "
            f"{count_of(len(empty), len(angles))} have none: {first_five(names[i] for i in empty)}"
        )
    time_s, notes = None, list[str]()
    if "time_s" in table.header:
        time_s, notes = in_seconds(_known(table, "time_s", names), table.where(0))
    elif all(_WHOLE.fullmatch(name) for name in names) and are_times(np.array(names, np.float64)):
        time_s, notes = in_seconds(np.array(names, np.float64), table.where(0), "nanoseconds")
    public = _flags(table, names) if "public" in table.header else None
    unit = SHARE if angle == SHARE_COLUMN else RADIANS if angle.endswith("_rad") else None
    if recorder := recorder_in(table):
        unit = unit_of(recorder)
    return FrameAngles(
        path, table.lines, names, angles, _recordings(table), time_s, public, tuple(notes), unit
    )


def _of_recording(path: Path, camera: str) -> FrameAngles:
    table = read_drives(path)
    if len(set(table.camera.tolist())) > 1:
        table = table.select(table.camera == camera)
    sources = set(map(str, table.source))
    return FrameAngles(
        Path(sources.pop()) if len(sources) == 1 else path,
        table.line.tolist(),
        table.frame.tolist(),
        table.angle_rad,
        table.recordings().tolist(),
        table.time_s,
        notes=table.notes,
        unit=unit_of(table.recorder),
    )


def frame_names(table: LabelFile, column: str) -> list[str]:
    """Returns the frames that a column names; InputError with file and line where it names none."""
    cells = table.texts(column)
    empty = next((row for row, cell in enumerate(cells) if not cell), None)
    if empty is not None:
        raise InputError(f"{table.where(empty)}: the row names no frame ({column} is empty)")
    is_file = column in ("filename", "file", "image")
    return [frame_name(cell) if is_file or _FILE.fullmatch(cell) else cell for cell in cells]


def _angles(table: LabelFile, frame: str, angle: str) -> np.ndarray:
    frames = table.texts(frame)
    values = np.empty(len(table))
    for row in range(len(table)):
        try:
            values[row] = table.number(row, angle)
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
        table.delimiter,
    )


def count_of(some: int, all_: int) -> str:
    """Returns both numbers as a message has them."""
    return f"{some:,} of {all_:,} frames"
