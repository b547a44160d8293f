"""Drives: one reader a format, all giving the same frames and angles (`python -m data_prep.driving DIR`)."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from modules.errors import InputError
from modules.steering.units import car_of

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
    "donkeycar": ("formats.donkeycar", "manifest.json with catalogs, or record_*.json"),
    "ros": ("formats.ros_bag", "*.bag, *.mcap, *.db3, or a folder with metadata.yaml"),
    "comma": ("formats.comma", "camera/*.h5 and log/*.h5"),
    "video": ("formats.video", "a video and a csv of the same name"),
}


def read_drives(
    root: Path | str, format: str = "auto", topic: str | None = None, labelled: bool = True
) -> "DriveTable":
    """Returns the frames and labels of driving data, as their reader gives them.

    InputError for an unknown format, data in no known format, and whatever the reader finds wrong.

    Args:
        root: folder of the data, or the file itself.
        format: a name of FORMATS; auto takes the first whose files are there.
        topic: of the images, in bags.
        labelled: whether a bag without angles is refused.
    """
    root = Path(root)
    if format == "auto":
        format = recognise(root)
    if format not in FORMATS:
        near = get_close_matches(format.lower(), [*FORMATS, "auto"], n=1, cutoff=0.0)[0]
        raise InputError(f"format {format!r}: did you mean {near!r}? There are auto, {', '.join(FORMATS)}")
    if format != "road" and not root.exists():
        raise InputError(f"{root}: no such file or folder")
    if topic is not None and format != "ros":
        raise InputError(f"topic {topic}: {root} is of format {format}; only bags (ros) have topics")
    table: DriveTable = reader(format).read(root, *([topic, labelled] if format == "ros" else []))
    table.recorder = table.recorder or format
    table.car[:] = car_of(table.recorder)
    return table


def recognise(root: Path) -> str:
    """Returns the name of the first format whose files are in the folder, going mostly by their names."""
    if not root.exists():
        raise InputError(f"{root}: no such file or folder")
    if (name := recognised(root)) is not None:
        return name
    looked_for = ", ".join(f"{files} ({name})" for name, (_, files) in FORMATS.items())
    raise InputError(f"{root}: no drives in a known format; looked for {looked_for}")


def recognised(root: Path) -> str | None:
    """Returns the name of the first format whose files are in the folder; none where there is no such."""
    return next((name for name in FORMATS if reader(name).recognises(root)), None)


def reader(format: str) -> ModuleType:
    """Returns the module that reads a format, imported when asked for: no other is loaded."""
    return import_module(f"data_prep.driving.{FORMATS[format][0]}")
