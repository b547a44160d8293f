"""Files of Udacity's challenge 2: one camera, and a csv with an angle for every frame.

    DIR/CH2_final_evaluation.csv    frame_id,steering_angle[,public]; any csv with these columns will do
    DIR/center/<frame_id>.jpg       or .png; or in DIR itself, DIR/images

A frame_id is the frame's time in nanoseconds, or in another unit that its steps tell; small numbers count
frames, of which 20 a second are assumed.
Angles are radians of the steering wheel, left positive. Images that are absent cut the drive.
"""

from pathlib import Path

import numpy as np

from data_prep.driving.clocks import are_times, in_seconds
from data_prep.driving.label_files import image_folder, nanoseconds, read_labels
from data_prep.driving.table import DriveTable
from modules.errors import InputError

LABELS = "CH2_final_evaluation.csv"
FRAMES_PER_SECOND = 20.0
_SUFFIXES = (".jpg", ".png", ".jpeg")


def recognises(root: Path) -> bool:
    """Returns whether the folder has a csv with the columns frame_id and steering_angle."""
    return bool(_label_files(root))


def _label_files(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix == ".csv" and _is_labels(root) else []
    return [path for path in sorted(root.glob("*.csv")) if _is_labels(path)]


def _is_labels(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.readline(1000).decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    names = {name.strip().strip('"').lower() for name in head.replace(";", ",").split(",")}
    return {"frame_id", "steering_angle"} <= names


def read(root: Path) -> DriveTable:
    """Returns the frames of a challenge folder, or of the csv itself, in the order of time.

    InputError where several files hold labels and none is CH2_final_evaluation.csv.
    """
    sources = _label_files(root)
    if not sources:
        raise InputError(f"{root}: no csv with the columns frame_id and steering_angle")
    named = [path for path in sources if path.name == LABELS]
    if len(sources) > 1 and not named:
        raise InputError(f"{sources[0]}: {sources[1].name} holds labels too; name the file instead of {root}")
    path = (named or sources)[0]
    labels = read_labels(path, drop_cut_end=True)
    stamps = nanoseconds(labels, "frame_id")
    names = labels.texts("frame_id")
    folder, suffix = image_folder(path.parent, ("center", "", "images"), names, _SUFFIXES)
    notes = []
    if not are_times(stamps):
        times = stamps / FRAMES_PER_SECOND
        notes.append(
            f"{labels.where(int(stamps.argmin()))}: frame_id is no time in nanoseconds; taken as the number "
            f"of a frame, {FRAMES_PER_SECOND:.0f} a second"
        )
    else:
        times, notes = in_seconds(stamps, labels.where(int(stamps.argmin())), "nanoseconds")
    order = np.argsort(stamps, kind="stable")
    late = np.flatnonzero(np.diff(stamps) < 0) + 1
    if len(late):
        notes.append(f"{labels.where(late[0])}: rows are not in the order of time; they were sorted")
    table = DriveTable.build(
        path.parent,
        frame=names,
        file=[f"{folder}{name}{suffix}" for name in names],
        time_s=times,
        angle_rad=labels.numbers("steering_angle"),
        drive=path.absolute().parent.name,
        source=path,
        line=labels.lines,
        notes=[*labels.notes, *notes],
    )
    return table.select(order)
