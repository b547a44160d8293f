"""Steering decoders: cells against PyTorch's, and one pass against many."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from modules.decoders.steering import DECODERS, ProjectedLSTMCell, SteeringDecoderOptions
from modules.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = {
    "frame": {},
    "recurrent": {"layers": 2, "cell": "gru"},
    "window": {"window": 4},
    "autoregressive": {"outputs": 3},
}
D = 6


def decoder(kind: str, **options):
    torch.manual_seed(0)
    sizes = {"hidden_size": 5, "projection_size": 4, "dense_size": 7}
    chosen = SteeringDecoderOptions(kind=kind, **{**sizes, **OPTIONS[kind], **options})
    return DECODERS[kind](D, chosen).eval()


def test_the_projected_cell_equals_pytorchs_forward_and_backward():
    torch.manual_seed(0)
    cell = ProjectedLSTMCell(D, 5, 4)
    reference = nn.LSTM(D, 5, proj_size=4, batch_first=True)
    with torch.no_grad():
        cell.bias.add_(0.1 * torch.randn(20))
        for name, weight in {"ih": cell.weight_ih, "hh": cell.weight_hh, "hr": cell.weight_hr}.items():
            getattr(reference, f"weight_{name}_l0").copy_(weight)
        reference.bias_ih_l0.copy_(cell.bias)
        reference.bias_hh_l0.zero_()
    x, r, c = torch.randn(3, 8, D), torch.randn(3, 4), torch.randn(3, 5)
    expected, (last_r, last_c) = reference(x, (r.unsqueeze(0), c.unsqueeze(0)))
    outputs = []
    for t in range(8):
        r, c = cell.step(x[:, t] @ cell.weight_ih.T + cell.bias, r, c)
        outputs.append(r)
    found = torch.stack(outputs, 1)
    torch.testing.assert_close((found, r, c), (expected, last_r[0], last_c[0]), rtol=0, atol=1e-6)
    weight = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weight).sum(), [reference.weight_hr_l0, reference.bias_ih_l0])
    grads = torch.autograd.grad((found * weight).sum(), [cell.weight_hr, cell.bias])
    torch.testing.assert_close(grads, wanted, rtol=1e-5, atol=1e-5)


def test_the_projected_cells_forget_gate_starts_open():
    cell = ProjectedLSTMCell(D, 5, 4)
    assert cell.bias.view(4, 5).tolist() == [[0] * 5, [1] * 5, [0] * 5, [0] * 5]  # i, f, g, o


def test_the_autoregressive_decoder_is_its_equations():
    model = decoder("autoregressive")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x = torch.randn(2, 5, D)
    outputs, state = model(x, model.init_state(2))
    y, r, c = (start.expand(2, -1) for start in model.initial)
    for t in range(5):
        seen = torch.cat([y, x[:, t]], -1)
        r, c = model.cell.step(seen @ model.cell.weight_ih.T + model.cell.bias, r, c)
        y = model.output(torch.cat([r, y, x[:, t]], -1))
        torch.testing.assert_close(outputs[:, t], y, rtol=0, atol=1e-5)
    torch.testing.assert_close(state, (y, r, c), rtol=0, atol=1e-5)


def test_given_outputs_are_fed_one_step_later():
    model = decoder("autoregressive")
    x, given = torch.randn(1, 6, D), torch.randn(1, 6, 3)
    before, _ = model(x, model.init_state(1), given)
    given[0, 2] += 1
    after, state = model(x, model.init_state(1), given)
    changed = (after - before).abs().amax(-1)[0] > 1e-7
    assert changed.tolist() == [False] * 3 + [True] * 3
    assert torch.equal(state[0], given[:, -1])


def test_the_autoregressive_decoder_starts_as_the_head_of_single_frames_and_learns_its_memory_from_there():
    model, x = decoder("autoregressive"), torch.randn(2, 5, D)
    head = nn.Linear(D - 2, 1)  # the last features may be others, such as the picture's motion
    model.start_from(head)
    for state in (model.init_state(2), tuple(torch.randn_like(part) for part in model.init_state(2))):
        torch.testing.assert_close(model(x, state)[0][..., :1], head(x[..., : D - 2]), rtol=0, atol=1e-6)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(x, model.init_state(2))[0].square().sum().backward()
        optimizer.step()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_one_pass_parts_and_single_steps_agree(kind):
    model, x = decoder(kind), torch.randn(3, 9, D)
    whole, last = model(x, model.init_state(3))
    for ends in ([0, 4, 5, 9], list(range(10))):
        state, outputs = model.init_state(3), []
        for first, end in pairwise(ends):
            output, state = model(x[:, first:end], state)
            outputs.append(output)
        torch.testing.assert_close(torch.cat(outputs, 1), whole, rtol=0, atol=1e-5)
        torch.testing.assert_close(state, last, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_rows_do_not_see_each_other(kind):
    model, x = decoder(kind), torch.randn(3, 7, D)
    together, _ = model(x, model.init_state(3))
    for row in range(3):
        alone, _ = model(x[row : row + 1], model.init_state(1))
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_dropout_is_for_training(kind):
    model, x = decoder(kind, dropout=0.5), torch.randn(2, 4, D)
    state = model.init_state(2)
    assert torch.equal(model(x, state)[0], model(x, state)[0])
    model.train()
    assert not torch.equal(model(x, state)[0], model(x, state)[0])


def test_the_recurrent_decoder_is_its_equations():
    model, x = decoder("recurrent"), torch.randn(2, 5, D)
    with torch.no_grad():
        model.mean_rate.add_(torch.randn_like(model.mean_rate))
    outputs, state = model(x, model.init_state(2))
    z, mean = model.input(x), torch.zeros(2, 7)
    h, recurrent = model.rnn(z, model.rnn.init_state(2))
    for t in range(5):
        k = 1 / (1 + torch.exp(-model.mean_rate))
        mean = (1 - k) * mean + k * z[:, t]
        y = model.output(torch.cat([h[:, t], mean], -1))
        torch.testing.assert_close(outputs[:, t], y, rtol=0, atol=1e-5)
    torch.testing.assert_close(state, (*recurrent, mean), rtol=0, atol=1e-5)


def test_the_recurrent_decoder_says_more_of_a_sharper_curve_than_its_state_can():
    model, x = decoder("recurrent"), torch.randn(2, 4, D)
    sharp, sharper = (model(factor * x, model.init_state(2))[0] for factor in (100, 200))
    assert (sharper.abs().mean() > 1.5 * sharp.abs().mean()).item()


def test_without_a_dense_layer_the_rnn_reads_the_features():
    assert decoder("recurrent", dense_size=0).rnn.cells[0].input_size == D
    assert decoder("recurrent").rnn.cells[0].input_size == 7
    with pytest.raises(InputError, match=r"model\.decoder\.dense_size is 0"):
        SteeringDecoderOptions(kind="window", dense_size=0)
