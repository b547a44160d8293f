"""Frames that nobody has labelled: a folder of images, a video, a folder of videos.

    DIR/center/*.jpg        or in DIR itself, or DIR/images: whichever holds most images
    DIR/*.mp4               or one video by name; each is a drive
    DIR/left/*.jpg          or left_1.jpg beside center_1.jpg, left.mp4 beside center.mp4: cameras, told apart
                            by these words

Any other recording that `read_drives` knows is read as such, without a look at its angles. The names of the
images tell their order and their times:

    1479425441182877835     all digits, at least 1e11: nanoseconds, or whatever their steps tell
    2020_05_09_22_16_40_313 date and time, as in the simulator's
    1479425441.182878       seconds
    frame_00012, 12_cam     one number that counts, the rest the same: the usual step from one number to the
                            next is one frame, of which `rate_hz` a second are assumed
    anything else           natural order (2 before 10), `rate_hz` frames a second

A frame is called as its file without suffix, or by its number in the video. Where time leaps over more than
3 frames the drive is cut (cutting.py), so also where more than two numbers in a row are missing.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from data_prep.driving import read_drives, recognise
from data_prep.driving.camera_names import cameras_of, drives_of
from data_prep.driving.checks import absent_files, frame_problems
from data_prep.driving.clocks import are_times, in_seconds, time_in_name
from data_prep.driving.cutting import cut_drives
from data_prep.driving.table import DriveTable, join_tables
from data_prep.videos import SUFFIXES as VIDEO_SUFFIXES
from data_prep.videos import frame_times, raw_stream_notes
from modules.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
_FOLDERS = ("center", "", "images")
_SIDES = ("left", "right")
_SECONDS = re.compile(r"\d{9,10}\.\d+")


def frames_of(
    path: Path, camera: str = "center", rate_hz: float = 20.0, topic: str | None = None
) -> tuple[DriveTable, list[str]]:
    """Returns the frames of one camera in the order of time, cut at gaps, and what is to be said of them.

    InputError for what is absent, holds no frames, or has two frames of one name in a drive.

    Args:
        path: Folder or file.
        camera: Where there are several; an only one is taken whatever it is called.
        rate_hz: Frames a second where the names tell no time.
        topic: Of the images, in bags.
    """
    table = read_frames(path, rate_hz, topic)
    if not len(table):
        raise InputError(f"{path}: holds no frames")
    cameras = list(dict.fromkeys(table.camera.tolist()))
    if len(cameras) > 1:
        if camera not in cameras:
            raise InputError(f"--camera {camera}: {path} has none called so; it has {', '.join(cameras)}")
        others = ", ".join(f"{name}" for name in cameras if name != camera)
        table = table.select(table.camera == camera)
        table.notes += (f"{path}: camera {camera} is taken; there is {others}, too (--camera)",)
    absent = absent_files(table)
    if absent.all():
        first = table.root / table.file[0]
        raise InputError(f"{table.where(0)}: all images are absent, the first is {first}")
    cut = cut_drives(table, absent)
    _check_names(cut)
    return cut, frame_problems(table, absent)


def read_frames(path: Path, rate_hz: float, topic: str | None = None) -> DriveTable:
    """Returns the table of all frames, as its reader gives it; angles of unlabelled ones are NaN."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.is_file():
        return (
            _read_videos(path.parent, [path])
            if _is_video(path.name)
            else read_drives(path, "auto", topic, False)
        )
    try:
        format = recognise(path)
    except InputError:
        format = None
    if topic is not None and format != "ros":
        raise InputError(f"topic {topic}: {path} is no bag; only bags (ros) have topics")
    # in these two a table of labels may lack frames that are there
    if format not in (None, "challenge", "video"):
        return read_drives(path, format, topic, labelled=False)
    found = {folder: _files(path / folder, IMAGE_SUFFIXES) for folder in (*_FOLDERS, *_SIDES)}
    folder = max(_FOLDERS, key=lambda name: len(found[name]))
    beside = [name for name in _SIDES if found[name]]
    if beside and (found["center"] or not found[folder]):
        folders = [name for name in ("center", *beside) if found[name]]
        return join_tables([_read_images(path, name, found[name], rate_hz, name) for name in folders])
    if found[folder]:
        return _read_cameras(path, folder, found[folder], rate_hz)
    if videos := _files(path, VIDEO_SUFFIXES):
        return _read_videos(path, [path / name for name in videos])
    below = [entry.name for entry in sorted(path.iterdir()) if _files(entry, IMAGE_SUFFIXES)]
    remedy = f"; name the folder that does, such as {path / below[0]}" if below else ""
    raise InputError(f"{path}: holds no images, no video and no recording in a known format{remedy}")


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    if not folder.is_dir():
        return []
    try:
        names = os.listdir(folder)  # noqa: PTH208 - of a hundred thousand files pathlib takes long
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    return sorted(name for name in names if name.lower().endswith(suffixes) and not name.startswith("."))


def _is_video(name: str) -> bool:
    return name.lower().endswith(VIDEO_SUFFIXES)


def _read_videos(root: Path, videos: Sequence[Path]) -> DriveTable:
    tables = []
    names = drives_of([video.name for video in videos])
    for video, (drive, camera) in zip(videos, names, strict=True):
        times = frame_times(video)
        numbers = [str(number) for number in range(len(times))]
        tables.append(
            DriveTable.build(
                root,
                file=[f"{video.name}#{number}" for number in numbers],
                time_s=times,
                angle_rad=np.nan,
                camera=camera,
                drive=drive,
                source=video,
                line=np.arange(len(times)),
                notes=raw_stream_notes(video),
            )
        )
    return join_tables(tables)


def _read_cameras(root: Path, folder: str, files: list[str], rate_hz: float) -> DriveTable:
    told = cameras_of(files)
    if told is None:
        return _read_images(root, folder, files, rate_hz)
    parts = [
        _read_images(
            root, folder, [f for f, of in zip(files, told[0], strict=True) if of == camera], rate_hz, camera
        )
        for camera in dict.fromkeys(told[0])
    ]
    return join_tables(parts)


def _read_images(
    root: Path, folder: str, files: list[str], rate_hz: float, camera: str = "center"
) -> DriveTable:
    names = [os.path.splitext(name)[0] for name in files]  # noqa: PTH122
    for place in range(1, len(files)):  # they are sorted
        if names[place] == names[place - 1]:
            _refuse_twice(root / folder, files[place - 1], files[place], names[place])
    times, notes = image_times(names, rate_hz)
    kept = np.flatnonzero(~np.isnan(times))
    order = kept[np.argsort(times[kept], kind="stable")]
    lead = f"{folder}/" if folder else ""
    return DriveTable.build(
        root,
        file=[f"{lead}{files[place]}" for place in order],
        time_s=times[order],
        angle_rad=np.nan,
        camera=camera,
        drive=root.absolute().name or "drive",
        source=root / folder if folder else root,
        line=order + 1,
        notes=[f"{root / folder}: {note}" for note in notes],
    )


def image_times(names: Sequence[str], rate_hz: float) -> tuple[np.ndarray, list[str]]:
    """Returns the time of each image in seconds (N,), NaN for one left out, and what was assumed.

    Args:
        names: Of the files, without suffix, in any order.
        rate_hz: Frames a second where the names tell no time.
    """
    for seconds in (_whole_time, _decimal_time, time_in_name):
        times = np.array([seconds(name) for name in names])
        timed = ~np.isnan(times)
        if timed.sum() <= len(names) / 2:
            continue
        notes = [
            f"the name of {name!r} is no time as those of the others are; it was left out"
            for name, known in zip(names, timed, strict=True)
            if not known
        ]
        if seconds is _whole_time:
            order = np.flatnonzero(timed)[np.argsort(times[timed], kind="stable")]
            times[order], said = in_seconds(times[order], names[order[0]], "nanoseconds")
            notes += said
        return times, notes
    numbers = _counted(names)
    if numbers is not None:
        steps = np.diff(np.sort(numbers))
        step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
        times = (numbers - numbers.min()) / (step * rate_hz)
        return times, [f"images are numbered; {rate_hz:g} frames a second are assumed (--rate)"]
    rank = np.empty(len(names))
    rank[sorted(range(len(names)), key=lambda place: _natural(names[place]))] = np.arange(len(names))
    return rank / rate_hz, [
        f"names tell no times; natural order, {rate_hz:g} frames a second (--rate) and no gaps are assumed"
    ]


def _whole_time(name: str) -> float:
    is_whole = name.isascii() and name.isdigit() and len(name) <= 19
    return float(name) if is_whole and are_times(np.array([int(name)])) else float("nan")


def _decimal_time(name: str) -> float:
    return float(name) if _SECONDS.fullmatch(name) else float("nan")


def _counted(names: Sequence[str]) -> np.ndarray | None:
    """Returns the one number in which names differ (N,); none where they differ in something else."""
    parts = [re.split(r"(\d+)", name) for name in names]  # text, digits, text, ..., text
    if len({len(part) for part in parts}) > 1:
        return None
    differ = [place for place, column in enumerate(zip(*parts, strict=True)) if len(set(column)) > 1]
    if len(parts) == 1:  # one frame: its last number, if any
        differ = [len(parts[0]) - 2] if len(parts[0]) > 1 else []
    if len(differ) != 1 or differ[0] % 2 == 0:
        return None
    numbers = [int(part[differ[0]]) for part in parts]
    return np.array([number - min(numbers) for number in numbers], np.float64)


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)  # text, digits, text, ...
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]


def _check_names(table: DriveTable) -> None:
    """InputError where a drive has two frames of one name."""
    names = list(zip(table.recordings().tolist(), table.frame.tolist(), strict=True))
    twice, count = Counter(names).most_common(1)[0]
    if count > 1:
        first, second = [row for row, name in enumerate(names) if name == twice][:2]
        _refuse_twice(table.root, str(table.file[first]), str(table.file[second]), twice[1])


def _refuse_twice(root: Path, one: str, other: str, name: str) -> NoReturn:
    raise InputError(f"{root}: {one} and {other} are both frame {name!r}; leave one of them out")
