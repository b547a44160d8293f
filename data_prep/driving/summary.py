"""What is in driving data, to print: frames, drives, rate, gaps and the statistics of angles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from data_prep.driving.checks import absent_files, outliers, problems
from data_prep.driving.clocks import frame_period
from data_prep.driving.cutting import cut_drives
from data_prep.driving.table import DriveTable
from modules.errors import InputError
from modules.steering.units import unit_of

_SHOWN = 20  # drives that get a line of their own


def describe(table: DriveTable) -> Table:
    """Returns a line for each drive and camera: frames, duration, rate, gaps, angles, speed.

    A gap is a place where a drive was cut.

    Args:
        table: a table that was cut.
    """
    units = dict.fromkeys(unit_of(car).described for car in dict.fromkeys(table.car.tolist()))
    result = Table(
        title=f"{escape(str(table.root))}: angles in {' and '.join(units)}, left positive",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
    )
    result.add_column("drive", overflow="fold")
    result.add_column("camera")
    for column in ("frames", "s", "Hz", "gaps", "mean", "std", "min", "max", "m/s"):
        result.add_column(column, justify="right", no_wrap=True)
    series = table.series(recordings=True)
    names = table.recordings()
    for rows in series[:_SHOWN]:
        result.add_row(escape(str(names[rows[0]])), escape(str(table.camera[rows[0]])), *_cells(table, rows))
    if len(series) > _SHOWN:
        result.add_row(f"... {len(series) - _SHOWN} more", "")
    drives = len(np.unique(names))
    if drives > 1:
        result.add_section()
        # by camera: at one time they see one scene
        for camera in dict.fromkeys(table.camera.tolist()):
            rows = np.flatnonzero(table.camera == camera)
            result.add_row(f"{drives} drives", escape(str(camera)), *_cells(table, rows))
    return result


def _cells(table: DriveTable, rows: np.ndarray) -> list[str]:
    stretches = table.select(rows).series()
    times = [table.time_s[rows[stretch]] for stretch in stretches]
    seconds = sum(float(time[-1] - time[0]) for time in times)
    periods = [frame_period(time) for time in times]
    weights = np.array([len(time) for time, period in zip(times, periods, strict=True) if period > 0])
    rates = np.array([1 / period for period in periods if period > 0])
    rate = f"{np.average(rates, weights=weights):.1f}" if len(rates) else "-"
    gaps = len(stretches) - len(table.select(rows).series(recordings=True))
    units = {unit_of(car) for car in set(table.car[rows].tolist())}
    angle = table.angle_rad[rows] / next(iter(units)).full_lock
    known = angle[~np.isnan(angle)] if len(units) == 1 else angle[:0]
    if len(known):
        angles = [f"{value:+.3f}" for value in (known.mean(), known.std(), known.min(), known.max())]
        angles[1] = angles[1].lstrip("+")
    else:
        angles = ["-"] * 4
    speed = table.speed_mps[rows]
    speeds = "-" if np.isnan(speed).all() else f"{np.nanmean(speed):.1f}"
    return [f"{len(rows):,}", f"{seconds:.0f}", rate, str(gaps), *angles, speeds]


def prepared(table: DriveTable) -> tuple[DriveTable, list[str]]:
    """Returns the table cut at gaps and absent images, without outliers, and what is wrong with the data.

    Where all images are absent the labels alone are cut, so that they can be looked at.
    """
    if not len(table):
        raise InputError(f"{table.root}: holds no frames")
    absent = absent_files(table)
    lines = problems(table, absent)
    sound = replace(table, angle_rad=np.where(outliers(table)[0], np.nan, table.angle_rad))
    return cut_drives(sound, None if absent.all() else absent), lines
