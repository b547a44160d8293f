"""Times as recordings have them: in minutes, seconds, milli-, micro- or nanoseconds; in names of images.

No camera is slower than a frame every four seconds or faster than 240 a second. So the usual step from one
time to the next tells the unit. Times since 1970 tell it by their size.
"""

from __future__ import annotations

import calendar
import re

import numpy as np

from modules.errors import InputError

UNITS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
_ALL = {**UNITS, "minutes": 1 / 60}  # no clock counts minutes since 1970, and nobody announces them
_LARGEST_RATIO = 20  # of the time that a video lasts to that of its labels
_ENOUGH = 8  # fewer times say nothing of their unit
_FASTEST_HZ = 240.0
_LONGEST_S = 1000 / _FASTEST_HZ
_FASTEST_LABELS_HZ, _SLOWEST_LABELS_S = 2000.0, 20.0
# a time since 1970 that is no time of this century is none
_FIRST_S, _LAST_S = 9.4e8, 4.2e9
# frames that are counted step by one, or by a few; times in whole units of a clock by far more
_LARGEST_COUNT, _LARGEST_STEP = 1e11, 1000
_DATE = re.compile(r"(\d{4})[_-](\d\d)[_-](\d\d)[_T-](\d\d)[_-](\d\d)[_-](\d\d)[_-](\d{3})(?!\d)")


def frame_period(times: np.ndarray) -> float:
    """Returns the usual time between two frames, the median of the steps forward; NaN where there is none."""
    steps = np.diff(times)
    forward = steps[steps > 0]
    return float(np.median(forward)) if len(forward) else float("nan")


def are_times(numbers: np.ndarray) -> bool:
    """Returns whether whole numbers are times of a clock, and not the numbers of frames."""
    ordered = np.sort(np.asarray(numbers, np.float64))
    return bool(len(ordered)) and bool(ordered[0] >= _LARGEST_COUNT or frame_period(ordered) >= _LARGEST_STEP)


def in_seconds(
    times: np.ndarray, where: str, unit: str = "seconds", duration_s: float | None = None
) -> tuple[np.ndarray, list[str]]:
    """Returns times in seconds (N,), and what is said of them where they are in another unit than announced.

    InputError where their steps fit no unit, or all are the same.

    Args:
        times: as the file has them (N,).
        where: "file:line" of the first, for messages.
        unit: a name of UNITS: the one in which they are announced.
        duration_s: seconds that they should span, as those of the video that they belong to; without it
            their steps are those of a camera.
    """
    times = np.asarray(times, np.float64)
    step, first = frame_period(times), float(times.min()) if len(times) else 0.0
    if len(times) >= _ENOUGH and not np.ptp(times):
        raise InputError(f"{where}: all {len(times):,} times are {first:g}; write the time of each frame")
    if np.isnan(step) or len(times) < _ENOUGH:
        found = unit if unit == "seconds" else _since_1970(first, step) or unit
    elif duration_s is not None:
        found = _by_duration(times, step, duration_s, where)
    elif 1 / _FASTEST_HZ <= step / UNITS[unit] < _LONGEST_S:
        found = unit
    else:
        found = _since_1970(first, step) or _by_step(step, where)
    notes = []
    if found != unit:
        rate = "" if np.isnan(step) else f", {_ALL[found] / step:.3g} a second"
        notes.append(f"{where}: times are read as {found}{rate}, not as {unit}")
    return times / _ALL[found], notes


def _since_1970(first: float, step: float) -> str | None:
    for name, scale in UNITS.items():
        if _FIRST_S <= first / scale <= _LAST_S and not step / scale > 2 * _LONGEST_S:
            return name
    return None


def _by_step(step: float, where: str) -> str:
    for name, scale in _ALL.items():
        if 1 / _FASTEST_HZ <= step / scale < _LONGEST_S:
            return name
    if 1 / _FASTEST_LABELS_HZ <= step < _LONGEST_S:
        return "seconds"
    raise _refusal(step, where)


def _by_duration(times: np.ndarray, step: float, duration_s: float, where: str) -> str:
    possible = {
        name: abs(np.log(np.ptp(times) / scale / max(duration_s, 1e-3)))
        for name, scale in _ALL.items()
        if 1 / _FASTEST_LABELS_HZ <= step / scale <= _SLOWEST_LABELS_S
    }
    if not possible:
        raise _refusal(step, where)
    best = min(possible, key=lambda name: possible[name])
    if possible[best] > np.log(_LARGEST_RATIO):
        raise InputError(
            f"{where}: times span {np.ptp(times):.3g}, which in no unit is about the {duration_s:.3g} s of "
            "the video; write them in seconds"
        )
    return best


def _refusal(step: float, where: str) -> InputError:
    return InputError(
        f"{where}: times step by {step:.3g}, which fits none of {', '.join(_ALL)}; write them in seconds"
    )


def time_in_name(name: str) -> float:
    """Returns the seconds since 1970 in a name such as left_2020_05_09_22_16_40_313; NaN without any."""
    match = _DATE.search(name)
    if match is None:
        return float("nan")
    *date, milliseconds = (int(part) for part in match.groups())
    return calendar.timegm((*date, 0, 0, 0)) + milliseconds / 1000
