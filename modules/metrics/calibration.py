"""Whether the standard deviation that comes with a prediction says how wrong the prediction is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

# share of normal errors within so many standard deviations
EXPECTED = {1: 0.6827, 2: 0.9545, 3: 0.9973}
FEWEST = 20  # frames of a half, below which nothing is fitted
_RATIOS = np.concatenate([[0.0], np.geomspace(1e-3, 1e4, 141)])

Frames = Float[np.ndarray, " N"]


@dataclass(frozen=True)
class Calibration:
    """What makes a standard deviation of what several models say one of their mean's errors.

    The errors' is sqrt(floor² + (scale given)²). The floor is what all models get wrong alike.

    Attributes:
        floor: In the unit of the errors.
        scale: Of what is given.
    """

    floor: float
    scale: float

    def apply(self, given: Frames) -> Frames:
        """Returns the standard deviation of the errors."""
        return np.sqrt(self.floor**2 + (self.scale * given) ** 2)

    @classmethod
    def fit(cls, error: Frames, given: Frames, spread_counts: bool = True) -> Calibration:
        """Returns the most likely one of normal errors around 0.

        For every ratio of the two parts the best size has a closed form, so one line is searched.

        Args:
            error: Predicted minus true.
            given: Standard deviation of what the models say.
            spread_counts: Whether it may count; otherwise the errors have one for all frames.
        """
        squares = error.astype(np.float64) ** 2
        mean = float(np.mean(given**2))
        ratios = _RATIOS if spread_counts and mean > 0 else _RATIOS[:1]
        best, least = (0.0, 1.0), np.inf
        for ratio in ratios:
            shape = 1 + ratio * given**2 / mean if ratio else np.ones(len(given))
            size = max(float(np.mean(squares / shape)), 1e-12)
            cost = float(np.mean(np.log(size * shape)))
            if cost < least:
                best, least = (size, ratio), cost
        size, ratio = best
        return cls(float(np.sqrt(size)), float(np.sqrt(size * ratio / mean)) if ratio else 0.0)


def calibrated(error: Frames, given: Frames) -> dict[str, Any]:
    """Returns what share of errors lies within 1, 2 and 3 standard deviations, as given and calibrated.

    A calibration is fitted on one half of the frames, in the order of time, and judged on the other. So is
    one standard deviation for all frames. `gain` is by how much the calibrated ones make the errors likelier,
    in nats a frame: above 0 they tell where errors are large.

    Args:
        error: Predicted minus true, in the order of time.
        given: Standard deviation that came with each prediction.
    """
    told: dict[str, Any] = {"expected": EXPECTED, "as_given": _shares(error, given)}
    half = len(error) // 2
    if half < FEWEST:
        return told
    whole = Calibration.fit(error, given)
    varying, constant = np.empty(len(error)), np.empty(len(error))
    for part, other in (
        (slice(half), slice(half, None)),
        (slice(half, None), slice(half)),
    ):
        varying[part] = Calibration.fit(error[other], given[other]).apply(given[part])
        constant[part] = Calibration.fit(error[other], given[other], False).apply(given[part])
    gain = np.mean(_log_likelihood(error, varying) - _log_likelihood(error, constant))
    return told | {
        "calibrated": _shares(error, varying),
        "one_for_all": _shares(error, constant),
        "gain": float(gain),
        "floor": whole.floor,
        "scale": whole.scale,
    }


def _shares(error: Frames, deviation: Frames) -> dict[int, float]:
    return {many: float(np.mean(np.abs(error) <= many * deviation)) for many in EXPECTED}


def _log_likelihood(error: Frames, deviation: Frames) -> Frames:
    return -np.log(deviation) - 0.5 * (error / deviation) ** 2
