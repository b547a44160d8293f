"""predictions.csv of a steering run: what a model said of every frame of a split, and what was true.

    frame_id,steering_angle,true_angle_rad,time_s,drive,stretch,file
    1479425441182877835,-0.0123,-0.0169,1479425441.1828778,monday,0,/data/center/1479425441182877835.jpg

The first two columns are those of a submission to the Udacity challenge. Angles are radians of the steering
wheel, left positive. Those of DonkeyCars and the simulator stand in the columns `share_of_full_lock` and
`true_share_of_full_lock`; older files have them in the columns of radians. `stretch` numbers the runs of
frames without a gap, in which neighbouring rows are neighbouring frames; `file` is absolute; an unknown truth
is empty.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.driving.label_files import read_labels
from data_prep.driving.table import DriveTable
from modules.errors import InputError
from modules.steering.units import RADIANS, SHARE, SHARE_COLUMN, AngleUnit, unit_of
from modules.whole_files import ESCAPED, write_whole

COLUMNS = ("frame_id", "steering_angle", "true_angle_rad", "time_s", "drive", "stretch", "file")
SHARE_COLUMNS = ("frame_id", SHARE_COLUMN, f"true_{SHARE_COLUMN}", *COLUMNS[3:])


@dataclass(frozen=True)
class PredictedDrives:
    """The frames of a split, in the order of their drives and of time.

    Attributes:
        frame: Names (N,).
        prediction_rad: What the model said (N,).
        truth_rad: What the driver did (N,), NaN where it is unknown.
        time_s: Times (N,).
        drive: Names of the drives (N,).
        stretch: Numbers of the unbroken stretches (N,).
        file: Image files, or `CONTAINER#NUMBER` (N,).
        unit: Of the angles.
    """

    frame: np.ndarray
    prediction_rad: np.ndarray
    truth_rad: np.ndarray
    time_s: np.ndarray
    drive: np.ndarray
    stretch: np.ndarray
    file: np.ndarray
    unit: AngleUnit = RADIANS

    def __len__(self) -> int:
        return len(self.frame)

    def known(self) -> PredictedDrives:
        """Returns the frames whose true angle is known; a frame left out ends a stretch."""
        rows = np.flatnonzero(~np.isnan(self.truth_rad))
        columns = {name: values[rows] for name, values in vars(self).items() if name != "unit"}
        return replace(self, **{**columns, "stretch": number_stretches(rows, self.stretch[rows])})

    def in_unit(self, unit: AngleUnit) -> PredictedDrives:
        """Returns the same frames in a unit, where the file does not say that they are shares already."""
        if self.unit == SHARE:
            return self
        angles = (self.prediction_rad / unit.full_lock, self.truth_rad / unit.full_lock)
        return replace(self, prediction_rad=angles[0], truth_rad=angles[1])

    @property
    def rate_hz(self) -> float:
        """Frames a second, by the median step within a stretch; 20 where there is no such step."""
        steps = np.diff(self.time_s)[np.diff(self.stretch) == 0]
        period = float(np.median(steps)) if len(steps) else 0.0
        return 1 / period if period > 0 else 20.0


def number_stretches(rows: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Returns the number of the unbroken stretch of each row (N,): next to each other and of one group.

    Args:
        rows: ascending row numbers of a table whose neighbouring rows are neighbouring frames.
        group: what must not change within a stretch, such as the name of the drive.
    """
    begins = (np.diff(rows) != 1) | (group[1:] != group[:-1])
    return np.concatenate([[0], np.cumsum(begins)])[: len(rows)]


def write_predictions(path: Path, table: DriveTable, rows: np.ndarray, angles_rad: np.ndarray) -> Path:
    """Returns the path of predictions.csv, written whole or not at all.

    Args:
        path: of the file.
        table: drives, cut.
        rows: those that were predicted, ascending (N,).
        angles_rad: what was predicted (N,).
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    unit = unit_of(table.recorder)
    writer.writerow(COLUMNS if unit == RADIANS else SHARE_COLUMNS)
    root = table.root.absolute()
    stretch = number_stretches(rows, table.drive[rows])
    for row, angle, number in zip(rows.tolist(), angles_rad.tolist(), stretch.tolist(), strict=True):
        true = table.angle_rad[row]
        writer.writerow(
            [
                table.frame[row],
                round(angle / unit.full_lock, 6),
                "" if np.isnan(true) else repr(float(true) / unit.full_lock),
                repr(float(table.time_s[row])),
                table.drive[row],
                number,
                root / str(table.file[row]),
            ]
        )
    return write_whole(path, text.getvalue().encode(errors=ESCAPED))


def read_predictions(path: Path) -> PredictedDrives:
    """Returns what `write_predictions` wrote.

    InputError with file and line: another file's columns, or an angle, time or stretch that is no number.
    """
    table = read_labels(path)
    columns = COLUMNS if table.find(SHARE_COLUMN) is None else SHARE_COLUMNS
    missing = [name for name in columns if table.find(name) is None]
    if missing:
        raise InputError(
            f"{path}:{table.header_line}: lacks {', '.join(missing)}, so no run wrote it; fit, validate and "
            "test write them"
        )
    said, true = columns[1:3]
    numbers = {name: table.numbers(name) for name in (said, "time_s", "stretch")}
    for name, values in numbers.items():
        if np.isnan(values).any():
            raise InputError(f"{table.where(int(np.isnan(values).argmax()))}: {name} is empty")
    texts = {name: np.array(table.texts(name), str) for name in ("frame_id", "drive", "file")}
    return PredictedDrives(
        frame=texts["frame_id"],
        prediction_rad=numbers[said],
        truth_rad=table.numbers(true),
        time_s=numbers["time_s"],
        drive=texts["drive"],
        stretch=numbers["stretch"].astype(np.int64),
        file=texts["file"],
        unit=RADIANS if columns == COLUMNS else SHARE,
    )
