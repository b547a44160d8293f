"""What an angle of a drive counts: radians of a steering wheel, or a command as a share of full lock.

DonkeyCars and the Udacity simulator record commands from -1 to 1. A tub's are kept, so full lock is 1; the
simulator's stand for 25 degrees of the road wheels, so full lock is 0.4363. Both are shown as shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import radians
from typing import Any


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

    def of_scores(self, scores: Mapping[str, Any]) -> dict[str, Any]:
        """Returns scores in this unit; those whose names say rad are given in radians."""
        return {
            name: value / self.full_lock if "_rad" in name and isinstance(value, float) else value
            for name, value in scores.items()
        }


SIMULATOR_FULL_LOCK_RAD = radians(25)
RADIANS = AngleUnit("rad", "radians of the steering wheel")
UNITS = {
    "donkeycar": AngleUnit("of full lock", "share of full lock"),
    "simulator": AngleUnit("of full lock", "share of full lock", SIMULATOR_FULL_LOCK_RAD),
}


def unit_of(recorder: str | None) -> AngleUnit:
    """Returns the unit of a recorder's angles, such as donkeycar; radians where it is another or unknown."""
    return UNITS.get(recorder or "", RADIANS)
