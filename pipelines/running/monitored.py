"""The metric that chooses a checkpoint or ends a fit: that it exists, and whether more of it is better."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from modules.errors import InputError
from pipelines.arguments import given_values

# every metric that is better when lower; all others are better when higher
LOWER_IS_BETTER = (
    *("loss", "perplexity", "rmse_rad", "mae_rad"),
    *("bits_per_char", "bits_per_pixel", "pixel_bits", "kl_bits"),
)


def mode_of(metric: str) -> str:
    """Returns min where less of a metric, such as val/loss, is better, else max."""
    return "min" if metric.rpartition("/")[2] in LOWER_IS_BETTER else "max"


def settle_monitors(config: Any, known: Sequence[str], argv: Sequence[str]) -> None:
    """Lets checkpoints and early stopping follow their metric the way that is better, whichever it is.

    A default of the other way would keep the worst checkpoint of another metric.

    Args:
        config: Options of a fit, with `checkpoint` and `early_stopping` among them, which are changed.
        known: Metrics of the task.
        argv: What was written on the command line.

    Raises:
        InputError: There is no such metric, or the worse way was asked for.
    """
    for group in ("checkpoint", "early_stopping"):
        metric = config[group].monitor
        if metric is None:
            continue
        if metric not in known:  # Lightning would complain at the end of the first epoch
            near = get_close_matches(metric, known, n=1, cutoff=0.0)[0]
            raise InputError(f"{group}.monitor is {metric!r}; the nearest is {near!r} of {', '.join(known)}")
        mode = mode_of(metric)
        if any(given != mode for given in given_values(argv, f"--{group}.mode")):
            better = "less" if mode == "min" else "more"
            raise InputError(
                f"{group}.mode is not {mode!r}, and {better} of {metric} is better; leave it out"
            )
        config[group].mode = mode
