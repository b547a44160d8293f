"""Drives: one reader a format, all giving the same frames and angles (`python -m data_prep.driving DIR`)."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from modules.errors import InputError

if TYPE_CHECKING:
    from data_prep.driving.table import DriveTable

# format -> its reader and what that looks for; a folder that several recognise is read as the first of them
FORMATS = {
    "road": ("road.dataset", "road.json of drawn roads"),
    "drive": ("table", "drive.csv"),
    "udacity": ("formats.udacity", "interpolated.csv"),
    "challenge": ("formats.challenge", "a csv with frame_id and steering_angle"),
    "simulator": ("formats.simulator", "driving_log.csv"),
    "sullychen": ("formats.sullychen", "data.txt"),
    "donkeycar": ("formats.donkeycar", "manifest.json with catalogs"),
    "ros": ("formats.ros_bag", "*.bag, or a folder with metadata.yaml"),
    "comma": ("formats.comma", "camera/*.h5 and log/*.h5"),
    "video": ("formats.video", "a video and a csv of the same name"),
}


def read_drives(root: Path | str, format: str = "auto") -> "DriveTable":
    """Returns the frames and labels of driving data, as their reader gives them.

    InputError for an unknown format, data in no known format, and whatever the reader finds wrong.

    Args:
        root: folder of the data, or the file itself.
        format: a name of FORMATS; auto takes the first whose files are there.
    """
    root = Path(root)
    if format == "auto":
        format = recognise(root)
    if format not in FORMATS:
        near = get_close_matches(format.lower(), [*FORMATS, "auto"], n=1, cutoff=0.0)[0]
        raise InputError(f"format {format!r}: did you mean {near!r}? There are auto, {', '.join(FORMATS)}")
    if format != "road" and not root.exists():
        raise InputError(f"{root}: no such file or folder")
    table: DriveTable = _reader(format).read(root)
    return table


def recognise(root: Path) -> str:
    """Returns the name of the first format whose files are in the folder, going mostly by their names."""
    if not root.exists():
        raise InputError(f"{root}: no such file or folder")
    for name in FORMATS:
        if _reader(name).recognises(root):
            return name
    looked_for = ", ".join(f"{files} ({name})" for name, (_, files) in FORMATS.items())
    raise InputError(f"{root}: no drives in a known format; looked for {looked_for}")


def _reader(format: str) -> ModuleType:
    # imported when asked for: no reader is loaded for a recording of another format
    return import_module(f"data_prep.driving.{FORMATS[format][0]}")
