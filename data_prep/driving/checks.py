"""What is wrong with driving data, said once for each kind: where it begins and how many rows it concerns.

Data that people pass on have labels of nothing but zeros, degrees where radians are meant, images that are
gone. A model trained on them predicts one angle for every frame; here it is said before training.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data_prep.driving.clocks import frame_period
from data_prep.driving.cutting import LONGEST_STEP, breaks, repeated_rows
from data_prep.driving.table import DriveTable, split_reference

# fewer frames say nothing of the unit of their angles
_ENOUGH = 50
# an angle further from the median of its neighbours was not steered; from -1 to 1 is a keyboard's step
_LARGEST_LEAP_RAD, _AROUND = 2.5, 2
_RARE, _NAMED = 0.02, 5
# no steering wheel turns further to one side than twice round
_LARGEST_RAD = 4 * np.pi
# nor do drivers use that much of it most of the time, or turn it that fast all the time
_USUAL_SPREAD_RAD, _USUAL_SPEED_RAD_S = 3.0, 10.0
# and on no drive do they hold it this still: 0.05 rad are 2.9 degrees
_SMALLEST_RAD = 0.05


def absent_files(table: DriveTable) -> np.ndarray:
    """Returns a mask of the rows whose image file, or the file that holds the image, is not there."""
    references = [split_reference(name) for name in table.file]
    files = [name if ref is None else ref[0] for name, ref in zip(table.file, references, strict=True)]
    # of a hundred thousand files pathlib would take seconds
    there = {name: os.path.exists(os.path.join(table.root, name)) for name in dict.fromkeys(files)}  # noqa: PTH110, PTH118
    return np.array([not there[name] for name in files], bool)


def problems(table: DriveTable, absent: np.ndarray) -> list[str]:
    """Returns a line for each kind of fault, each with file and row of its first occurrence.

    Args:
        table: a table as its reader made it, not yet cut.
        absent: mask of the rows whose image is absent.
    """
    strange, said = outliers(table)
    lines = frame_problems(table, absent) + said + _label_problems(table)
    table = replace(table, angle_rad=np.where(strange, np.nan, table.angle_rad))
    names = table.recordings()
    for rows in table.series(recordings=True):
        lines += _unit_problems(table, rows, str(names[rows[0]]))
    return list(dict.fromkeys(lines))  # several cameras have one drive's angles


def frame_problems(table: DriveTable, absent: np.ndarray) -> list[str]:
    """Returns the lines of `problems` that concern images and times, not labels."""
    lines = list(table.notes)
    if absent.any():
        what = "all images are" if absent.all() else _count(absent, "image") + " absent, the drive is cut;"
        ending = " absent" if absent.all() else f" {_share(absent)}"
        row = int(absent.argmax())
        lines.append(f"{table.where(row)}: {what}{ending}, the first is {table.root / table.file[row]}")
    return lines + _time_problems(table)


def _label_problems(table: DriveTable) -> list[str]:
    lines = []
    unknown = np.isnan(table.angle_rad)
    if unknown.any():
        row = int(unknown.argmax())
        lines.append(f"{table.where(row)}: {_count(unknown, 'frame')} without an angle {_share(unknown)}")
    names = table.recordings()
    for rows in table.series(recordings=True):
        known = table.angle_rad[rows][~unknown[rows]]
        name = f"{table.where(rows[0])}: drive {names[rows[0]]} ({table.camera[rows[0]]})"
        if len(known) and not known.any():
            lines.append(f"{name}: all {len(known):,} angles are 0; these are no labels")
        elif len(known) >= _ENOUGH and np.ptp(known) == 0:
            lines.append(f"{name}: all {len(known):,} angles are {known[0]:g}; these are no labels")
    return lines


def _time_problems(table: DriveTable) -> list[str]:
    lines = []
    repeated = repeated_rows(table)
    if repeated.any():
        row = int(repeated.argmax())
        lines.append(
            f"{table.where(row)}: {_count(repeated, 'frame')} repeated, in the file or at the time of "
            "another, and left out"
        )
    back = np.zeros(len(table), bool)
    for before, after in breaks(table):
        back[after] = table.time_s[after] < table.time_s[before]
    if back.any():
        row = int(back.argmax())
        lines.append(
            f"{table.where(row)}: time runs backwards to {table.time_s[row]:.3f} s"
            f" ({int(back.sum()):,} such rows); the drive is cut"
        )
    return lines


def outliers(table: DriveTable) -> tuple[np.ndarray, list[str]]:
    """Returns a mask of the rows whose angle cannot be right, and a line a drive that names the first ones.

    That is an angle beyond any wheel's, or one far from those before and after it, however long it stays the
    same. Where there are many, they are none: the whole drive is in another unit.
    """
    wrong, lines = np.zeros(len(table), bool), []
    names = table.recordings()
    for rows in table.series(recordings=True):
        rows = rows[~np.isnan(table.angle_rad[rows])]
        angle = table.angle_rad[rows]
        if len(rows) < _ENOUGH:
            continue
        # an angle that stays as it is counts once, so that a stuck sensor is one outlier
        begins = np.concatenate([[True], np.diff(angle) != 0])
        once = angle[begins]
        around = sliding_window_view(np.pad(once, _AROUND, mode="reflect" if len(once) > _AROUND else "edge"),
                                     2 * _AROUND + 1)  # fmt: skip
        far = np.abs(once - np.median(around, axis=1)) > _LARGEST_LEAP_RAD
        strange = far | (np.abs(once) > _LARGEST_RAD)
        if not strange.any() or strange.sum() > max(1, _RARE * len(once)):
            continue
        found = rows[strange[np.cumsum(begins) - 1]]
        wrong[found] = True
        named = ", ".join(f"{table.frame[row]} ({table.angle_rad[row]:.4g} rad)" for row in found[:_NAMED])
        more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
        lines.append(
            f"{table.where(int(found[0]))}: drive {names[found[0]]}: the angles of frames {named}{more} are "
            "outliers; they are left out"
        )
    return wrong, lines


def _unit_problems(table: DriveTable, rows: np.ndarray, drive: str) -> list[str]:
    """Returns what is said where angles look like degrees, or like radians taken for degrees."""
    angle = table.angle_rad[rows]
    known = ~np.isnan(angle)
    if known.sum() < _ENOUGH or np.ptp(angle[known]) == 0:
        return []
    largest, place = float(np.nanmax(np.abs(angle))), int(np.nanargmax(np.abs(angle)))
    name = f"{table.where(rows[place])}: drive {drive}"
    period = frame_period(table.time_s[rows])
    step = np.diff(table.time_s[rows])
    smooth = (step > 0) & (step <= LONGEST_STEP * period)
    speed = (np.diff(angle)[smooth] / step[smooth])[known[1:][smooth] & known[:-1][smooth]]
    turning = float(np.sqrt(np.mean(speed**2))) if len(speed) else 0.0
    if largest > _LARGEST_RAD or np.nanstd(angle) > _USUAL_SPREAD_RAD or turning > _USUAL_SPEED_RAD_S:
        return [f"{name}: angles up to {largest:.1f} rad look like degrees; convert them"]
    if largest < _SMALLEST_RAD:
        return [
            f"{name}: no angle is above {largest:.2g} rad; if these are radians that were taken for degrees, "
            f"they are {np.degrees(largest):.2g} rad"
        ]
    return []


def _count(mask: np.ndarray, noun: str) -> str:
    count = int(mask.sum())
    return f"{count:,} {noun}{' is' if count == 1 else 's are'}"


def _share(mask: np.ndarray) -> str:
    return f"({mask.sum():,} of {len(mask):,})"
