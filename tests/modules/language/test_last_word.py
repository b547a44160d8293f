"""The last-word model: what it predicts, what its training does and what it records."""

import math

import pytest
import torch
from torch.nn import functional as F

from modules.language.last_word import LastWordModel, last_word_accuracy, train_last_word
from modules.recurrent import RecurrentStack

pytestmark = pytest.mark.usefixtures("one_thread")

V, H = 6, 8


def model_of(cell="lstm", layers=1, connection="plain"):
    torch.manual_seed(0)
    return LastWordModel(RecurrentStack(cell, H, H, layers, connection=connection), V)


def sentences(rows=16, length=5, seed=0):
    """Sentences whose last word is their first."""
    words = torch.randint(0, V, (rows, length), generator=torch.Generator().manual_seed(seed))
    return words, words[:, 0]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_loss_at_the_start_is_about_log_v_and_every_parameter_gets_a_gradient(cell):
    model = model_of(cell, 2, "highway")
    words, targets = sentences(64)
    loss = F.cross_entropy(model(words), targets)
    assert loss.item() == pytest.approx(math.log(V), abs=0.25)
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_the_flow_at_distance_zero_is_the_readouts_gradient():
    model = model_of()
    words, targets = sentences()
    flow = model.gradient_flow(words, targets)
    assert flow.shape == (5,)
    error = model(words).softmax(-1) - F.one_hot(targets, V)  # dJ/dlogits
    torch.testing.assert_close(flow[0], (error @ model.readout.weight).norm(dim=-1).mean())


def test_one_batch_is_learnt_by_heart():
    model = model_of()
    batch = sentences()
    before = last_word_accuracy(model, *batch)
    record = train_last_word(model, [batch] * 150, 0.02, clip_norm=1.0)
    assert before < 0.6 and last_word_accuracy(model, *batch) == 1.0
    assert len(record.losses) == len(record.gradient_norms) == 150 and not record.diverged
    assert record.losses[-1] < 0.1 < record.losses[0]


def test_the_recorded_norm_is_that_before_clipping():
    batch = sentences()
    model = model_of()
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    whole = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm().item()
    for clip_norm in (None, whole / 100):
        record = train_last_word(model_of(), [batch], 0.01, clip_norm)
        assert record.gradient_norms == [pytest.approx(whole)]


def test_clipping_scales_what_the_optimiser_sees_to_the_threshold(monkeypatch):
    seen = []

    class Recording(torch.optim.Adam):
        def step(self, closure=None):
            grads = [p.grad.flatten() for group in self.param_groups for p in group["params"]]
            seen.append(torch.cat(grads).norm().item())
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "Adam", Recording)
    record = train_last_word(model_of(), [sentences()] * 3, 0.01, clip_norm=0.05)
    assert min(record.gradient_norms) > 0.05
    assert seen == pytest.approx([0.05] * 3, rel=1e-3)
    free = train_last_word(model_of(), [sentences()] * 3, 0.01, clip_norm=None)
    assert seen[3:] == pytest.approx(free.gradient_norms)


def test_training_ends_before_a_step_that_would_break_the_weights():
    stack = RecurrentStack("rnn", H, H, activation="identity")
    with torch.no_grad():
        stack.cells[0].weight_hh.mul_(1e30)  # four steps on, no float32 holds it
    model = LastWordModel(stack, V)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    record = train_last_word(model, [sentences()] * 5, 0.01, clip_norm=None)
    assert record.diverged and len(record.losses) == 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_accuracy_counts_the_right_ones():
    model = model_of()
    words, _ = sentences()
    guesses = model(words).argmax(-1)
    half = torch.where(torch.arange(16) < 8, guesses, (guesses + 1) % V)
    assert last_word_accuracy(model, words, half) == 0.5
