"""Scores of steering angles, from two arrays: what was predicted, free-running, and what the driver did.

Angles are of the steering wheel in radians. Nothing that compares neighbouring frames looks across a gap: the
frames of one unbroken stretch share a number in `stretch`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from modules.errors import InputError

Angles = Float[np.ndarray, " N"]
Stretch = Int[np.ndarray, " N"]

# borders of the bins of |true angle|: nearly straight, gentle, sharp, turning
BIN_BORDERS_RAD = (0.05, 0.2, 0.5)
BIN_NAMES = ("<0.05", "0.05-0.2", "0.2-0.5", ">=0.5")
MAX_LAG_FRAMES = 20
LEFT_BY_SHIFT = 0.9  # a lag is one if shifting leaves less than this share of the RMSE
# Codevilla et al. 2018 (arXiv 1809.04843), table 1: share of |angle| that may be missed, bounds of straight
RELATIVE_ERROR, QUANTUM_RAD = 0.1, 0.03
STRAIGHT_RAD = 0.02


@dataclass(frozen=True)
class SteeringScores:
    """Scores of one prediction; what is not defined on these frames is None.

    Attributes:
        rmse_rad: Root of the mean squared error.
        mae_rad: Mean absolute error.
        max_error_rad: Largest absolute error.
        bias_rad: Mean of prediction minus truth.
        r2: 1 - SSE / SST.
        explained_variance: 1 - Var(error) / Var(truth): r2 without the bias.
        correlation: Pearson's.
        public_rmse_rad: Of the frames flagged public.
        private_rmse_rad: Of the others.
        whiteness_rad_s: Root mean square of the prediction's change a second; small is smooth.
        human_whiteness_rad_s: The same of the truth.
        lag_frames: By how many frames the prediction comes late (negative: early), as `lag` has it.
        lag_s: The same in seconds.
        thresholded_relative_error: Share of frames with |error| > 0.1 |truth|.
        quantised_classification_error: Share of frames put on the wrong side of +-0.03 rad.
        balanced_mae_rad: Mean over the bins of |truth| of the mean absolute error in each.
        f1: Mean F1 of left, straight and right (+-0.02 rad) over the classes that occur.
        prediction_std_rad: Standard deviation of the prediction; 0 means that it is constant.
        frames: Number of frames.
        bins: By bin of |truth|: frames, rmse_rad, mae_rad, bias_rad.
    """

    rmse_rad: float
    mae_rad: float
    max_error_rad: float
    bias_rad: float
    r2: float | None
    explained_variance: float | None
    correlation: float | None
    public_rmse_rad: float | None
    private_rmse_rad: float | None
    whiteness_rad_s: float | None
    human_whiteness_rad_s: float | None
    lag_frames: int | None
    lag_s: float | None
    thresholded_relative_error: float
    quantised_classification_error: float
    balanced_mae_rad: float
    f1: float
    prediction_std_rad: float
    frames: int
    bins: dict[str, dict[str, float | int]]

    def as_dict(self) -> dict[str, object]:
        """Scores by name, in the order of the fields."""
        return asdict(self)


def score_steering(
    prediction: Angles,
    truth: Angles,
    stretch: Stretch | None = None,
    rate_hz: float = 20.0,
    is_public: Bool[np.ndarray, " N"] | None = None,
) -> SteeringScores:
    """Returns the scores of a prediction, frames in time order.

    Args:
        prediction: Predicted angles.
        truth: True angles.
        stretch: Number of the unbroken stretch each frame belongs to; not given: there is no gap.
        rate_hz: Frames a second.
        is_public: The flag of the challenge's public part.

    Raises:
        InputError: there is no frame, or a value that is no number.
    """
    stretch = check_angles(prediction, truth, stretch)
    prediction, truth = prediction.astype(np.float64), truth.astype(np.float64)
    error = prediction - truth
    varies, moves = np.ptp(truth) > 0, np.ptp(prediction) > 0
    by_bin = bins(error, truth)
    late = lag(prediction, truth, stretch) if varies and moves else None
    return SteeringScores(
        rmse_rad=rms(error),
        mae_rad=float(np.mean(np.abs(error))),
        max_error_rad=float(np.max(np.abs(error))),
        bias_rad=float(np.mean(error)),
        r2=float(1 - np.sum(error**2) / np.sum((truth - truth.mean()) ** 2)) if varies else None,
        explained_variance=float(1 - np.var(error) / np.var(truth)) if varies else None,
        correlation=float(np.corrcoef(prediction, truth)[0, 1]) if varies and moves else None,
        public_rmse_rad=_rms_of(error, is_public),
        private_rmse_rad=_rms_of(error, None if is_public is None else ~is_public),
        whiteness_rad_s=whiteness(prediction, stretch, rate_hz),
        human_whiteness_rad_s=whiteness(truth, stretch, rate_hz),
        lag_frames=late,
        lag_s=None if late is None else late / rate_hz,
        thresholded_relative_error=float(np.mean(np.abs(error) > RELATIVE_ERROR * np.abs(truth))),
        quantised_classification_error=float(
            np.mean(direction(prediction, QUANTUM_RAD) != direction(truth, QUANTUM_RAD))
        ),
        balanced_mae_rad=float(np.mean([of_bin["mae_rad"] for of_bin in by_bin.values()])),
        f1=f1(prediction, truth),
        prediction_std_rad=float(prediction.std()),
        frames=len(truth),
        bins=by_bin,
    )


def baselines(
    truth: Angles, stretch: Stretch | None = None, training_mean_rad: float | None = None
) -> dict[str, Angles]:
    """Returns what trivial systems say: zeros, training_mean (if known), and persistence_oracle.

    The oracle repeats the last TRUE angle, which nobody who steers has; at the first frame of a stretch,
    where there is none, it says that frame's. It shows how little a score means for which the truth was fed.
    """
    stretch = check_angles(truth, truth, stretch)
    said = {"zeros": np.zeros(len(truth))}
    if training_mean_rad is not None:
        said["training_mean"] = np.full(len(truth), training_mean_rad)
    said["persistence_oracle"] = np.where(follows(stretch, 1), np.roll(truth, 1), truth)
    return said


def check_angles(prediction: Angles, truth: Angles, stretch: Stretch | None) -> Stretch:
    """Returns the stretches, all one where they are not given.

    Raises:
        InputError: there is no frame, or a value that is no number.
    """
    if not len(truth):
        raise InputError("there is no frame to score; give predictions of frames that have labels")
    for what, angles in (("prediction", prediction), ("true angle", truth)):
        wrong = np.flatnonzero(~np.isfinite(angles))
        if len(wrong):
            raise InputError(
                f"{len(wrong)} of {len(angles)} frames have no number as {what}, the first is frame "
                f"{wrong[0]}; leave them out"
            )
    return np.zeros(len(truth), dtype=np.int64) if stretch is None else stretch


def rms(values: Angles) -> float:
    """Returns the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def _rms_of(error: Angles, chosen: np.ndarray | None) -> float | None:
    return rms(error[chosen]) if chosen is not None and chosen.any() else None


def follows(stretch: Stretch, frames: int) -> Bool[np.ndarray, " N"]:
    """Returns where the frame so many before is one of the same stretch."""
    same = np.zeros(len(stretch), dtype=bool)
    same[frames:] = stretch[frames:] == stretch[: max(0, len(stretch) - frames)]
    return same


def whiteness(angles: Angles, stretch: Stretch, rate_hz: float) -> float | None:
    """Returns `sqrt(mean(((p[t+1] - p[t]) rate)^2))`, never across a gap; None without neighbours."""
    change = np.diff(angles)[follows(stretch, 1)[1:]]
    return rms(change * rate_hz) if len(change) else None


def lag(prediction: Angles, truth: Angles, stretch: Stretch, most: int = MAX_LAG_FRAMES) -> int:
    """Returns by how many frames a prediction comes late, 0 where shifting it gains less than a tenth.

    That is the k with the least RMSE of the prediction's linear fit to the truth, of equally good ones the
    smallest. The prediction's own RMSE would say nothing of time where it is biased or too small: shifts
    lessen it where the truth happens to lie nearer to it.
    """
    errors = rmse_by_shift(prediction, truth, stretch, most)
    best = min(errors, key=lambda k: (errors[k], abs(k)))
    return best if errors[best] < LEFT_BY_SHIFT * errors[0] else 0


def rmse_by_shift(
    prediction: Angles, truth: Angles, stretch: Stretch, most: int = MAX_LAG_FRAMES
) -> dict[int, float]:
    """Returns the RMSE of a p[t+k] + b against y[t] by k, from -most to most; a and b fit at k = 0.

    Pairs lie in one stretch, and a k that leaves fewer than half of the frames a partner is left out.
    """
    if np.ptp(prediction) > 0:
        prediction = np.polyval(np.polyfit(prediction, truth, 1), prediction)
    errors = {}
    for k in range(-most, most + 1):
        later = np.flatnonzero(follows(stretch, abs(k)))
        t = later - k if k > 0 else later
        if 2 * len(t) >= len(truth):
            errors[k] = rms(prediction[t + k] - truth[t])
    return errors


def direction(angles: Angles, straight_rad: float) -> Int[np.ndarray, " N"]:
    """Returns -1 below -straight_rad, 1 from straight_rad on, 0 between (Codevilla et al. 2018, table 1)."""
    return (angles >= straight_rad).astype(np.int64) - (angles < -straight_rad).astype(np.int64)


def f1(prediction: Angles, truth: Angles, straight_rad: float = STRAIGHT_RAD) -> float:
    """Returns the mean F1 of left, straight and right over the classes that either says."""
    said, true = direction(prediction, straight_rad), direction(truth, straight_rad)
    scores = []
    for side in np.union1d(said, true):
        hits = np.sum((said == side) & (true == side))
        scores.append(2 * hits / (np.sum(said == side) + np.sum(true == side)))
    return float(np.mean(scores))


def bins(error: Angles, truth: Angles) -> dict[str, dict[str, float | int]]:
    """Returns frames and errors by bin of |truth|; bins without a frame are left out."""
    number = np.digitize(np.abs(truth), BIN_BORDERS_RAD)
    return {name: _errors(error[number == i]) for i, name in enumerate(BIN_NAMES) if (number == i).any()}


def per_drive(prediction: Angles, truth: Angles, drive: np.ndarray) -> dict[str, dict[str, float | int]]:
    """Returns frames and errors of each drive, in the order in which they come.

    Args:
        prediction: Predicted angles.
        truth: True angles.
        drive: Name of the drive of each frame (N,).
    """
    error = prediction.astype(np.float64) - truth
    return {str(name): _errors(error[drive == name]) for name in dict.fromkeys(drive.tolist())}


def _errors(error: Angles) -> dict[str, float | int]:
    mae, bias = float(np.mean(np.abs(error))), float(np.mean(error))
    return {"frames": len(error), "rmse_rad": rms(error), "mae_rad": mae, "bias_rad": bias}
