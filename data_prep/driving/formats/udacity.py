"""Udacity's `interpolated.csv`: three cameras, with angle, torque and speed interpolated at every frame.

    DIR/interpolated.csv        index,timestamp,width,height,frame_id,filename,angle,torque,speed,lat,long,alt
    DIR/center/1479425215873184606.jpg, DIR/left/..., DIR/right/...

or several such folders in DIR, each a drive of its own. Timestamps are nanoseconds, angles radians of the
steering wheel, left positive; speeds metres a second. A side camera's rows carry the angle that was driven,
not one corrected for where the camera stands.
"""

import posixpath
from pathlib import Path

import numpy as np

from data_prep.driving.camera_names import cameras_of
from data_prep.driving.clocks import in_seconds
from data_prep.driving.label_files import local_files, nanoseconds, nested, read_labels
from data_prep.driving.table import DriveTable, join_tables
from modules.errors import InputError

LABELS = "interpolated.csv"


def recognises(root: Path) -> bool:
    """Returns whether the folder, or one in it, has an interpolated.csv."""
    return bool(nested(root, LABELS))


def read(root: Path) -> DriveTable:
    """Returns the frames of all cameras; a drive is called as the folder of its interpolated.csv."""
    sources = nested(root, LABELS)
    if not sources:
        raise InputError(f"{root}: no {LABELS} in this folder, nor in one below it")
    return join_tables([_read_drive(path, root) for path in sources])


def _read_drive(path: Path, root: Path) -> DriveTable:
    labels = read_labels(path, drop_cut_end=True)
    file, angle = labels.need("image", "filename"), labels.need("angle", "angle")
    stamp = labels.need("time", "timestamp")
    named = labels.texts(file)
    empty = next((row for row, name in enumerate(named) if not name), None)
    if empty is not None:
        raise InputError(f"{labels.where(empty)}: the row has no filename")
    files = local_files(path.parent, named)
    below = path.parent.relative_to(root).as_posix()
    camera = labels.find("frame_id")
    if camera:
        cameras: list[str] | str = [name.removesuffix("_camera") for name in labels.texts(camera)]
    else:
        told = cameras_of(files)
        cameras = told[0] if told else "center"
    times, notes = in_seconds(nanoseconds(labels, stamp), labels.where(0), "nanoseconds")
    return DriveTable.build(
        root,
        file=files if below == "." else [posixpath.join(below, name) for name in files],
        time_s=times,
        angle_rad=labels.numbers(angle),
        torque=labels.numbers("torque") if labels.find("torque") else np.nan,
        speed_mps=labels.numbers("speed") if labels.find("speed") else np.nan,
        camera=cameras,
        drive=path.parent.name or path.parent.absolute().name,
        source=path,
        line=labels.lines,
        notes=[*labels.notes, *notes],
    )
