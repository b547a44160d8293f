"""Angles smoothed as a car could: each from itself and those before it, never from a later one."""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np

_LINE, _NEWEST = 10, 0.7
# what each point weighs where the line through all of them is one step further
_PLACES = np.arange(_LINE) - (_LINE - 1) / 2
_AHEAD = 1 / _LINE + _PLACES * (_LINE + 1) / 2 / np.sum(_PLACES**2)

SmoothingName = Literal["none", "exponential", "chauffeur"]


class Smoother:
    """One angle in, one out: here as it is; `reset` forgets all, at the start of a drive and at gaps."""

    def step(self, angle_rad: float) -> float:
        """Returns the smoothed angle in radians."""
        return angle_rad

    def reset(self) -> None:
        """Forgets the angles before."""


class ExponentialSmoothing(Smoother):
    """`s_t = w p_t + (1 - w) s_{t-1}`, from `s_0 = p_0` (cg23 in the Udacity challenge 2, w = 0.4).

    A constant turn of the wheel comes out late by (1 - w) / w frames.

    Args:
        weight: Share w of the newest prediction, above 0 and at most 1.
    """

    def __init__(self, weight: float = 0.4) -> None:
        if not 0 < weight <= 1:
            raise ValueError(f"a weight of {weight} is not above 0 and at most 1")
        self.weight = weight
        self.smoothed: float | None = None

    def step(self, angle_rad: float) -> float:
        before = angle_rad if self.smoothed is None else self.smoothed
        smoothed = self.weight * angle_rad + (1 - self.weight) * before
        self.smoothed = smoothed
        return smoothed

    def reset(self) -> None:
        self.smoothed = None


class ChauffeurSmoothing(Smoother):
    """`s_t = 0.7 p_t + 0.3 l_t`, l the line through the ten raw predictions before, one step further.

    The line is fitted by least squares, so that it does not lag behind a constant turn of the wheel. Until
    ten predictions are there, angles stay as they are. The idea is Chauffeur's, third in the Udacity
    challenge 2, who took the mean with the line through three.

    Three follow the noise. On the validation stretch of a real drive that is worse than no smoothing: RMSE
    0.0405 rad and whiteness 0.331 rad/s against 0.0389 and 0.326. There ten and 0.7 were the best of six
    lengths and three weights: 0.0387 and 0.242.
    """

    def __init__(self) -> None:
        self.raw: deque[float] = deque(maxlen=_LINE)

    def step(self, angle_rad: float) -> float:
        smoothed = angle_rad
        if len(self.raw) == _LINE:
            smoothed = _NEWEST * angle_rad + (1 - _NEWEST) * float(_AHEAD @ np.array(self.raw))
        self.raw.append(angle_rad)
        return smoothed

    def reset(self) -> None:
        self.raw.clear()


def smoother(name: SmoothingName, weight: float = 0.4) -> Smoother:
    """Returns the smoothing of that name.

    Args:
        name: none, exponential or chauffeur.
        weight: Of the newest angle, in exponential smoothing.
    """
    if name == "exponential":
        return ExponentialSmoothing(weight)
    return ChauffeurSmoothing() if name == "chauffeur" else Smoother()
