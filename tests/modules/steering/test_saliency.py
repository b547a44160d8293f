"""Saliency is the gradient of the angle, through every kind of model, and lights up where the answer is."""

import numpy as np
import pytest
import torch

from modules.decoders.steering import SteeringDecoderOptions
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.saliency import steering_saliency
from modules.steering.steerer import Steerer
from modules.steering.stream import SteeringStream
from tests.modules.steering.steering_models import KINDS, camera_frames, lively_steerer, prepared, steerer

pytestmark = pytest.mark.usefixtures("one_thread")


def angle_at(model: Steerer, state, windows, pairs) -> float:
    """Returns the angle in radians at the one step of a clip, of floats."""
    with torch.no_grad():
        features = model.encoder(windows)
        if model.flow is not None:
            features = torch.cat([features, model.flow(pairs)], dim=-1)
        outputs, _ = model.decoder(features, state)
    return float(outputs[0, 0, 0] * model.target_std[0])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_it_is_the_finite_difference_of_the_angle(kind):
    model = lively_steerer(kind)
    frames = prepared(model, camera_frames(8))
    stream = SteeringStream(model)
    stream.steer(frames[None, :7])
    clip, state = stream.clip(frames[None, 7:])[0], stream.state
    found = steering_saliency(model, clip, state, samples=1, noise=0.0)[0]
    assert found.shape == (model.preprocessing.height, model.preprocessing.width)
    seen = model.preprocessing.recolour(clip[model.left_context - model.encoder.left_context :])
    windows, pairs = seen.unsqueeze(0).float(), clip[-2:].unsqueeze(0)
    # an untrained backbone hardly moves the angle: a small step would drown in rounding
    step = 2.0 if kind == "transfer" else 0.5
    errors = []
    for row, column in np.argwhere(found > np.quantile(found, 0.98))[:4]:
        squares = 0.0
        for place in np.ndindex(*windows.shape[1:3]):  # of the CNN: the flow is held fixed
            at, change = (0, *place, row, column), []
            before = float(windows[at])
            for change_by in (step, -step):
                windows[at] = before + change_by
                change.append(angle_at(model, state, windows, pairs))
            windows[at] = before
            squares += ((change[0] - change[1]) / (2 * step)) ** 2
        errors.append(abs(np.sqrt(squares) / found[row, column] - 1))
    # a step may cross kinks of the network: most places agree
    assert np.median(errors) < 0.03


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_it_does_not_depend_on_pieces_and_repeats(kind):
    model = lively_steerer(kind)
    frames = prepared(model, camera_frames(9))
    stream = SteeringStream(model)
    whole = steering_saliency(model, stream.clip(frames.unsqueeze(0))[0], stream.state)
    parts = []
    for piece in (frames[None, :4], frames[None, 4:]):
        parts.append(steering_saliency(model, stream.clip(piece)[0], stream.state, at_once=3))
        stream.steer(piece)
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-3, atol=1e-4 * whole.max())
    assert (whole.reshape(9, -1).max(1) > 0).all() and np.isfinite(whole).all()
    # nothing is left behind that a later training step would add up
    assert all(parameter.grad is None for parameter in model.parameters())


def test_it_is_dark_where_the_answer_cannot_come_from():
    model = Steerer(
        FramePreprocessing(66, 200, colours="yuv"),
        SteeringEncoderOptions(kind="pilotnet"),
        SteeringDecoderOptions(kind="frame"),
    ).eval()
    dense = next(layer for layer in model.encoder.layers if isinstance(layer, torch.nn.Linear))
    with torch.no_grad():  # the 64x1x18 map counts in its four columns at the right alone
        dense.weight.view(100, 64, 18)[..., :14] = 0
    frames = prepared(model, camera_frames(2, height=66, width=200))
    found = steering_saliency(model, frames, ())
    lit = np.flatnonzero(found.sum((0, 1)))
    # column 14 sees the input from 8 x 14 on
    assert lit.min() >= 112 and lit.max() > 180


def test_a_frozen_encoder_still_takes_no_gradients_in_training():
    model = steerer("transfer").train()
    frames = prepared(model, camera_frames(5))
    outputs, _ = model.decoder(model.encode(frames.unsqueeze(0)), model.decoder.init_state(1))
    outputs.sum().backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert any(parameter.grad is not None for parameter in model.decoder.parameters())
