"""The LightningModule by itself: losses, carried state, free-running evaluation, checkpoints."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from modules.errors import InputError
from modules.steering.batch import ClipBatch
from modules.steering.options import squared_error_sums
from modules.steering.steerer import Steerer
from tests.modules.steering.steering_models import (
    KINDS,
    batch,
    camera_frames,
    prepared,
    steerer,
    whole_drives,
)

pytestmark = pytest.mark.usefixtures("one_thread")
EVERY = sorted(KINDS)


def loss_of(model: Steerer, given: ClipBatch) -> torch.Tensor:
    """Returns the loss of a training step."""
    model._trainer = SimpleNamespace(world_size=1)
    model.log = lambda *_, **__: None
    return model.training_step(given, 0)


def part(given: ClipBatch, context: int, first: int, end: int) -> ClipBatch:
    """Returns the frames from first to end of each stretch, which continue those before them."""
    return ClipBatch(
        given.frames[:, first : end + context],
        given.targets[:, first:end],
        given.valid[:, first:end],
        given.resets & (first == 0),
        given.rows[:, first:end],
    )


@pytest.mark.parametrize("kind", EVERY)
def test_every_trained_parameter_gets_a_gradient_and_no_frozen_one(kind):
    model = steerer(kind).train()
    loss_of(model, batch(model, rows=4)).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        if parameter.requires_grad:
            assert parameter.grad.abs().sum() > 0, name
    assert model.encoder_is_frozen == (kind == "transfer")


@pytest.mark.parametrize("kind", EVERY)
def test_learns_one_batch_by_heart(kind):
    model = steerer(kind).train()
    given = batch(model, rows=2, steps=2)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, 1e-2 if model.encoder_is_frozen else 3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = loss_of(model, given)
        if loss < 2e-3:
            break
        loss.backward()
        optimizer.step()
        model.carried = None
    assert loss < 2e-3
    model.eval()
    outputs, _ = model.drive(given.frames, model.decoder.init_state(2))
    torch.testing.assert_close(outputs[..., 0], given.targets[..., 0], rtol=0, atol=0.03)


@pytest.mark.parametrize("kind", EVERY)
def test_carried_state_makes_parts_equal_to_one_long_pass(kind):
    model = steerer(kind).eval()
    given = batch(model, steps=7)
    whole = model.errors(given)
    model.carried = None
    pieces = [model.errors(part(given, model.left_context, *ends)) for ends in [(0, 3), (3, 4), (4, 7)]]
    for i, (errors, count) in enumerate(whole):
        torch.testing.assert_close(sum(piece[i][0] for piece in pieces), errors, rtol=1e-4, atol=1e-5)
        assert torch.equal(sum(piece[i][1] for piece in pieces), count)


@pytest.mark.parametrize("kind", EVERY)
def test_a_reset_forgets_and_only_in_its_row(kind):
    model = steerer(kind).eval()
    given = batch(model, rows=2, steps=6)
    first, second = part(given, model.left_context, 0, 3), part(given, model.left_context, 3, 6)
    model.errors(first)
    carried = model.carried[0]
    mixed = model.start(torch.tensor([False, True]), carried)
    for tensor, old, fresh in zip(mixed, carried, model.decoder.init_state(2), strict=True):
        assert torch.equal(tensor[0], old[0])
        assert torch.equal(tensor[1], fresh[1])
    if kind != "pilotnet":
        going_on, _ = model.drive(second.frames, carried)
        afresh, _ = model.drive(second.frames, mixed)
        torch.testing.assert_close(going_on[0], afresh[0])
        assert (going_on[1] - afresh[1]).abs().max() > 1e-6


@pytest.mark.parametrize("kind", EVERY)
def test_no_gradient_reaches_the_batch_before_and_later_frames_change_no_angle(kind):
    model = steerer(kind).eval()
    model.errors(batch(model))
    assert not any(tensor.requires_grad for state in model.carried for tensor in state)

    frames = prepared(model, camera_frames(9))
    before = whole_drives(model, frames, [0])
    frames[5:] = 255 - frames[5:]
    after = whole_drives(model, frames, [0])
    np.testing.assert_allclose(after[:5], before[:5], rtol=0, atol=1e-6)
    assert np.abs(after[5:] - before[5:]).max() > 1e-5


@pytest.mark.parametrize("kind", EVERY)
def test_evaluation_is_free_running_and_equals_prediction(kind):
    model = steerer(kind).eval()
    given = batch(model, rows=3, steps=6)
    drives = given.frames[:, model.left_context :].flatten(0, 1)
    expected = whole_drives(model, drives, [0, 6, 12])
    lost = given._replace(valid=given.valid.clone(), targets=torch.full_like(given.targets, torch.nan))
    lost.valid[1, 5] = False
    logged = {}
    for order in ([0, 1, 2], [2, 0, 1]):  # whatever rows share a batch, whatever the targets say
        model.begin_evaluation()
        model._trainer = SimpleNamespace(world_size=1)
        model.log = lambda name, value, **_: logged.update({name: value})
        rows = ClipBatch(*(tensor[order] for tensor in (lost if order[0] else given)))
        for ends in [(0, 4), (4, 6)]:
            model.evaluate(part(rows, model.left_context, *ends), 0)
        model.conclude_evaluation("val")
        kept = model.evaluation.rows
        assert kept.tolist() == [row for row in range(18) if not order[0] or row != 11]
        np.testing.assert_allclose(model.evaluation.outputs, expected[kept], rtol=0, atol=1e-5)
        if not order[0]:
            error = expected[:, 0] - given.targets[..., 0].flatten().numpy()
            assert logged["val/rmse_rad"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-4)


def test_missing_targets_and_padding_count_nothing():
    torch.manual_seed(0)
    outputs, targets = torch.randn(2, 3, 3), torch.randn(2, 3, 3)
    targets[0, 0, 1] = targets[1, :, 2] = torch.nan
    valid = torch.tensor([[True, True, False], [True, True, True]])
    sums, counts = squared_error_sums(outputs, targets, valid)
    expected, number = np.zeros(3), np.zeros(3)
    for b, t, o in np.ndindex(2, 3, 3):
        if valid[b, t] and not np.isnan(float(targets[b, t, o])):
            expected[o] += float(outputs[b, t, o] - targets[b, t, o]) ** 2
            number[o] += 1
    np.testing.assert_allclose(sums, expected, rtol=1e-5)
    np.testing.assert_array_equal(counts, number)


def test_context_that_the_encoder_does_not_need_warms_the_decoder_up():
    model = steerer("chauffeur").eval()
    frames = prepared(model, camera_frames(12))
    features = model.encode(frames.unsqueeze(0))[0].detach()
    expected = whole_drives(model, frames, [0])[8:]
    targets = torch.zeros(1, 4, 3)
    model.begin_evaluation()
    amid = ClipBatch(
        features[4:].unsqueeze(0), targets, targets[..., 0] == 0, torch.tensor([True]), torch.arange(4)[None]
    )
    assert features[4:].shape[0] - 4 == model.feature_context
    model.evaluate(amid, 0)
    np.testing.assert_allclose(model.parts[0].outputs, expected, rtol=0, atol=1e-5)
    with torch.no_grad():
        ((sums, count),) = model.errors(amid)
    wanted = np.square((0.05 - 0.0) / 0.3 + (expected[:, 0] - 0.05) / 0.3).sum()
    assert float(sums[0]) == pytest.approx(wanted, rel=1e-3) and int(count[0]) == 4


@pytest.mark.parametrize("kind", EVERY)
def test_a_checkpoint_is_self_contained_and_says_the_same(kind, tmp_path):
    model = steerer(kind).eval()
    path = tmp_path / "model.ckpt"
    checkpoint = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
    loaded = Steerer.load(path)
    assert not loaded.training and loaded.preprocessing == model.preprocessing
    frames = prepared(model, camera_frames(5))
    np.testing.assert_array_equal(whole_drives(loaded, frames, [0]), whole_drives(model, frames, [0]))

    checkpoint["hyper_parameters"]["decoder"]["hidden_size"] = 9
    checkpoint["hyper_parameters"]["frames"]["height"] = 80
    torch.save(checkpoint, path)
    with pytest.raises(InputError, match=r"model.ckpt: a damaged checkpoint"):
        Steerer.load(path)
    torch.save({**checkpoint, "task": "caption"}, path)
    with pytest.raises(InputError, match=r"'caption'.*'steer'"):
        Steerer.load(path)


def test_the_first_stage_trains_the_encoder_that_the_second_freezes():
    model = steerer("chauffeur", pretrain_epochs=2, pretrain_learning_rate=0.02)
    first = model.single_frame_model()
    assert first.decoder_options.kind == "frame" and not first.encoder_is_frozen
    assert first.training_options.learning_rate == 0.02
    with torch.no_grad():
        for parameter in first.encoder.parameters():
            parameter.add_(0.1)
    model.adopt(first)
    assert model.encoder_is_frozen and not model.train().encoder.training and model.decoder.training
    frames = prepared(model, camera_frames(3)).unsqueeze(0)
    torch.testing.assert_close(model.eval().encode(frames), first.eval().encode(frames))
    loss_of(model.train(), batch(model)).backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())


def test_the_second_stage_of_komanda_begins_where_the_first_ended():
    model = steerer("komanda", pretrain_epochs=1)
    first = model.single_frame_model()
    mean, std = torch.tensor([0.1, 0.0, 9.0]), torch.tensor([0.3, 1.0, 2.0])
    for each in (model, first):
        each.use_target_statistics(mean, std)
    frames = prepared(model, camera_frames(6))
    model.adopt(first)
    says, said = (whole_drives(each.eval(), frames, [0]) for each in (model, first))
    assert says.shape == (6, 3) and said.shape == (6, 1)
    np.testing.assert_allclose(says[:, :1], said, rtol=0, atol=1e-5)


def test_a_model_of_several_cars_says_angles_in_the_unit_of_one(tmp_path):
    model = steerer("komanda")
    model.use_target_statistics(torch.tensor([0.1, 0.0, 5.0]), torch.tensor([0.5, 1.0, 2.0]))
    model.recorder, model.cars = "donkeycar", {"donkeycar": 1.0, "simulator": 2.0}
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    again = steerer("komanda")
    again.load_state_dict(checkpoint["state_dict"])
    again.restore(checkpoint)
    again.steer_for("udacity"), again.steer_for("")
    assert again.recorder == "donkeycar", "it has not learnt this one"
    clip = batch(model).frames
    (first, _), (second, _) = (
        each.drive(clip, each.decoder.init_state(len(clip))) for each in (model, again)
    )
    torch.testing.assert_close(first, second)
    again.steer_for("simulator")
    second, _ = again.drive(clip, again.decoder.init_state(len(clip)))
    torch.testing.assert_close(first[..., 0], 2 * second[..., 0])
    torch.testing.assert_close(first[..., 1:], second[..., 1:])


def test_initial_weights_depend_on_the_seed_alone():
    first = steerer("komanda", seed=3)
    torch.rand(17)
    second, other = steerer("komanda", seed=3), steerer("komanda", seed=4)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name]), name
    assert not torch.equal(first.decoder.output.weight, other.decoder.output.weight)


def test_encodes_a_frame_once_however_long_the_windows_are():
    model = steerer("chauffeur").eval()
    seen = []
    model.encoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[:2].numel()))
    given = batch(model, rows=1, steps=20)
    model.errors(given)
    assert sum(seen) == 20  # windows of 5 at stride 1 hold 100
