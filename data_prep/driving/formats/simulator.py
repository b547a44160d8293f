r"""Udacity's simulator: `driving_log.csv` and the images of three cameras.

    DIR/driving_log.csv     center,left,right,steering,throttle,brake,speed; often without that header
    DIR/IMG/center_2020_05_09_22_16_40_313.jpg ...

or several such folders in DIR. The paths in the log are those of the machine that recorded it
(`C:\Users\...\IMG\center_....jpg`): only the file's name is used where there is no such file here.

Steering goes from -1 to 1, right positive, and stands for 25 degrees of the road wheels at each end; the
simulator shows no steering wheel. The table has these 25 degrees in radians, left positive: angle_rad =
-0.4363 steering. Miles an hour become metres a second. The time is the one in the image's name. A side
camera's rows carry the angle that was driven.
"""

import calendar
import math
import re
from pathlib import Path

import numpy as np

from data_prep.driving.label_files import LabelFile, image_folder, nested, read_labels, read_text
from data_prep.driving.table import DriveTable, join_tables
from modules.errors import InputError

LABELS = "driving_log.csv"
FULL_LOCK_RAD = math.radians(25)
FRAMES_PER_SECOND = 10.0  # about what the simulator records; used where names have no time
_MPH = 0.44704  # metres a second
_CAMERAS = ("center", "left", "right")
_HEADER = [*_CAMERAS, "steering", "throttle", "brake", "speed"]
_TIME = re.compile(r"(\d{4})_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d{3})\.\w+$")


def recognises(root: Path) -> bool:
    """Returns whether the folder, or one in it, has a driving_log.csv."""
    return bool(nested(root, LABELS))


def read(root: Path) -> DriveTable:
    """Returns the frames of all cameras; a drive is called as the folder of its driving_log.csv."""
    sources = nested(root, LABELS)
    if not sources:
        raise InputError(f"{root}: no {LABELS} in this folder, nor in one below it")
    return join_tables([_read_drive(path, root) for path in sources])


def _read_drive(path: Path, root: Path) -> DriveTable:
    labels = _read_log(path)
    steering = labels.numbers(labels.need("steering", "steering", "steering_angle"))
    beyond = np.abs(steering) > 1
    if beyond.any():
        row = int(beyond.argmax())
        raise InputError(f"{labels.where(row)}: steering is {steering[row]:g}; it has to be from -1 to 1")
    speed = labels.numbers("speed") * _MPH if labels.find("speed") else np.full(len(labels), np.nan)
    names = [_file_name(cell) for cell in labels.texts(labels.need("center image", "center"))]
    times, notes = _times(labels, names)
    lead = path.parent.relative_to(root).as_posix()
    tables = []
    for camera in _CAMERAS:
        if labels.find(camera) is None:
            continue
        cells = labels.texts(camera)
        rows = [row for row, cell in enumerate(cells) if cell]
        if not rows:
            continue
        files = [_file_name(cells[row]) for row in rows]
        folder, _ = image_folder(path.parent, ("IMG", ""), files, ("",))
        tables.append(
            DriveTable.build(
                root,
                file=[f"{folder if lead == '.' else f'{lead}/{folder}'}{name}" for name in files],
                time_s=times[rows],
                angle_rad=0.0 - FULL_LOCK_RAD * steering[rows],  # not -0.0, which would look odd
                speed_mps=speed[rows],
                camera=camera,
                drive=path.absolute().parent.name,
                source=path,
                line=np.array(labels.lines)[rows],
                notes=notes if camera == "center" else (),
            )
        )
    return join_tables(tables)


def _read_log(path: Path) -> LabelFile:
    """Returns the log by its header, or by the simulator's own where the file has none."""
    first = read_text(path).lstrip().partition("\n")[0]
    cells = [cell.strip() for cell in first.split(",")]
    if any(cell.lower() == "center" for cell in cells):
        return read_labels(path)
    if len(cells) != len(_HEADER):
        raise InputError(
            f"{path}:1: has {len(cells)} cells and no header; the simulator writes {', '.join(_HEADER)}"
        )
    return read_labels(path, _HEADER)


def _file_name(cell: str) -> str:
    return cell.replace("\\", "/").rpartition("/")[2]


def _times(labels: LabelFile, names: list[str]) -> tuple[np.ndarray, list[str]]:
    times = np.full(len(names), np.nan)
    for row, name in enumerate(names):
        match = _TIME.search(name)
        if match:
            *date, milliseconds = (int(part) for part in match.groups())
            times[row] = calendar.timegm((*date, 0, 0, 0)) + milliseconds / 1000
    unknown = np.isnan(times)
    if not unknown.any():
        return times, []
    row = int(unknown.argmax())
    note = (
        f"{labels.where(row)}: the image's name {names[row]!r} has no time; {FRAMES_PER_SECOND:.0f} rows a "
        "second are assumed in the whole file"
    )
    return np.arange(len(names)) / FRAMES_PER_SECOND, [note]
