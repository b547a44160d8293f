"""A drive in pieces has the angles of the whole drive and of single frames."""

import numpy as np
import pytest
import torch

from modules.steering.drive_stream import DriveStream
from modules.steering.steering_predictor import SteeringPredictor
from tests.modules.steering.steering_models import KINDS, camera_frames, lively_steerer, prepared

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_pieces_of_any_length_give_the_angles_of_the_whole(kind):
    model = lively_steerer(kind)
    raw = camera_frames(14)
    frames = prepared(model, raw)
    expected = model.predict(frames, np.isin(np.arange(14), [0, 9]))[:, 0]
    predictor, single = SteeringPredictor(model), []
    for n, frame in enumerate(raw):
        if n == 9:
            predictor.reset()
        single.append(predictor.step(frame))
    for cuts in ([9], [1, 2, 9], [4, 9, 10], range(1, 14)):
        stream, found = DriveStream(model), []
        for piece, first in zip(torch.tensor_split(frames, list(cuts)), [0, *cuts], strict=True):
            if first == 9:
                stream.reset()
            found.append(stream.steer(piece))
        np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=1e-5)
        np.testing.assert_allclose(np.concatenate(found), single, rtol=0, atol=1e-5)
    assert np.ptp(expected) > 1e-3
