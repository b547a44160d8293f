"""Steering frame by frame gives what the prediction of whole drives gives."""

import numpy as np
import pytest
import torch

from modules.steering.steering_predictor import SteeringPredictor
from tests.modules.steering.steering_models import KINDS, camera_frames, prepared, steerer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_streaming_equals_prediction_and_reset_starts_afresh(kind, tmp_path):
    model = steerer(kind).eval()
    checkpoint = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "best.ckpt")
    predictor = SteeringPredictor.load(tmp_path / "best.ckpt")

    frames = camera_frames(13)
    expected = model.predict(prepared(model, frames), np.isin(np.arange(13), [0, 8]))
    found = []
    for n, frame in enumerate(frames):
        if n == 8:
            predictor.reset()
        found.append(predictor.step(frame))
    assert isinstance(found[0], float)
    np.testing.assert_allclose(found, expected[:, 0], rtol=0, atol=1e-5)
    assert len(set(found)) > 5


def test_what_was_seen_before_counts_until_the_reset():
    predictor = SteeringPredictor(steerer("komanda"))
    frames = camera_frames(6)
    first = predictor.step(frames[5])
    predictor.reset()
    for frame in frames[:5]:
        predictor.step(frame)
    assert abs(predictor.step(frames[5]) - first) > 1e-5
    predictor.reset()
    assert predictor.step(frames[5]) == first


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_streams_in_lockstep_are_as_each_alone(kind):
    model = steerer(kind)
    drives = [camera_frames(9, seed) for seed in range(3)]
    together = SteeringPredictor(model, streams=3)
    alone = [SteeringPredictor(model) for _ in drives]
    for n in range(9):
        if n == 4:  # one of them starts afresh
            together.reset(np.array([False, True, False]))
            alone[1].reset()
        angles = together.step_all(np.stack([frames[n] for frames in drives]))
        expected = [predictor.step(frames[n]) for predictor, frames in zip(alone, drives, strict=True)]
        np.testing.assert_allclose(angles, expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="2 frames for 3 streams"):
        together.step_all(np.stack([frames[0] for frames in drives[:2]]))
