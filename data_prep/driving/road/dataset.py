"""Drawn roads: drives made in seconds, for `fit` without data, tests and demonstrations.

A human-like driver steers a car with a camera along roads with curves, hills, lane marks, worn surfaces,
woods, houses and traffic. There is sun, cloud, fog, rain and dusk. Every drive has a road of its own;
validation and test drives are on roads never seen in training.

    DIR/frames/train_000/train_000_00000.jpg ...   160 x 80, at 20 Hz
    DIR/drive.csv                                  angle of the steering wheel, torque, speed of each frame
    DIR/road.json                                  the settings and the name of the drawing; written last

Of 80 drives 64 are called train_000 ..., 8 val_000 ... and 8 test_000 .... Many short drives teach more
than a few long ones of as many frames: a model has to learn not to mind how a road looks.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_prep.drawn_sets import DrawnSet, write_whole_sheet
from data_prep.driving.road.drives import FRAMES, draw_drive
from data_prep.driving.road.scene import LONGEST_S, ROADS_PER_SEED, road_seed
from data_prep.driving.road.vehicle import RATE_HZ
from data_prep.driving.table import TABLE, DriveTable, join_tables, read_drive_csv, write_drive_csv
from data_prep.progress import tracked
from modules.errors import InputError
from modules.images import read_image

DRIVES, SECONDS, SEED = 80, 6.0, 0
MARKER = "road.json"
_FEWEST = 3  # one drive for each split
_PAUSE_S = 10.0  # between two drives: times of different drives never meet
_SET = DrawnSet("drawn drives", "c08a1b8ad23d9c6b", MARKER, TABLE, FRAMES, "*/*.jpg")


def recognises(root: Path) -> bool:
    """Whether the folder holds drawn drives."""
    return _SET.recognises(root)


def read(root: Path) -> DriveTable:
    """Returns the table of the drawn drives in a folder, which are drawn first where there are none.

    What a former version of the generator drew, or what is incomplete, is drawn anew with its own settings.
    """
    settings = _SET.recorded(root)
    defaults = {"drives": DRIVES, "seconds": SECONDS, "seed": SEED}
    generate(root, **{name: settings.get(name, default) for name, default in defaults.items()})
    return read_drive_csv(root / TABLE)


def generate(
    root: Path,
    drives: int = DRIVES,
    seconds: float = SECONDS,
    seed: int = SEED,
    workers: int | None = None,
) -> None:
    """Draws the drives into a folder, unless they are there already; equal settings give equal files.

    A set of other settings is replaced; a folder that holds anything else is an InputError.

    Args:
        root: folder of the data set.
        drives: how many, all splits together; a tenth of them validates, a tenth tests.
        seconds: of each drive, at most 150.
        seed: from 0 to 999; the roads of two seeds have nothing in common.
        workers: processes that draw; None for one a core, at most 4.
    """
    if not _FEWEST <= drives <= ROADS_PER_SEED:
        raise InputError(f"{drives} drives cannot be drawn; choose from {_FEWEST} to {ROADS_PER_SEED:,}")
    if not 1 <= seconds <= LONGEST_S:
        raise InputError(f"drives of {seconds:g} s cannot be drawn; choose from 1 to {LONGEST_S:g}")
    road_seed("train", 0, seed)  # raises where the seed is out of range
    settings = {"drives": drives, "seconds": float(seconds), "seed": seed}
    processes = workers or min(os.cpu_count() or 1, 4)
    frames = drives * round(seconds * RATE_HZ)
    _SET.provide(root, settings, frames, lambda folder: _make(folder, settings, processes))


def names_and_seeds(drives: int, seed: int) -> list[tuple[str, int]]:
    """Returns name and road of every drive of a set: first those that train, then val, then test."""
    held_out = max(1, drives // 10)
    counts = {"train": drives - 2 * held_out, "val": held_out, "test": held_out}
    return [
        (f"{split}_{number:03d}", road_seed(split, number, seed))
        for split, count in counts.items()
        for number in range(count)
    ]


def _make(folder: Path, settings: dict[str, Any], workers: int) -> None:
    """Writes frames and table into an empty folder."""
    drives, seconds = settings["drives"], settings["seconds"]
    jobs = [
        (folder, name, seed, seconds, number * (seconds + _PAUSE_S))
        for number, (name, seed) in enumerate(names_and_seeds(drives, settings["seed"]))
    ]
    if workers == 1:
        tables = list(tracked(map(draw_drive, jobs), "drawing drives", drives))
    else:
        # spawned, not forked: the caller may have threads
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, drives), mp_context=context) as pool:
            tables = list(tracked(pool.map(draw_drive, jobs), "drawing drives", drives))
    write_drive_csv(join_tables(tables), folder / TABLE)


def write_sheet(table: DriveTable, path: Path, columns: int = 5, rows: int = 8) -> None:
    """Writes frames from all over the drives, with their angles, as one PNG."""
    tiles = []
    for row in np.linspace(0, len(table) - 1, columns * rows).astype(int):
        picture = np.ascontiguousarray(read_image(table.root / str(table.file[row])))
        picture = cv2.resize(picture, None, fx=2, fy=2)
        text = f"{table.drive[row]} {table.angle_rad[row]:+.2f}"
        for colour, shift in (((0, 0, 0), 1), ((255, 255, 255), 0)):
            at = (6 + shift, 14 + shift)
            cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
        tiles.append(picture)
    sheet = np.vstack([np.hstack(tiles[at : at + columns]) for at in range(0, len(tiles), columns)])
    write_whole_sheet(path, sheet)
