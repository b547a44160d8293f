"""What the driver did at each frame of a recording, from any form of labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.driving.table import DriveTable
from modules.errors import InputError
from modules.steering.units import AngleUnit
from pipelines.steering.angle_files import read_true_angles

Key = tuple[str, str]  # drive, empty where names alone tell frames apart; name of the frame


def frame_keys(table: DriveTable, by_drive: bool) -> list[Key]:
    """Returns what tells frames apart: (drive, name), the drive empty where it does not matter."""
    drives = table.recordings().tolist() if by_drive else [""] * len(table)
    return list(zip(drives, table.frame.tolist(), strict=True))


def needs_drives(table: DriveTable) -> bool:
    """Returns whether names alone do not tell the frames apart, as the numbers of several videos."""
    return len(set(table.frame.tolist())) < len(table)


def true_angles(
    path: Path, table: DriveTable, camera: str = "center", unit: AngleUnit | None = None
) -> np.ndarray:
    """Returns the steering-wheel angle at each frame of a table (N,), left positive, NaN where unknown.

    The images of the labels need not be there. InputError where no frame of the table has an angle, or where
    the angles count something else than the unit.

    Args:
        path: Labels as `score` takes them.
        table: The frames.
        camera: Of a recording with several; an only one is taken whatever it is called.
        unit: Of the model beside which they are shown; None where it is not known.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    by_drive = needs_drives(table)
    labels = read_true_angles(path, camera)
    labels = labels if unit is None else labels.in_unit(unit)
    known = dict(zip(labels.keys(by_drive), labels.angle_rad.tolist(), strict=True))
    keys = frame_keys(table, by_drive)
    found = np.array([known.get(key, np.nan) for key in keys], np.float64)
    if np.isnan(found).all():
        named = "/".join(filter(None, next(iter(known), ("", "nothing"))))
        raise InputError(
            f"{path}: has an angle of none of the frames; it names {named!r}, the frames are named "
            f"{'/'.join(filter(None, keys[0]))!r}"
        )
    return found
