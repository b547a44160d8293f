"""House numbers: one reader a format, all giving the same table: `python -m data_prep.house_numbers`."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from data_prep.input_files import existing_folder
from modules.errors import InputError

if TYPE_CHECKING:
    from data_prep.house_numbers.records import NumberTable

# format -> what its reader looks for; a folder that several recognise is read as the first of them
FORMATS = {
    "folder": "numbers.csv",
    "svhn": "train/digitStruct.mat",
    "svhn_cropped": "train_32x32.mat",
    "voc": "Annotations/*.xml",
    "meters": "folders 0 to 9, or 0.0 to 9.9",
}
DRAWN = {"plates": "plates.dataset", "fronts": "plates.fronts"}
MADE = (*DRAWN, "meters")  # numbers are drawn or put together, as many as are asked for


def read_numbers(
    root: Path | None, format: str = "auto", numbers: int = 20_000, seed: int = 0
) -> "NumberTable":
    """Returns the table of pictures and numbers of a data set.

    InputError for an unknown format, a folder in no known format, and whatever its reader finds wrong.

    Args:
        root: Folder of the data set; None for drawn plates.
        format: One of DRAWN or FORMATS; auto takes the first whose files are there, and draws plates
            where there is no folder.
        numbers: Training numbers where they are drawn or put together.
        seed: Of what is drawn or put together.
    """
    if format == "auto":
        format = "plates" if root is None else recognise_format(root)
    if format not in DRAWN and format not in FORMATS:
        near = get_close_matches(format.lower(), [*FORMATS, *DRAWN, "auto"], n=1, cutoff=0.0)[0]
        known = ", ".join(["auto", *DRAWN, *FORMATS])
        raise InputError(f"format {format!r}: did you mean {near!r}? There are {known}")
    reader = _reader(format)
    table: NumberTable
    if format in DRAWN:
        if root is not None:
            raise InputError(
                f"format {format!r} draws its pictures and reads no folder; "
                f"leave {root} out, or name its format"
            )
    else:
        if root is None:
            raise InputError(f"format {format!r} needs a folder: --data.root DIR")
        existing_folder(root)
        if not reader.recognises(root):
            missing = f"{root}: holds no {FORMATS[format]}, so it is not of the format {format!r}"
            found = _recognised(root)
            raise InputError(
                missing + (f"; it has those of {found!r}: --data.format {found}" if found else "")
            )
    if format in MADE:
        table = reader.read(root or Path("drawn plates"), numbers, seed)
    else:
        table = reader.read(root)
    return table


def recognise_format(root: Path) -> str:
    """Returns the name of the first format whose files are in the folder, going by file names alone."""
    existing_folder(root)
    if (name := _recognised(root)) is not None:
        return name
    looked_for = ", ".join(f"{files} ({name})" for name, files in FORMATS.items())
    raise InputError(f"{root}: no house numbers in a known format; looked for {looked_for}")


def _recognised(root: Path) -> str | None:
    """Returns the first format whose files are in a folder; None for none."""
    return next((name for name in FORMATS if _reader(name).recognises(root)), None)


def _reader(format: str) -> ModuleType:
    # imported when asked for: no reader is loaded for a data set of another format
    place = DRAWN.get(format, f"formats.{format}")
    return import_module(f"data_prep.house_numbers.{place}")
