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

from pathlib import Path

import numpy as np

from data_prep.driving.clocks import time_in_name
from data_prep.driving.label_files import (
    LabelFile,
    commands,
    delimiter_of,
    image_folder,
    nested,
    read_labels,
    read_text,
)
from data_prep.driving.table import DriveTable, join_tables
from modules.errors import InputError
from modules.steering.units import SIMULATOR_FULL_LOCK_RAD

LABELS = "driving_log.csv"
FRAMES_PER_SECOND = 10.0  # about what the simulator records; used where names have no time
_MPH = 0.44704  # metres a second
_CAMERAS = ("center", "left", "right")
_HEADER = [*_CAMERAS, "steering", "throttle", "brake", "speed"]


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
    steering, beyond = commands(steering, "steering", labels.where)
    speed = labels.numbers("speed") * _MPH if labels.find("speed") else np.full(len(labels), np.nan)
    throttle = labels.numbers("throttle") if labels.find("throttle") else np.full(len(labels), np.nan)
    names = [_file_name(cell) for cell in labels.texts(labels.need("center image", "center"))]
    times, assumed = _times(labels, names)
    notes = [*labels.notes, *beyond, *assumed]
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
                angle_rad=0.0 - SIMULATOR_FULL_LOCK_RAD * steering[rows],  # not -0.0, which would look odd
                speed_mps=speed[rows],
                throttle=throttle[rows],
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
    text = read_text(path)
    delimiter = delimiter_of(text)
    cells = [cell.strip(' "') for cell in text.lstrip().partition("\n")[0].split(delimiter)]
    if any(cell.lower() == "center" for cell in cells):
        return read_labels(path, drop_cut_end=True)
    if len(cells) != len(_HEADER):
        raise InputError(
            f"{path}:1: has {len(cells)} cells and no header; the simulator writes {', '.join(_HEADER)}"
            f"{'; decimal commas need semicolons between the cells' if len(cells) > len(_HEADER) else ''}"
        )
    return read_labels(path, _HEADER, drop_cut_end=True)


def _file_name(cell: str) -> str:
    return cell.replace("\\", "/").rpartition("/")[2]


def _times(labels: LabelFile, names: list[str]) -> tuple[np.ndarray, list[str]]:
    times = np.array([time_in_name(name) for name in names])
    unknown = np.isnan(times)
    if not unknown.any():
        return times, []
    row = int(unknown.argmax())
    note = (
        f"{labels.where(row)}: the image's name {names[row]!r} has no time; {FRAMES_PER_SECOND:.0f} rows a "
        "second are assumed in the whole file"
    )
    return np.arange(len(names)) / FRAMES_PER_SECOND, [note]
