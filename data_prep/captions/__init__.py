"""Captioned photographs: one reader a format, all giving the same records: `python -m data_prep.captions`."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from modules.errors import InputError

if TYPE_CHECKING:
    from data_prep.captions.records import CaptionTable

# format -> what its reader looks for; a folder that several recognise is read as the first of them
FORMATS = {
    "karpathy": "dataset_*.json",
    "flickr8k": "Flickr8k.token.txt",
    "coco": "annotations/captions_*.json",
    "scenes": "a drawn data set",
    "folder": "captions.csv or captions.jsonl",
}


def read_captions(root: Path | str, format: str = "auto") -> "CaptionTable":
    """Returns the table of captions and images of a data set.

    InputError for an unknown format, a folder in no known format, and whatever its reader finds wrong.

    Args:
        root: folder of the data set.
        format: karpathy, flickr8k, coco, scenes, folder; auto takes the first whose files are there.
    """
    root = Path(root)
    if format == "auto":
        format = recognise_format(root)
    if format not in FORMATS:
        near = get_close_matches(format.lower(), [*FORMATS, "auto"], n=1, cutoff=0.0)[0]
        raise InputError(f"format {format!r}: did you mean {near!r}? There are auto, {', '.join(FORMATS)}")
    table: CaptionTable = _reader(format).read(root)
    return table


def recognise_format(root: Path) -> str:
    """Returns the name of the first format whose files are in the folder, going by file names alone."""
    from data_prep.input_files import existing_folder

    existing_folder(root)
    for name in FORMATS:
        if _reader(name).recognises(root):
            return name
    looked_for = ", ".join(f"{files} ({name})" for name, files in FORMATS.items())
    raise InputError(f"{root}: no captions in a known format; looked for {looked_for}")


def _reader(format: str) -> ModuleType:
    # imported when asked for: no reader is loaded for a data set of another format
    place = "scenes.dataset" if format == "scenes" else f"formats.{format}"
    return import_module(f"data_prep.captions.{place}")
