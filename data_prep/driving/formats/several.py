"""Several recordings as one table: which folders they are, how drives are called, angles on one scale.

Recordings of one unit are joined as they are. A DonkeyCar's command, the simulator's and radians of a wheel
say different things: of each such car the angles are multiplied by

    standard deviation of the first car's training angles / that of its own

so that all are in the unit of the first one. The factors go with the checkpoint.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_prep.driving import read_drives, reader, recognised
from data_prep.driving.table import DriveTable, join_tables
from modules.errors import InputError
from modules.steering.units import LIKE_RATES, unit_of


def read_several(
    roots: Sequence[Path], format: str = "auto", topic: str | None = None, labelled: bool = True
) -> DriveTable:
    """Returns the drives of several recordings in one table, which is of the folder they have in common.

    A folder of recordings stands for them. A drive is called FOLDER/DRIVE where two recordings have drives of
    one name, or one has several. InputError where a recording is named twice, and whatever `read_drives`
    finds wrong.

    Args:
        roots: folders of the data, or files.
        format: of all of them; auto takes that of each.
        topic: of the images, in bags.
        labelled: whether a bag without angles is refused.
    """
    parts, notes = [], list[str]()
    for root in roots:
        found, left_out = _recordings(root) if format == "auto" else ([root], [])
        parts += found
        notes += [f"{path}: no drives in a known format; the folder is left out" for path in left_out]
    tables = [read_drives(part, format, topic, labelled) for part in parts]
    if len(tables) == 1:
        tables[0].notes += tuple(notes)
        return tables[0]
    common = Path(os.path.commonpath([table.root.resolve() for table in tables]))
    names = [set(table.recordings().tolist()) for table in tables]
    leads = [table.root.resolve().relative_to(common).as_posix() for table in tables]
    leads = ["" if lead == "." else f"{lead}/" for lead in leads]
    told_apart = sum(map(len, names)) > len(set.union(*names)) or max(map(len, names)) > 1
    seen: dict[str, Path] = {}
    for part, table, lead in zip(parts, tables, leads, strict=True):
        # join: a table may name images by their whole paths
        table.file = np.array([posixpath.join(lead, name) for name in table.file.tolist()], str)
        if told_apart:
            table.drive = np.array([f"{lead}{name}" for name in table.drive.tolist()], str)
        _check_new(part, set(table.file.tolist()), set(table.recordings().tolist()), seen)
        table.root = common
    joined = join_tables(tables)
    rates = [table.rate_hz() for table in tables]
    if max(rates) > LIKE_RATES * min(rates):
        notes.append(
            f"{common}: {parts[int(np.argmin(rates))].name} has {min(rates):.3g} frames a second, "
            f"{parts[int(np.argmax(rates))].name} {max(rates):.3g}; a model counts frames, not seconds"
        )
    joined.notes += tuple(notes)
    return joined


def _recordings(root: Path) -> tuple[list[Path], list[Path]]:
    """Returns the recordings that a folder stands for, itself or those in it, and the folders that are none.

    A reader that looks into sub-folders finds those of its own format alone; so it is asked only where all
    are of one.
    """
    if not root.is_dir():
        return [root], []
    own = recognised(root)
    below = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if own is not None and not any(reader(own).recognises(path) for path in below):
        return [root], []
    formats = {path: recognised(path) for path in below}
    known = [path for path, format in formats.items() if format]
    if not known or {formats[path] for path in known} == {own}:
        return [root], []
    return known, [path for path in below if path not in known]


def _check_new(part: Path, files: set[str], drives: set[str], seen: dict[str, Path]) -> None:
    """Adds a recording's files and drives to those seen; InputError where one of them is there already."""
    for names, fault in (
        (files, "the folder is named twice"),
        ({f"drive {drive}" for drive in drives}, "has drives that are called as those of {other}"),
    ):
        if again := next((name for name in names if name in seen), None):
            other = seen[again]
            if names is files and other.resolve() != part.resolve():
                fault = f"its frames are those of {other}, too"
            raise InputError(f"{part}: {fault.format(other=other)}")
        seen.update(dict.fromkeys(names, part))


def car_scales(table: DriveTable, split: np.ndarray, camera: str) -> dict[str, float]:
    """Returns the factor of each car's angles, by its recorder; none where all have one unit.

    InputError where the training frames of a car do not tell it.

    Args:
        table: drives that were cut, angles as they were recorded.
        split: of each row (N,).
        camera: whose frames count.
    """
    cars = list(dict.fromkeys(table.car.tolist()))
    if len(cars) == 1:
        return {}
    spread = {}
    for car in cars:
        rows = (table.car == car) & (split == "train") & (table.camera == camera)
        known = table.angle_rad[rows & np.isfinite(table.angle_rad)]
        if not len(known) or not known.std() > 0:
            what = "are all alike" if len(known) else "are not there"
            raise InputError(
                f"{table.where(int((table.car == car).argmax()))}: angles of training frames in "
                f"{unit_of(car).described} ({car or 'a car'}) {what}, so they cannot be brought to the scale "
                "of the others; give its drives to the training split, or leave them out"
            )
        spread[car] = float(known.std())
    return {car: spread[cars[0]] / std for car, std in spread.items()}


def on_one_scale(table: DriveTable, cars: Mapping[str, float]) -> DriveTable:
    """Returns the table with the angles of each car times its factor; InputError where one has none.

    Args:
        table: angles as they were recorded.
        cars: as `car_scales` gives them; angles of one car that it does not know stay as they are.
    """
    found = list(dict.fromkeys(table.car.tolist()))
    unknown = [car for car in found if car not in cars]
    if unknown and len(found) > 1:
        known = next((car for car in found if car != unknown[0]), "")
        raise InputError(
            f"{table.where(int((table.car == unknown[0]).argmax()))}: angles are "
            f"{unit_of(unknown[0]).described} ({unknown[0] or 'a car'}), those of "
            f"{table.where(int((table.car == known).argmax()))} are {unit_of(known).described} "
            f"({known or 'a car'}), and the model has not learnt both; score them one by one"
        )
    if unknown or not cars:
        return table
    factors = np.array([cars[car] for car in table.car.tolist()])
    return replace(table, angle_rad=table.angle_rad * factors)
