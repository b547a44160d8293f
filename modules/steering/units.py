"""What an angle of a drive counts: radians of a steering wheel, or a command as a share of full lock.

DonkeyCars and the Udacity simulator record commands from -1 to 1. A tub's are kept, so full lock is 1; the
simulator's stand for 25 degrees of the road wheels, so full lock is 0.4363. Both are shown as shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import radians
from typing import Any

import numpy as np

from modules.errors import InputError


@dataclass(frozen=True)
class AngleUnit:
    """A unit in which angles are shown.

    Attributes:
        name: Short, behind a number.
        described: For titles.
        full_lock: The angle that counts 1.
    """

    name: str
    described: str
    full_lock: float = 1.0

    @property
    def label(self) -> str:
        """What stands in brackets behind the name of a score."""
        return "rad" if self == RADIANS else self.described

    @property
    def column(self) -> str:
        """What a csv calls predicted angles in this unit."""
        return "steering_angle" if self == RADIANS else SHARE_COLUMN

    def of_scores(self, scores: Mapping[str, Any]) -> dict[str, Any]:
        """Returns scores in this unit; those whose names say rad are given in radians."""
        return {
            name: value / self.full_lock if "_rad" in name and isinstance(value, float) else value
            for name, value in scores.items()
        }


SHARE_COLUMN = "share_of_full_lock"
SIMULATOR_FULL_LOCK_RAD = radians(25)
LIKE_RATES = 1.3  # a model counts frames: at rates further apart the same motion looks different
RADIANS = AngleUnit("rad", "radians of the steering wheel")
SHARE = AngleUnit("of full lock", "share of full lock")
UNITS = {
    "donkeycar": SHARE,
    "simulator": AngleUnit(SHARE.name, SHARE.described, SIMULATOR_FULL_LOCK_RAD),
}


def converted(angles: np.ndarray, unit: AngleUnit, wanted: AngleUnit, where: object) -> np.ndarray:
    """Returns angles of one unit as a model of another one says them (N,).

    InputError names where they come from, if radians of a steering wheel and shares of full lock would meet.
    """
    if unit.label != wanted.label:
        raise InputError(
            f"{where}: holds {unit.described}, {wanted.described} are needed beside the others; compare "
            "angles of one recorder, which a drive.csv names in its column recorder"
        )
    return angles * (wanted.full_lock / unit.full_lock)


def unit_of(recorder: str | None) -> AngleUnit:
    """Returns the unit of a recorder's angles, such as donkeycar; radians where it is another or unknown."""
    return UNITS.get(recorder or "", RADIANS)


def car_of(recorder: str | None) -> str:
    """Returns the recorder where its angles have a unit of their own; empty where they are radians."""
    return recorder if recorder in UNITS else ""
