"""comma.ai's research data: HDF5 files of camera frames at 20 Hz and of a log at 100 Hz.

    DIR/camera/2016-06-08--11-46-01.h5      X (N, 3, 160, 320) uint8, RGB
    DIR/log/2016-06-08--11-46-01.h5         steering_angle, speed, times; cam1_ptr, the frame of an entry

A frame's labels are the means of its log entries. `steering_angle` is in tenths of a degree of the steering
wheel, right positive; the table has radians, left positive. Speeds are metres a second.

Needs the package h5py (`pip install h5py`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.driving.table import DriveTable, join_tables
from modules.errors import InputError

FRAMES_PER_SECOND = 20.0
_LOG = ("steering_angle", "cam1_ptr")


def recognises(root: Path) -> bool:
    """Returns whether the folder has camera/*.h5 and a log of the same name."""
    return bool(_drives(root))


def _drives(root: Path) -> list[tuple[Path, Path]]:
    cameras = sorted((root / "camera").glob("*.h5"))
    pairs = ((path, root / "log" / path.name) for path in cameras)
    return [(camera, log) for camera, log in pairs if log.is_file()]


def read(root: Path) -> DriveTable:
    """Returns the frames of every pair of camera and log; a drive is called as its files."""
    pairs = _drives(root)
    if not pairs:
        raise InputError(f"{root}: no camera/NAME.h5 with a log/NAME.h5 in this folder")
    return join_tables([_read_drive(camera, log, root) for camera, log in pairs])


def _open(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path}: HDF5 files need the package h5py: pip install h5py") from None
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: is no HDF5 file that can be read ({str(error).split('(')[0]})") from None


def _read_drive(camera: Path, log: Path, root: Path) -> DriveTable:
    with _open(camera) as stored:
        frames = _frame_count(stored, camera)
    with _open(log) as stored:
        for name in _LOG:
            if name not in stored:
                raise InputError(f"{log}: has no {name!r}; it holds {', '.join(sorted(stored))}")
        columns = {
            name: np.asarray(stored[name], np.float64).reshape(-1)
            for name in (*_LOG, "speed", "times")
            if name in stored
        }
    entries = len(columns["cam1_ptr"])
    for name, values in columns.items():
        if len(values) != entries:
            raise InputError(f"{log}: {name} has {len(values)} entries, cam1_ptr {entries}")
    pointer = columns["cam1_ptr"]
    known = np.isfinite(pointer) & (pointer >= 0) & (pointer < frames)
    if not known.any():
        raise InputError(f"{log}: no cam1_ptr points to one of the {frames} frames of {camera}")
    frame_of = pointer[known].astype(np.int64)
    means = {name: _means(columns[name][known], frame_of, frames) for name in columns if name != "cam1_ptr"}
    times = means.get("times", np.full(frames, np.nan))
    notes = []
    if np.isnan(times).any():
        absent = int(np.isnan(times).sum())
        if "times" in columns:
            times = _filled(times)
            notes.append(f"{log}: {absent} of {frames} frames have no log entry, their angle is unknown")
        else:
            times = np.arange(frames) / FRAMES_PER_SECOND
            notes.append(f"{log}: has no times; {FRAMES_PER_SECOND:.0f} frames a second are assumed")
    below = camera.relative_to(root).as_posix()
    return DriveTable.build(
        root,
        file=[f"{below}#{number}" for number in range(frames)],
        time_s=times,
        angle_rad=0.0 - np.radians(means["steering_angle"] / 10),
        speed_mps=means.get("speed", np.nan),
        drive=camera.stem,
        source=camera,
        line=np.arange(frames),
        notes=notes,
    )


def _frame_count(stored: Any, path: Path) -> int:
    if "X" not in stored:
        raise InputError(f"{path}: has no 'X' of frames; it holds {', '.join(sorted(stored))}")
    shape, dtype = stored["X"].shape, stored["X"].dtype
    if len(shape) != 4 or shape[1] != 3 or dtype != np.uint8 or not shape[0]:
        raise InputError(f"{path}: X is {dtype} {shape}; frames are uint8 (N, 3, height, width)")
    return int(shape[0])


def _means(values: np.ndarray, frame_of: np.ndarray, frames: int) -> np.ndarray:
    """Returns the mean of the values of each frame, NaN where it has none."""
    count = np.bincount(frame_of, minlength=frames)
    total = np.bincount(frame_of, weights=values, minlength=frames)
    return np.divide(total, count, out=np.full(frames, np.nan), where=count > 0)


def _filled(times: np.ndarray) -> np.ndarray:
    """Returns times with those that are unknown put evenly between, before and after the known ones."""
    places, known = np.arange(len(times)), ~np.isnan(times)
    filled = np.interp(places, places[known], times[known])
    first, last = np.flatnonzero(known)[[0, -1]]
    filled[:first] -= (first - places[:first]) / FRAMES_PER_SECOND
    filled[last + 1 :] += (places[last + 1 :] - last) / FRAMES_PER_SECOND
    return filled


def frames(path: Path, numbers: Sequence[int]) -> Iterator[np.ndarray | str]:
    """Yields the frames of these numbers as (Hh, Ww, 3) RGB bytes, or why one cannot be read."""
    with _open(path) as stored:
        count = _frame_count(stored, path)
        for number in numbers:
            if number >= count:
                yield f"has {count} frames, not frame {number}"
                continue
            try:
                yield np.ascontiguousarray(stored["X"][number].transpose(1, 2, 0))
            except OSError as error:
                yield f"is damaged ({error})"
