"""What is in driving data, printed: `python -m data_prep.driving DIR`; `draw DIR` draws some."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from data_prep.commands import check_new, run_commands
from data_prep.driving.formats.several import read_several
from data_prep.driving.road import dataset as road
from data_prep.driving.summary import describe, prepared
from data_prep.driving.table import DriveTable, write_drive_csv
from modules.errors import InputError, tell


def read(dir: list[Path], format: str = "auto", topic: str | None = None, output: Path | None = None) -> None:
    """Print what is in driving data, in any format that fit reads, and what is wrong with them.

    `draw DIR` draws drives.

    Args:
        dir: folder of the data, or the file itself; or several, as fit's --data.root takes them.
        format: road, drive, udacity, challenge, simulator, sullychen, donkeycar, ros, comma or video; auto
            takes the first whose files are there.
        topic: of the images, where a bag has several cameras.
        output: also write the table to this file (drive.csv).
    """
    for root in dir:
        if not root.exists():
            raise InputError(f"{root}: no such file or folder")
        check_new(root, output=output)
    table, warnings = prepared(read_several(dir, format, topic, labelled=False))
    Console().print(describe(table))
    for line in warnings:
        tell(f"warning: {line}")
    _write(table, output)


def draw(
    dir: Path,
    drives: int = road.DRIVES,
    seconds: float = road.SECONDS,
    seed: int = road.SEED,
    workers: int | None = None,
    sheet: Path | None = None,
    output: Path | None = None,
) -> None:
    """Draw drives on drawn roads, unless they are there already, and print what is in them.

    Args:
        dir: folder of the data set; a set of other settings in it is replaced.
        drives: how many, all splits together; a tenth of them validates, a tenth tests.
        seconds: of each drive, at 20 frames a second; at most 150.
        seed: from 0 to 999; the roads of two seeds have nothing in common.
        workers: processes that draw; by default one a core, at most 4.
        sheet: also write a contact sheet of frames to this PNG.
        output: also write the table to this file (drive.csv).
    """
    check_new(dir, output=output, sheet=sheet)
    road.generate(dir, drives, seconds, seed, workers)
    table = road.read(dir)
    Console().print(describe(table))
    if sheet is not None:
        road.write_sheet(table, sheet)
        print(f"wrote {sheet}")
    _write(table, output)


def _write(table: DriveTable, output: Path | None) -> None:
    if output is not None:
        write_drive_csv(table, output)
        print(f"wrote {len(table):,} frames to {output}")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of `python -m data_prep.driving [draw] DIR [options]`."""
    return run_commands("python -m data_prep.driving", read, {"draw": draw}, argv)


if __name__ == "__main__":
    sys.exit(main())
