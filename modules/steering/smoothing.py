"""Angles smoothed as a car could: each from itself and those before it, never from a later one."""

from __future__ import annotations

from collections import deque
from typing import Literal

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
    """`s_t = (p_t + l_t) / 2`, l the line through the three raw predictions before, one step further.

    The line is fitted by least squares: `l_t = (-2 p_{t-3} + p_{t-2} + 4 p_{t-1}) / 3`. It averages noise and
    does not lag behind a constant turn of the wheel (Chauffeur, third in the Udacity challenge 2). Until
    three predictions are there, angles stay as they are.
    """

    def __init__(self) -> None:
        self.raw: deque[float] = deque(maxlen=3)

    def step(self, angle_rad: float) -> float:
        smoothed = angle_rad
        if len(self.raw) == 3:
            first, second, third = self.raw
            smoothed = (angle_rad + (-2 * first + second + 4 * third) / 3) / 2
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
