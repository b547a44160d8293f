"""How sure a score of a drive is: neighbouring frames say nearly the same, so blocks of them are drawn."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

BLOCK_S = 5.0
_FEWEST_BLOCKS = 5


def rmse_interval(
    error: Float[np.ndarray, " N"],
    stretch: Int[np.ndarray, " N"],
    rate_hz: float,
    samples: int = 2000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Returns the 95 % percentile interval of the RMSE; None on fewer than five blocks.

    Every unbroken stretch is cut into blocks of about 5 s, which are drawn with replacement (the block
    bootstrap of Carlstein 1986). It knows of no other roads and other weather than these frames show.

    Args:
        error: Prediction minus truth, frames in time order.
        stretch: Number of the unbroken stretch each frame belongs to.
        rate_hz: Frames a second.
        samples: How often blocks are drawn.
        seed: Of the draws.
    """
    sums, counts = [], []
    for number in np.unique(stretch):
        squares = error[stretch == number].astype(np.float64) ** 2
        for block in np.array_split(squares, max(1, round(len(squares) / (BLOCK_S * rate_hz)))):
            sums.append(block.sum())
            counts.append(len(block))
    if len(sums) < _FEWEST_BLOCKS:
        return None
    drawn = np.random.default_rng(seed).integers(len(sums), size=(samples, len(sums)))
    rmse = np.sqrt(np.array(sums)[drawn].sum(1) / np.array(counts)[drawn].sum(1))
    low, high = np.percentile(rmse, [2.5, 97.5])
    return float(low), float(high)
