"""What is plainly wrong with predicted angles, in words: the mistakes that people make most."""

from __future__ import annotations

from math import pi

import numpy as np
from jaxtyping import Float, Int

from modules.metrics.steering import MAX_LAG_FRAMES, SteeringScores, lag, rms, rmse_by_shift

# no steering wheel turns further than two turns from straight
FURTHEST_RAD = 4 * pi
LIVELIEST, CALMEST = 10.0, 0.2  # spread of the prediction over that of the truth
# a lag is one if it is no less, and the fitting shift leaves no more than this share of the RMSE
LATE_FRAMES, LEFT_BY_SHIFT = 2, 0.9
_FOLLOWS = 0.5  # correlation from which on a lag means something


def steering_alarms(
    prediction: Float[np.ndarray, " N"],
    truth: Float[np.ndarray, " N"],
    scores: SteeringScores,
    stretch: Int[np.ndarray, " N"],
    rate_hz: float,
) -> list[str]:
    """Returns a sentence for each thing that is plainly wrong; none where all is well.

    A prediction that is constant or nearly so, in degrees, of the wrong sign, late, or worse than saying
    straight on; labels in degrees.

    Args:
        prediction: Predicted angles (rad).
        truth: True angles (rad).
        scores: Of the two.
        stretch: Number of the unbroken stretch each frame belongs to.
        rate_hz: Frames a second.
    """
    alarms = []
    spread, true_spread = scores.prediction_std_rad, float(np.std(truth))
    is_in_degrees = spread > LIVELIEST * true_spread or np.abs(prediction).max() > FURTHEST_RAD
    if np.abs(truth).max() > FURTHEST_RAD:
        alarms.append(
            f"the true angles reach {np.abs(truth).max():.0f}: they look like degrees; radians are expected"
        )
    if len(prediction) > 1 and np.ptp(prediction) == 0:
        alarms.append(
            f"the prediction is constant: {prediction[0]:.4f} rad at each of {len(prediction):,} frames"
        )
    elif spread < CALMEST * true_spread:
        alarms.append(
            f"the prediction is nearly constant: its standard deviation is {spread:.4f} rad, that of the "
            f"truth {true_spread:.4f}"
        )
    elif is_in_degrees:
        alarms.append(
            f"the prediction looks like degrees: it reaches {np.abs(prediction).max():.1f}, the truth "
            f"{np.abs(truth).max():.2f} rad; taken as degrees its RMSE would be "
            f"{rms(np.radians(prediction) - truth):.4f} rad"
        )
    if scores.correlation is not None and scores.correlation < -_FOLLOWS:
        alarms.append(
            f"the prediction steers the other way (correlation {scores.correlation:.2f}): is right positive "
            "in it? left has to be"
        )
    if scores.correlation is not None and scores.correlation > _FOLLOWS:
        late = _lag(prediction, truth, stretch)
        if abs(late) >= LATE_FRAMES:
            alarms.append(
                f"the prediction comes {'at least ' * (abs(late) == MAX_LAG_FRAMES)}{abs(late)} frames "
                f"({abs(late) / rate_hz:.2f} s) {'late' if late > 0 else 'early'}"
            )
    if np.ptp(prediction) > 0 and scores.rmse_rad >= rms(truth):
        alarms.append(
            f"the prediction is no better than straight on at every frame (RMSE {scores.rmse_rad:.4f} "
            f"against {rms(truth):.4f} rad)"
        )
    elif np.ptp(prediction) > 0 and scores.mae_rad >= float(np.abs(truth).mean()):
        alarms.append(
            f"the prediction is better than straight on in its largest errors alone: its mean absolute error "
            f"is {scores.mae_rad:.4f} rad, that of straight on {float(np.abs(truth).mean()):.4f}"
        )
    return alarms


def _lag(prediction: np.ndarray, truth: np.ndarray, stretch: np.ndarray) -> int:
    """Returns by how many frames a prediction comes late, 0 where shifting it gains little.

    Its linear fit to the truth is shifted: of a prediction that is biased or too small, the shift that fits
    best says nothing of time.
    """
    fitted = np.polyval(np.polyfit(prediction, truth, 1), prediction)
    late = lag(fitted, truth, stretch)
    errors = rmse_by_shift(fitted, truth, stretch)
    return late if errors[late] < LEFT_BY_SHIFT * errors[0] else 0
