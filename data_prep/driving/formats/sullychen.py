"""SullyChen's driving data sets: `data.txt`, a frame and its angle in degrees a line.

    DIR/data.txt        0.jpg 12.34              or   0.jpg 12.34,2018-07-01 17:09:44:912
    DIR/0.jpg ...       or in DIR/data, DIR/images

Angles are degrees of the steering wheel, right positive; the table has radians, left positive. Without times
a frame's number counts them, 30 a second; a number that is left out is a gap.
"""

import calendar
import re
from pathlib import Path

import numpy as np

from data_prep.driving.camera_names import cameras_of
from data_prep.driving.label_files import image_folder, number, read_text
from data_prep.driving.table import DriveTable
from modules.errors import InputError

LABELS = "data.txt"
FRAMES_PER_SECOND = 30.0
_LINE = re.compile(r"(?P<file>\S+)[ \t]+(?P<angle>[^\s,]+)(?:[ \t]*,[ \t]*(?P<time>.+))?")
_TIME = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)[ T](\d\d?):(\d\d?):(\d\d?)(?:[:.](\d{1,6}))?")


def recognises(root: Path) -> bool:
    """Returns whether the folder has a data.txt whose first line is an image and an angle."""
    path = root / LABELS
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.readline(1000).decode("utf-8-sig", errors="replace")
    match = _LINE.fullmatch(head.strip())
    return match is not None and "." in match["file"]


def read(root: Path) -> DriveTable:
    """Returns the frames of a folder with a data.txt; InputError with its line where one is not as above."""
    path = root / LABELS
    files, degrees, times, lines = [], [], [], []
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        match = _LINE.fullmatch(text.strip())
        if match is None:
            raise InputError(f"{path}:{line}: {text.strip()[:60]!r} is no image and an angle in degrees")
        files.append(match["file"].replace("\\", "/"))
        degrees.append(number(match["angle"], "the angle", path, line))
        times.append(_seconds(match["time"], path, line))
        lines.append(line)
    if not files:
        raise InputError(f"{path}: holds no rows of labels")
    notes = []
    time_s = np.array(times)
    if np.isnan(time_s).any():
        line = lines[int(np.isnan(time_s).argmax())]
        if not np.isnan(time_s).all():
            raise InputError(f"{path}:{line}: has no time, though other lines have one")
        time_s = _numbers(files) / FRAMES_PER_SECOND
        notes.append(f"{path}:{line}: has no times; {FRAMES_PER_SECOND:.0f} frames a second are assumed")
    folder, _ = image_folder(root, ("", "data", "images"), files, ("",))
    return DriveTable.build(
        root,
        file=[folder + name for name in files],
        time_s=time_s,
        angle_rad=0.0 - np.radians(degrees),  # not -0.0, which would look odd
        camera=told[0] if (told := cameras_of(files)) else "center",
        drive=root.absolute().name,
        source=path,
        line=lines,
        notes=notes,
    )


def _numbers(files: list[str]) -> np.ndarray:
    """Returns the numbers that files are called by, or their places where one is not called by a number."""
    names = [name.rpartition("/")[2].rpartition(".")[0] for name in files]
    numbered = all(name.isdecimal() for name in names)
    return np.array([int(name) for name in names] if numbered else range(len(names)), np.float64)


def _seconds(text: str | None, path: Path, line: int) -> float:
    if text is None:
        return float("nan")
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{path}:{line}: time {text.strip()[:40]!r} is not as 2018-07-01 17:09:44:912")
    *date, fraction = match.groups()
    # after a colon stand milliseconds, with or without leading zeros; after a point a decimal fraction
    part = int(fraction or 0) / 1000 if f":{fraction}" in text else float(f"0.{fraction or 0}")
    return calendar.timegm((*map(int, date), 0, 0, 0)) + part
