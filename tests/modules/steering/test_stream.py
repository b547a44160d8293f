"""A stream in pieces of any length, and frame by frame, has the angles of whole drives."""

import numpy as np
import pytest
import torch

from modules import InputError, SteeringPredictor
from modules.steering.stream import SteeringStream
from tests.modules.steering.steering_models import (
    KINDS,
    camera_frames,
    lively_steerer,
    prepared,
    steerer,
    whole_drives,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_pieces_of_any_length_give_the_angles_of_the_whole(kind):
    model = lively_steerer(kind)
    raw = camera_frames(14)
    frames = prepared(model, raw)
    expected = whole_drives(model, frames, [0, 9])[:, 0]
    predictor, single = SteeringPredictor(model), []
    for n, frame in enumerate(raw):
        if n == 9:
            predictor.reset()
        single.append(predictor.step(frame))
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-5)
    for cuts in ([9], [1, 2, 9], [4, 9, 10], range(1, 14)):
        stream, found = SteeringStream(model), []
        for piece, first in zip(torch.tensor_split(frames, list(cuts)), [0, *cuts], strict=True):
            if first == 9:
                stream.reset()
            found.append(stream.steer(piece.unsqueeze(0))[0])
        np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=1e-5)
        np.testing.assert_allclose(np.concatenate(found), single, rtol=0, atol=1e-5)
    assert np.ptp(expected) > 1e-3


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_features_in_pieces_give_the_angles_of_the_whole(kind):
    model = lively_steerer(kind)
    frames = prepared(model, camera_frames(11))
    stream = SteeringStream(model)
    features = torch.cat([stream.encode(piece.unsqueeze(0)) for piece in frames.split(4)], dim=1)
    outputs, _ = model.drive(features, model.decoder.init_state(1))
    np.testing.assert_allclose(outputs[0], whole_drives(model, frames, [0]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_predictor_of_a_checkpoint_equals_whole_drives_and_reset_starts_afresh(kind, tmp_path):
    model = steerer(kind).eval()
    model.rate_hz = 30.0
    checkpoint = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "best.ckpt")
    predictor = SteeringPredictor.load(tmp_path / "best.ckpt")
    assert predictor.rate_hz == 30

    frames = camera_frames(13)
    expected = whole_drives(model, prepared(model, frames), [0, 8])
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
    together = SteeringStream(model, streams=3)
    alone = [SteeringPredictor(model) for _ in drives]
    for n in range(9):
        if n == 4:  # one of them starts afresh
            together.reset(np.array([False, True, False]))
            alone[1].reset()
        angles = together.step(np.stack([frames[n] for frames in drives]))
        expected = [predictor.step(frames[n]) for predictor, frames in zip(alone, drives, strict=True)]
        np.testing.assert_allclose(angles, expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="2 frames for 3 streams"):
        together.step(np.stack([frames[0] for frames in drives[:2]]))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda frame: (frame / 255).astype(np.float32), "float32"),
        (lambda frame: frame[..., 0], "np.dstack"),
        (lambda frame: frame[..., :1], "np.dstack"),
        (lambda frame: np.dstack([frame, frame[..., 0]]), "frame[..., :3]"),
        (lambda frame: frame[:0], "(0, "),
        (lambda frame: frame[np.newaxis], "(1, "),
        (lambda frame: frame.tolist(), "is a list"),
        (lambda frame: None, "NoneType"),
    ],
)
def test_a_frame_that_is_none_is_refused_and_leaves_the_state_as_it_was(wrong, said):
    frames = camera_frames(4)
    model = steerer("komanda")
    expected, predictor = whole_drives(model, prepared(model, frames), [0])[:, 0], SteeringPredictor(model)
    found = []
    for frame in frames:
        with pytest.raises(InputError) as error:
            predictor.step(wrong(frame))
        assert said in str(error.value)
        found.append(predictor.step(frame))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_model_with_a_memory_knows_frames_that_come_at_another_rate(kind):
    model = steerer(kind)
    assert model.unlike_rate(15.0) is None, "an old checkpoint does not know its rate"
    model.rate_hz = 30.0
    has_memory = kind != "pilotnet"
    assert model.unlike_rate(25.0) is None
    assert (model.unlike_rate(15.0) is not None) == has_memory
    assert (model.unlike_rate(60.0) is not None) == has_memory
