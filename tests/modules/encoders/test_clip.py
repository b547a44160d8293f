"""Komanda: the published size, causality, and the two passes with shared weights."""

import copy

import pytest
import torch

from modules.decoders.steering import SteeringDecoderOptions
from modules.encoders.clip import ClipEncoder
from modules.errors import InputError
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer
from tests.modules.steering.steering_models import batch, steerer

pytestmark = pytest.mark.usefixtures("one_thread")


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_at_480x640_it_has_the_published_parameters_layer_by_layer():
    with torch.device("meta"):
        model = Steerer(
            FramePreprocessing(480, 640),
            SteeringEncoderOptions(kind="clip"),
            SteeringDecoderOptions(kind="autoregressive", outputs=3),
        )
    assert [size(layer) for layer in model.encoder.convolutions] == [83_008, 204_864, 204_864, 204_864]
    assert [size(layer) for layer in model.encoder.auxiliary] == [
        67_952_768,
        15_876_224,
        13_090_944,
        10_567_808,
    ]
    assert size(model.encoder.dense) + size(model.encoder.linear) == 85_231_488
    assert size(model.encoder.norm) == 256
    assert size(model.decoder.cell) == 22_016
    assert size(model.decoder.output) == 492
    assert size(model.decoder.initial) == 67
    assert size(model) == 193_439_663


def small(**options) -> ClipEncoder:
    torch.manual_seed(0)
    return ClipEncoder(
        24,
        32,
        channels=4,
        kernels=(3, 3, 3, 3),
        strides=(2, 2, 1, 1),
        dense_sizes=(8, 8),
        feature_size=6,
        **options,
    ).eval()


def clip(steps: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randint(0, 256, (2, steps, 3, 24, 32), dtype=torch.uint8)


@pytest.mark.parametrize("pool", [None, (2, 3)])
def test_a_feature_sees_its_frame_and_the_five_before_and_nothing_else(pool):
    encoder, frames = small(pool=pool), clip(14)
    before = encoder(frames)
    assert encoder.left_context == 5 and before.shape == (2, 9, 6)
    frames[:, 7] = 255 - frames[:, 7]
    changed = (encoder(frames) - before).abs().amax((0, 2)) > 1e-6
    # the feature at t is of frame t + 5: frame 7 is its own at 2, and the oldest it sees at 7
    assert changed.tolist() == [False] * 2 + [True] * 6 + [False]


def test_without_a_look_back_a_feature_sees_its_frame_alone():
    encoder, frames = small(pool=(2, 3), time_kernels=(1, 1, 1, 1)), clip(5)
    before = encoder(frames)
    assert encoder.left_context == 0 and before.shape == (2, 5, 6)
    frames[:, 3] = 255 - frames[:, 3]
    assert ((encoder(frames) - before).abs().amax((0, 2)) > 1e-6).tolist() == [False] * 3 + [True, False]


def test_clips_may_be_cut_anywhere():
    encoder, frames = small(pool=(2, 3)), clip(14)
    parts = [encoder(frames[:, :8]), encoder(frames[:, 3:9]), encoder(frames[:, 4:])]
    torch.testing.assert_close(torch.cat(parts, 1), encoder(frames), rtol=0, atol=1e-5)


def test_pooling_only_shrinks_the_auxiliary_layers():
    whole, pooled = small(), small(pool=(2, 3))
    assert [layer.in_features for layer in pooled.auxiliary] == [4 * 2 * 3] * 3 + [4 * 1 * 3]
    assert whole.dense[0].in_features == pooled.dense[0].in_features
    assert [layer.in_features // 4 for layer in whole.auxiliary] == [11 * 15, 5 * 7, 3 * 5, 1 * 3]


def test_frames_too_small_for_the_kernels_are_refused():
    with pytest.raises(InputError, match=r"convolution 4 of the clip encoder"):
        ClipEncoder(120, 160)


def test_the_loss_is_that_of_the_description():
    model = steerer("komanda").eval()
    given = batch(model, rows=3, steps=5)
    (free, count), (forced, forced_count) = model.errors(given)
    assert count.tolist() == forced_count.tolist() == [15, 15, 15]

    targets = (given.targets - model.target_mean) / model.target_std
    features = model.encode(given.frames)
    own, _ = model.decoder(features, model.decoder.init_state(3))
    fed, _ = model.decoder(features, model.decoder.init_state(3), targets)
    torch.testing.assert_close(free, (own - targets).square().sum((0, 1)))
    torch.testing.assert_close(forced, (fed - targets).square().sum((0, 1)))

    logged = {}
    model.carried, model.log = None, lambda name, value, **_: logged.update({name: value})
    model._trainer = type("Trainer", (), {"world_size": 1})()
    angle = (own - targets)[..., 0].square().mean()
    expected = angle + 0.1 * ((fed - targets).square().mean() + (own - targets).square().mean())
    torch.testing.assert_close(model.training_step(given, 0), expected)
    torch.testing.assert_close(logged["train/loss"], expected)


def test_both_passes_are_carried_each_with_its_own_memory():
    model = steerer("komanda").eval()
    given = batch(model, rows=2, steps=4)
    model.errors(given)
    free, forced = model.carried
    targets = (given.targets - model.target_mean) / model.target_std
    torch.testing.assert_close(forced[0], targets[:, -1])  # fed the truth, it goes on from the truth
    assert (free[0] - forced[0]).abs().min() > 1e-4
    assert (free[1] - forced[1]).abs().max() > 1e-4


def test_targets_that_are_missing_everywhere_are_neither_learned_nor_fed_back():
    model = steerer("komanda")
    nowhere = torch.tensor([0.05, torch.nan, torch.nan])
    model.use_target_statistics(nowhere, nowhere + 0.3)
    assert model.decoder.is_known.tolist() == [1, 0, 0]
    given = batch(model, rows=2, steps=4)
    given.targets[..., 1:] = torch.nan
    (free, count), (forced, _) = model.train().errors(given)
    assert count.tolist() == [8, 0, 0]
    assert free.isfinite().all() and forced.isfinite().all()
    (free.sum() + forced.sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert not model.decoder.output.weight.grad[1:].any()
    # what those outputs say is of no consequence for the angle
    model.eval()
    before, _ = model.drive(given.frames, model.decoder.init_state(2))
    with torch.no_grad():
        model.decoder.output.bias[1:] += 5
        model.decoder.initial[0][1:] += 5
    after, _ = model.drive(given.frames, model.decoder.init_state(2))
    torch.testing.assert_close(after[..., 0], before[..., 0])


def test_a_target_missing_here_and_there_is_replaced_by_its_own_output():
    model = steerer("komanda").eval()
    features, start = torch.randn(1, 4, model.encoder.feature_size), model.decoder.init_state(1)
    given = torch.randn(1, 4, 3)
    given[0, 1, 2] = torch.nan
    outputs, state = model.decoder(features, start, given)
    patched = given.clone()
    patched[0, 1, 2] = outputs[0, 1, 2].detach()
    expected, expected_state = model.decoder(features, start, patched)
    torch.testing.assert_close((outputs, *state), (expected, *expected_state))


def test_its_own_outputs_come_back_to_it():
    model = steerer("komanda").eval()
    deaf = copy.deepcopy(model)
    deaf.decoder.is_known.zero_()
    given = batch(model, steps=3)
    own, _ = model.drive(given.frames, model.decoder.init_state(2))
    without, _ = deaf.drive(given.frames, deaf.decoder.init_state(2))
    torch.testing.assert_close(own[:, 0], without[:, 0])  # the learned first output starts as zeros
    assert (own[:, 1:] - without[:, 1:]).abs().max() > 1e-4
