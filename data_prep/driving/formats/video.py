"""A video and a csv of times and angles.

    DIR/monday.mp4      any container that FFmpeg reads
    DIR/monday.csv      time_s,angle_rad[,torque,speed_mps]; or frame,angle_rad: its number, from 0

or several such pairs in DIR, each a drive of its own; left.mp4 beside center.mp4 is its other camera. The
time column may be called time_s, time, t, seconds or timestamp. It is in seconds from the beginning of the
video, or in another unit that spans the video. The angle column may be called angle_rad, angle,
steering_angle or steering: radians of the steering wheel, left positive; or angle_deg: the same in degrees. A
frame gets the nearest label that is not later than it, unless that is older than three steps of the table:
then its angle is unknown.
"""

from pathlib import Path

import numpy as np

from data_prep.driving.camera_names import drives_of
from data_prep.driving.clocks import frame_period, in_seconds
from data_prep.driving.cutting import LONGEST_STEP
from data_prep.driving.label_files import LabelFile, read_labels
from data_prep.driving.table import DriveTable, join_tables
from data_prep.videos import SUFFIXES, frame_times, raw_stream_notes
from modules.errors import InputError

_TIMES = ("time_s", "time", "t", "seconds", "timestamp")
_ANGLES = ("angle_rad", "angle", "steering_angle", "steering")
_DEGREES = ("angle_deg", "steering_angle_deg", "steering_deg")
# times are rounded: a label that is later by less counts as of the same moment
_SAME_MOMENT_S = 1e-3
# a first label later than this belongs to no video that begins with it
_LATEST_START_S = 1e6


def recognises(root: Path) -> bool:
    """Returns whether the folder has a video with a csv of the same name, or is such a video."""
    return bool(_pairs(root))


def _pairs(root: Path) -> list[tuple[Path, Path]]:
    candidates = [root] if root.is_file() else sorted(root.glob("*"))
    videos = [path for path in candidates if path.suffix.lower() in SUFFIXES and path.is_file()]
    return [(path, path.with_suffix(".csv")) for path in videos if path.with_suffix(".csv").is_file()]


def video_of(labels: Path) -> Path | None:
    """Returns the video of the same name beside a csv; None where there is none."""
    return next((video for video, path in _pairs(labels.parent) if path == labels), None)


def read(root: Path) -> DriveTable:
    """Returns the frames of every video that has a csv of the same name; a drive is called as its file."""
    pairs = _pairs(root)
    if not pairs:
        raise InputError(f"{root}: no video with a csv of the same name ({', '.join(SUFFIXES)})")
    folder = root.parent if root.is_file() else root
    names = drives_of([video.name for video, _ in pairs])
    return join_tables([_read_drive(*pair, folder, *name) for pair, name in zip(pairs, names, strict=True)])


def _read_drive(video: Path, path: Path, root: Path, drive: str, camera: str) -> DriveTable:
    labels = read_labels(path, drop_cut_end=True)
    degrees = labels.find(*_DEGREES)
    angle = labels.numbers(degrees or labels.need("angle", *_ANGLES, *_DEGREES))
    columns = {"angle_rad": np.radians(angle) if degrees else angle}
    for name, called in (("torque", ("torque",)), ("speed_mps", ("speed_mps", "speed"))):
        found = labels.find(*called)
        if found:
            columns[name] = labels.numbers(found)
    times = frame_times(video)
    label_times, notes = _label_times(video, labels, times)
    order = np.argsort(label_times, kind="stable")
    label_times = label_times[order]
    place = np.searchsorted(label_times, times + _SAME_MOMENT_S, side="right") - 1
    oldest = LONGEST_STEP * frame_period(label_times) if len(label_times) > 1 else np.inf
    unknown = (place < 0) | (times - label_times[place] > oldest)
    taken = {name: np.where(unknown, np.nan, values[order][place]) for name, values in columns.items()}
    return DriveTable.build(
        root,
        file=[f"{video.relative_to(root).as_posix()}#{number}" for number in range(len(times))],
        time_s=times,
        **taken,
        camera=camera,
        drive=drive,
        source=video,
        line=np.arange(len(times)),
        notes=notes,
    )


def _label_times(video: Path, labels: LabelFile, frame_times: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Returns the time of each label from the beginning of the video, and what is to be said of it."""
    notes = [*labels.notes, *raw_stream_notes(video)]
    frame = labels.find("frame")
    if frame is not None and labels.find(*_TIMES) is None:
        numbers = labels.numbers(frame)
        outside = ~((numbers >= 0) & (numbers < len(frame_times)) & (numbers % 1 == 0))
        if outside.any():
            row = int(outside.argmax())
            raise InputError(
                f"{labels.where(row)}: frame {numbers[row]:g} is none of the video's {len(frame_times)}"
            )
        return frame_times[numbers.astype(np.int64)], notes
    times = labels.numbers(labels.need("time", *_TIMES, "frame"))
    if np.isnan(times).any():
        raise InputError(f"{labels.where(int(np.isnan(times).argmax()))}: the label has no time")
    first = labels.where(int(times.argmin()))
    times, said = in_seconds(times, first, duration_s=float(frame_times[-1]))
    notes += said
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        notes.append(f"{labels.where(int(back[0]) + 1)}: time runs backwards; the labels were sorted")
    if times.min() > _LATEST_START_S:
        notes.append(
            f"{first}: times begin at {times.min():.0f} s; taken as the time of the video's first frame"
        )
        times = times - times.min()
    if times.min() > frame_times[-1]:
        raise InputError(
            f"{first}: the first label is at {times.min():.1f} s, after the end "
            f"of the video at {frame_times[-1]:.1f} s"
        )
    return times, notes
