"""What is plainly wrong with predicted angles, in words: the mistakes that people make most."""

from __future__ import annotations

from math import pi

import numpy as np
from jaxtyping import Float

from modules.metrics.steering import MAX_LAG_FRAMES, SteeringScores, rms

# no steering wheel turns further than two turns from straight
FURTHEST_RAD = 4 * pi
LIVELIEST, CALMEST = 10.0, 0.2  # spread of the prediction over that of the truth
LATE_FRAMES = 2
_FOLLOWS = 0.5  # correlation from which on a lag means something


def steering_alarms(
    prediction: Float[np.ndarray, " N"],
    truth: Float[np.ndarray, " N"],
    scores: SteeringScores,
    unit: str = "rad",
) -> list[str]:
    """Returns a sentence for each thing that is plainly wrong; none where all is well.

    A prediction that is constant or nearly so, in degrees, of the wrong sign, late, or worse than saying
    straight on; labels in degrees.

    Args:
        prediction: Predicted angles.
        truth: True angles.
        scores: Of the two.
        unit: Of the angles.
    """
    alarms = []
    spread, true_spread = scores.prediction_std_rad, float(np.std(truth))
    is_in_degrees = spread > LIVELIEST * true_spread or np.abs(prediction).max() > FURTHEST_RAD
    if unit == "rad" and np.abs(truth).max() > FURTHEST_RAD:
        alarms.append(
            f"the true angles reach {np.abs(truth).max():.0f}: they look like degrees; radians are expected"
        )
    if len(prediction) > 1 and np.ptp(prediction) == 0:
        alarms.append(
            f"the prediction is constant: {prediction[0]:.4f} {unit} at each of {len(prediction):,} frames"
        )
    elif spread < CALMEST * true_spread:
        alarms.append(
            f"the prediction is nearly constant: its standard deviation is {spread:.4f} {unit}, that of the "
            f"truth {true_spread:.4f}"
        )
    elif is_in_degrees:
        alarms.append(
            f"the prediction looks like degrees: it reaches {np.abs(prediction).max():.1f}, the truth "
            f"{np.abs(truth).max():.2f} {unit}; taken as degrees its RMSE would be "
            f"{rms(np.radians(prediction) - truth):.4f} {unit}"
        )
    if scores.correlation is not None and scores.correlation < -_FOLLOWS:
        alarms.append(
            f"the prediction steers the other way (correlation {scores.correlation:.2f}): is right positive "
            "in it? left has to be"
        )
    late, late_s = scores.lag_frames or 0, scores.lag_s or 0.0
    if abs(late) >= LATE_FRAMES and scores.correlation is not None and scores.correlation > _FOLLOWS:
        alarms.append(
            f"the prediction comes {'at least ' * (abs(late) == MAX_LAG_FRAMES)}{abs(late)} frames "
            f"({abs(late_s):.2f} s) {'late' if late > 0 else 'early'}"
        )
    if np.ptp(prediction) > 0 and scores.rmse_rad >= rms(truth):
        alarms.append(
            f"the prediction is no better than straight on at every frame (RMSE {scores.rmse_rad:.4f} "
            f"against {rms(truth):.4f} {unit})"
        )
    elif np.ptp(prediction) > 0 and scores.mae_rad >= float(np.abs(truth).mean()):
        alarms.append(
            f"the prediction is better than straight on in its largest errors alone: its mean absolute error "
            f"is {scores.mae_rad:.4f} {unit}, that of straight on {float(np.abs(truth).mean()):.4f}"
        )
    return alarms
