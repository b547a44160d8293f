"""The one table every driving reader makes: frames in time order, and what the driver did at each.

On disk it is `drive.csv`, one frame a row, printable and diffable; what is unknown is empty:

    frame,file,time_s,angle_rad,torque,speed_mps,camera,drive
    1479425441182877835,center/1479425441182877835.jpg,1479425441.1828778,-0.0169,,,center,monday

Angles are of the steering wheel in radians, left positive; speeds in metres a second; torque in the unit of
its source. `file` is relative to the folder of the drive.csv; a frame inside a video, an HDF5 file or a bag
is `CONTAINER#NUMBER`. A drive is a stretch without a break: what a break parts from `monday` is `monday~2`.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from data_prep.driving.camera_names import cameras_of
from data_prep.driving.clocks import frame_period, in_seconds
from data_prep.driving.label_files import LabelFile, local_files, read_labels
from modules.errors import InputError
from modules.steering.units import RADIANS, UNITS, unit_of
from modules.whole_files import write_whole

TABLE = "drive.csv"
COLUMNS = ("frame", "file", "time_s", "angle_rad", "torque", "speed_mps", "camera", "drive")
TARGETS = ("angle_rad", "torque", "speed_mps", "throttle")
_NUMBERS = ("time_s", *TARGETS)
_OF_ALL = ("root", "notes", "recorder")  # columns are the others
_RECORDER = "recorder"  # a column of drive.csv where angles are no radians
_THROTTLE = "throttle"  # one where it is known
_PART = re.compile(r"~\d+$")
_REFERENCE = re.compile(r"(.+?)(?:#(/[^#]+))?#(\d+)")


@dataclass
class DriveTable:
    """Frames of one or more drives; every column is an array of the same length.

    Args:
        root: Folder that `file` is relative to.
        frame: Name of the frame, as predictions call it.
        file: Image file, or `CONTAINER#NUMBER`.
        time_s: Time of the frame.
        angle_rad: Angle of the steering wheel, left positive; NaN where unknown, as are the next two.
        torque: Torque at the steering wheel, in the unit of its source.
        speed_mps: Speed of the car.
        throttle: Command from -1 to 1; NaN where unknown.
        camera: center, left, right.
        drive: Name of the drive.
        car: Recorder whose unit the angle has, such as donkeycar; empty for radians.
        source: File that the label is from, for messages.
        line: Line or number of the label in it.
        notes: What the reader has to say of the source, a line each.
        recorder: Format in which they were recorded, which tells the car and the unit of its angles; empty
            where it is unknown. Of several cars that of the first.
    """

    root: Path
    frame: np.ndarray
    file: np.ndarray
    time_s: np.ndarray
    angle_rad: np.ndarray
    torque: np.ndarray
    speed_mps: np.ndarray
    throttle: np.ndarray
    camera: np.ndarray
    drive: np.ndarray
    car: np.ndarray
    source: np.ndarray
    line: np.ndarray
    notes: tuple[str, ...] = ()
    recorder: str = ""

    @classmethod
    def build(
        cls,
        root: Path | str,
        *,
        file: Any,
        time_s: Any,
        angle_rad: Any,
        frame: Any = None,
        torque: Any = np.nan,
        speed_mps: Any = np.nan,
        throttle: Any = np.nan,
        camera: Any = "center",
        drive: Any = "drive",
        source: Path | str | Sequence[Path] | None = None,
        line: Any = None,
        notes: Sequence[str] = (),
    ) -> DriveTable:
        """Returns a table from lists, arrays, or one value for all rows.

        Without `frame` a frame is called as its file, less folder and suffix. ValueError for columns of
        different lengths.
        """
        files = np.asarray(file, str).reshape(-1)
        if frame is None:
            frame = [frame_name(name) for name in files]
        texts = {"frame": frame, "camera": camera, "drive": drive, "car": ""}
        numbers = {"time_s": time_s, "angle_rad": angle_rad, "torque": torque}
        numbers |= {"speed_mps": speed_mps, "throttle": throttle}
        columns = {name: np.asarray(values, str) for name, values in texts.items()}
        columns["car"] = columns["car"].astype("<U16")
        columns |= {name: np.asarray(values, np.float64) for name, values in numbers.items()}
        columns["source"] = np.asarray("row" if source is None else source, object)
        columns["line"] = np.arange(1, len(files) + 1) if line is None else np.asarray(line, np.int64)
        whole = {name: np.broadcast_to(values, files.shape).copy() for name, values in columns.items()}
        return cls(root=Path(root), file=files, notes=tuple(notes), recorder="", **whole)

    def __len__(self) -> int:
        return len(self.file)

    def columns(self) -> dict[str, np.ndarray]:
        """Returns the columns by their names, `source` and `line` too."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _OF_ALL}

    def select(self, rows: Any) -> DriveTable:
        """Returns the table of some rows: numbers in any order, a mask or a slice."""
        taken = {name: values[rows] for name, values in self.columns().items()}
        return DriveTable(root=self.root, notes=self.notes, recorder=self.recorder, **taken)

    def where(self, row: int) -> str:
        """Returns "file:line" of a row, for messages."""
        return f"{self.source[row]}:{self.line[row]}"

    def targets(self) -> np.ndarray:
        """Returns angle_rad, torque, speed_mps and throttle as (N, 4) float64, NaN where unknown."""
        return np.stack([getattr(self, name) for name in TARGETS], axis=1)

    def recordings(self) -> np.ndarray:
        """Returns the drive of each row as it was before it was cut: `monday` for `monday~2`."""
        names, inverse = np.unique(self.drive, return_inverse=True)
        return np.array([recording_name(name) for name in names], str)[inverse]

    def series(self, recordings: bool = False) -> list[np.ndarray]:
        """Returns the rows of each drive and camera, in the order of their first rows.

        Args:
            recordings: Take the drives as they were before they were cut.
        """
        return rows_by_key(self.recordings() if recordings else self.drive, self.camera)

    def rate_hz(self, otherwise: float = 20.0) -> float:
        """Returns the usual frames a second of the drives; `otherwise` where no drive has two frames."""
        periods = np.array([frame_period(self.time_s[rows]) for rows in self.series()])
        known = periods[np.isfinite(periods)]
        return float(1 / np.median(known)) if len(known) else otherwise


def join_tables(tables: Sequence[DriveTable]) -> DriveTable:
    """Returns the rows of several tables of one folder, one table after the other."""
    if len(tables) == 1:
        return tables[0]
    parts = [table.columns() for table in tables]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    notes = tuple(note for table in tables for note in table.notes)
    same_unit = len({unit_of(table.recorder) for table in tables}) == 1
    several = same_unit and len({table.recorder for table in tables}) > 1
    recorder = "" if several else tables[0].recorder
    return DriveTable(root=tables[0].root, notes=notes, recorder=recorder, **columns)


def rows_by_key(*columns: np.ndarray) -> list[np.ndarray]:
    """Returns the row numbers of each distinct combination of values, in the order of their first rows."""
    if not len(columns[0]):
        return []
    keys = np.stack([np.unique(column, return_inverse=True)[1] for column in columns], axis=1)
    _, first, key = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(key.reshape(-1), kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(key.reshape(-1)))[:-1])
    return [groups[i] for i in np.argsort(first)]


def split_reference(file: str) -> tuple[str, str, int] | None:
    """Returns container, topic and number of a frame inside one; none for an image file.

    `drive.mp4#7` is frame 7 of a video, `monday.bag#/camera/image#7` image 7 of a topic.
    """
    match = _REFERENCE.fullmatch(file)
    return (match[1], match[2] or "", int(match[3])) if match else None


def recording_name(drive: str) -> str:
    """Returns what a drive was called before it was cut: `monday` for `monday~2`."""
    return _PART.sub("", drive)


def frame_name(file: str) -> str:
    """Returns what a frame is called by default: `center/12.jpg` is 12, `drive.mp4#7` is 7."""
    reference = split_reference(file)
    if reference is not None:
        return str(reference[2])
    return PurePosixPath(file.replace("\\", "/")).stem.strip()


def write_drive_csv(table: DriveTable, path: Path) -> None:
    """Writes drive.csv, whole or not at all; files are named relative to its folder.

    InputError where angles are in several units, which it cannot tell.
    """
    if len(set(table.car.tolist())) > 1:
        raise InputError(f"{path}: would hold angles in several units; write a table for each recording")
    lead = os.path.relpath(table.root.absolute(), path.absolute().parent)
    files = table.file if lead == "." else [posixpath.join(Path(lead).as_posix(), f) for f in table.file]
    columns = {**table.columns(), "file": files}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    is_share = unit_of(table.recorder) != RADIANS
    names = [*COLUMNS, *[_THROTTLE] * bool(np.isfinite(table.throttle).any())]
    writer.writerow([*names, *[_RECORDER] * is_share])
    cells = [
        ["" if np.isnan(value) else repr(float(value)) for value in columns[name]]
        if name in _NUMBERS
        else columns[name]
        for name in names
    ]
    writer.writerows(zip(*cells, *[[table.recorder] * len(table)] * is_share, strict=True))
    try:
        write_whole(path, text.getvalue().encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def read_drive_csv(path: Path) -> DriveTable:
    """Returns the table of a drive.csv; the columns file, time_s and angle_rad are needed, in any order.

    InputError with file and line: wrong columns, a cell that is no number, a row without file or time.
    """
    labels = read_labels(path, drop_cut_end=True)
    column = {name: labels.find(name) for name in (*COLUMNS, _THROTTLE)}
    for name in ("file", "time_s", "angle_rad"):
        labels.need(name, name)
    named = labels.texts("file")
    empty = [row for row, name in enumerate(named) if not name]
    if empty:
        raise InputError(f"{labels.where(empty[0])}: the frame has no file")
    files = local_files(path.parent, named)
    known = [name for name in ("torque", "speed_mps", _THROTTLE) if column[name] is not None]
    optional: dict[str, Any] = {name: labels.numbers(name) for name in known}
    for name, default in (("camera", "center"), ("drive", "drive")):
        if column[name] is not None:
            optional[name] = np.array([text or default for text in labels.texts(name)], str)
    if column["camera"] is None and (told := cameras_of(files)):
        optional["camera"] = told[0]
    frame = None
    if column["frame"] is not None:
        frame = [t or frame_name(f) for t, f in zip(labels.texts("frame"), files, strict=True)]
    times, notes = in_seconds(_known_times(labels), labels.where(0))
    table = DriveTable.build(
        path.parent,
        frame=frame,
        file=files,
        time_s=times,
        angle_rad=labels.numbers("angle_rad"),
        source=path,
        line=labels.lines,
        notes=[*labels.notes, *notes],
        **optional,
    )
    return replace(table, recorder=recorder_in(labels))


def recorder_in(labels: LabelFile) -> str:
    """Returns the recorder that a table names; InputError where it names several, or one without a unit."""
    named = list(dict.fromkeys(labels.texts(_RECORDER))) if labels.find(_RECORDER) else [""]
    wrong = next((name for name in named if name and name not in UNITS), None)
    if wrong or len(named) > 1:
        row = labels.texts(_RECORDER).index(wrong or named[1])
        raise InputError(
            f"{labels.where(row)}: recorder is {wrong or named[1]!r}; one of {', '.join(UNITS)} is needed"
        )
    return named[0]


def _known_times(labels: LabelFile) -> np.ndarray:
    times = labels.numbers("time_s")
    if np.isnan(times).any():
        raise InputError(f"{labels.where(int(np.isnan(times).argmax()))}: the frame has no time_s")
    return times


def recognises(root: Path) -> bool:
    """Returns whether the folder has a drive.csv."""
    return (root / TABLE).is_file()


def read(root: Path) -> DriveTable:
    """Returns the table of a folder with a drive.csv, or of the file itself."""
    return read_drive_csv(root if root.is_file() else root / TABLE)
