"""What is in a data set of house numbers: `python -m data_prep.house_numbers DIR`; `draw SHEET` draws."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_prep.commands import check_new, run_commands
from data_prep.drawn_sets import write_whole_sheet
from data_prep.house_numbers import read_numbers
from data_prep.house_numbers.records import NumberTable, leave_out_long
from data_prep.input_files import SPLITS
from modules.errors import InputError, check_at_least
from modules.house_numbers.batch import MOST_DIGITS
from modules.house_numbers.preprocessing import NumberPictures


def read(dir: Path, format: str = "auto", sheet: Path | None = None, size: int = 64) -> None:
    """Print what is in a data set of house numbers. `draw SHEET` draws plates.

    Args:
        dir: Folder of the data set.
        format: folder, svhn, svhn_cropped, voc or meters; auto takes the first whose files are there.
        sheet: Also write a contact sheet of pictures as the model sees them to this PNG.
        size: Side of a picture on it in pixels.
    """
    check_new(dir, sheet=sheet)
    table = read_numbers(dir, format)
    Console().print(_describe(table))
    if sheet is not None:
        _write_sheet(table, sheet, size)


def draw(sheet: Path, size: int = 128, seed: int = 0, split: str = "train", pictures: int = 96) -> None:
    """Draw plates and write them as a contact sheet.

    Args:
        sheet: PNG to write.
        size: Side of a picture in pixels.
        seed: Any whole number.
        split: train, val or test, each of which has fonts and numbers of its own.
        pictures: How many.
    """
    check_at_least(1, pictures=pictures)
    table = read_numbers(None, "plates", 10 * pictures, seed)
    table.records = table.split(split)
    _write_sheet(table, sheet, size, pictures)


def _describe(table: NumberTable) -> Table:
    result = Table(title=escape(str(table.root)), box=box.SIMPLE_HEAD, title_justify="left")
    result.add_column("split")
    result.add_column("pictures", justify="right")
    for digits in range(1, MOST_DIGITS + 1):
        result.add_column(f"{digits} digit{'s' * (digits > 1)}", justify="right")
    result.add_column("longer", justify="right")
    for split in SPLITS:
        kept, long = leave_out_long(table.split(split))
        counts = Counter(len(record.number) for record in kept)
        lengths = [counts[digits] for digits in range(1, MOST_DIGITS + 1)]
        result.add_row(split, *(f"{count:,}" for count in (len(kept) + len(long), *lengths, len(long))))
    return result


def _write_sheet(table: NumberTable, path: Path, size: int, pictures: int = 96) -> None:
    """Writes the first pictures as a PNG, twelve a row."""
    shown = [table.picture(record, NumberPictures(size)) for record in table.records[:pictures]]
    if not shown:
        raise InputError(f"{table.root}: no pictures to show")
    shown += [np.zeros_like(shown[0])] * (-len(shown) % 12)
    rows = [np.hstack(shown[row : row + 12]) for row in range(0, len(shown), 12)]
    write_whole_sheet(path, np.vstack(rows))
    print(f"wrote {path}")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of `python -m data_prep.house_numbers [draw] ... [options]`."""
    return run_commands("python -m data_prep.house_numbers", read, {"draw": draw}, argv)


if __name__ == "__main__":
    sys.exit(main())
