"""Each cell against a plain NumPy reading of its equations, and how its weights start."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from modules.cells import CELLS, JordanCell, LectureGRUCell, RecurrentCell

pytestmark = pytest.mark.usefixtures("one_thread")

N, D, H, O = 3, 4, 5, 2  # noqa: E741  # the width of an output
KINDS = sorted(CELLS)
PHI = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "identity": lambda x: x}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def randomized(cell: RecurrentCell) -> RecurrentCell:
    """Returns the cell in float64, no weight at its initial value: a bias of 0 would hide one left out."""
    with torch.no_grad():
        for parameter in cell.double().parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return cell


def layer_norm(a, gain):
    return gain * (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)


def numpy_step(kind, p, x, state, phi, normed, mask):
    """Returns the next state by the equations: one matrix a gate, each row of the batch as a vector."""
    G = len(p["bias_ih"]) // H
    w, u = p["weight_ih"].reshape(G, H, -1), p["weight_hh"].reshape(G, H, -1)
    b, c = p["bias_ih"].reshape(G, H), p["bias_hh"].reshape(G, H)

    def from_input(i):
        product = x @ w[i].T
        return (layer_norm(product, p["gain_ih"].reshape(G, H)[i]) if normed else product) + b[i]

    def from_hidden(i, h):
        product = h @ u[i].T
        return (layer_norm(product, p["gain_hh"].reshape(G, H)[i]) if normed else product) + c[i]

    h, read = state[0], state[0] * mask
    if kind in ("rnn", "jordan"):
        hidden = phi(from_input(0) + from_hidden(0, read))
        return (hidden if kind == "rnn" else phi(hidden @ p["weight_ho"].T + p["bias_ho"]),)
    if kind == "lstm":
        i, f, g, o = (from_input(i) + from_hidden(i, read) for i in range(4))
        memory = sigmoid(f) * state[1] + sigmoid(i) * phi(g)
        shown = layer_norm(memory, p["norm_cell.weight"]) + p["norm_cell.bias"] if normed else memory
        return sigmoid(o) * phi(shown), memory
    reset = sigmoid(from_input(0) + from_hidden(0, read))
    update = sigmoid(from_input(1) + from_hidden(1, read))
    if kind == "gru":
        new = phi(from_input(2) + reset * from_hidden(2, read))
        return ((1 - update) * new + update * h,)
    new = phi(
        from_hidden(2, reset * read) + from_input(2)
    )  # the lecture's: the reset gate before the product
    return ((1 - update) * h + update * new,)


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("activation", sorted(PHI))
@pytest.mark.parametrize("kind", [*KINDS, "jordan of another width"])
def test_equals_its_equations_in_numpy(kind, activation, normed, dropped):
    torch.manual_seed(0)
    kind, *wider = kind.split(" ", 1)
    options = {"output_size": O} if wider else {}
    cell = randomized(CELLS[kind](D, H, activation, layer_norm=normed, **options))
    assert cell.output_size == (O if wider else H)
    parameters = {name: parameter.detach().numpy() for name, parameter in cell.named_parameters()}
    state = tuple(torch.randn_like(tensor) for tensor in cell.init_state(N))
    mask = torch.randint(0, 2, state[0].shape).double() * 2 if dropped else torch.ones_like(state[0])
    expected = tuple(tensor.numpy() for tensor in state)
    for x in torch.randn(4, N, D, dtype=torch.float64):
        if dropped:
            from_hidden = cell.project_hidden(state[0] * mask)
            state = cell.step(cell.project_input(x), from_hidden, state, mask)
        else:
            state = cell(x, state)
        expected = numpy_step(kind, parameters, x.numpy(), expected, PHI[activation], normed, mask.numpy())
        assert len(state) == len(expected) == cell.state_size
        for tensor, array in zip(state, expected, strict=True):
            np.testing.assert_allclose(tensor.detach().numpy(), array, rtol=0, atol=1e-12)


def test_jordan_feeds_back_its_output_alone():
    torch.manual_seed(0)
    cell = JordanCell(D, H, output_size=O)
    assert [tensor.shape for tensor in cell.init_state(N)] == [(N, O)]
    assert cell.weight_hh.shape == (H, O) and cell.weight_ho.shape == (O, H)
    for weight in (cell.weight_hh.T, cell.weight_ho):  # orthogonal, as far as a narrow matrix can be
        torch.testing.assert_close((weight @ weight.T).detach(), torch.eye(O), rtol=0, atol=1e-5)


def test_the_lectures_update_gate_replaces_at_1_and_keeps_at_0():
    torch.manual_seed(0)
    cell, reference = LectureGRUCell(D, H), CELLS["gru"](D, H)
    reference.load_state_dict(cell.state_dict())
    x, h = torch.randn(N, D), torch.randn(N, H)
    with torch.no_grad():
        cell.bias_ih[H : 2 * H] = -100
        torch.testing.assert_close(cell(x, (h,))[0], h)
        cell.bias_ih[H : 2 * H] = 100
        cell.bias_ih[:H] = -100  # and nothing of the hidden state gets past a closed reset gate
        new = torch.tanh(x @ cell.weight_ih[2 * H :].T + cell.bias_ih[2 * H :])
        torch.testing.assert_close(cell(x, (h,))[0], new)
        # with the reset gate open the two forms agree, u being 1 - z
        cell.bias_ih[:H] = 100
        reference.bias_ih.copy_(cell.bias_ih)
        reference.bias_ih[H : 2 * H] = -100
        torch.testing.assert_close(cell(x, (h,)), reference(x, (h,)))


def test_the_lectures_gru_takes_a_product_with_all_its_weights():
    torch.manual_seed(0)
    cell = LectureGRUCell(D, H)
    x, h = torch.randn(N, D), torch.randn(N, H)
    whole = nn.functional.linear(h, cell.weight_hh, cell.bias_hh)  # (N, 3 H)
    assert cell.project_hidden(h).shape == (N, 2 * H)
    torch.testing.assert_close(cell.step(cell.project_input(x), whole, (h,)), cell(x, (h,)))


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_blocks_start_orthogonal(kind):
    torch.manual_seed(0)
    cell = CELLS[kind](D, H)
    blocks = cell.weight_hh.detach().view(cell.gates, H, H)
    torch.testing.assert_close(blocks @ blocks.mT, torch.eye(H).expand(cell.gates, H, H), rtol=0, atol=1e-5)
    for i in range(1, cell.gates):  # each drawn for itself
        assert not torch.allclose(blocks[0], blocks[i])
    assert not cell.bias_hh.any()
    assert cell.weight_ih.abs().max() <= 1 / math.sqrt(H)
    assert cell.weight_ih.std() > 0.3 / math.sqrt(H)


def test_the_forget_gate_starts_open():
    torch.manual_seed(0)
    cell = CELLS["lstm"](D, H)
    total = (cell.bias_ih + cell.bias_hh).detach().view(4, H)  # i, f, g, o
    assert (total[1] == 1).all()
    assert (total[[0, 2, 3]].abs() <= 1 / math.sqrt(H)).all()
    # what that does: with nothing else coming in, c decays by sigmoid(1)
    with torch.no_grad():
        cell.weight_hh.zero_()
        cell.bias_ih[2 * H : 3 * H] = 0  # g
    _, c = cell(torch.zeros(1, D), (torch.zeros(1, H), torch.ones(1, H)))
    torch.testing.assert_close(c, torch.full((1, H), 1 / (1 + math.exp(-1))))


@pytest.mark.parametrize("kind", KINDS)
def test_layer_norm_makes_the_scale_of_the_weights_meaningless(kind):
    torch.manual_seed(0)
    plain, normed = CELLS[kind](D, 64), CELLS[kind](D, 64, layer_norm=True)
    x = torch.randn(N, D)

    def change(cell: RecurrentCell) -> Tensor:
        state = tuple(torch.ones_like(tensor) for tensor in cell.init_state(N))
        before = cell(x, state)[0]
        with torch.no_grad():
            cell.weight_ih.mul_(10)
            cell.weight_hh.mul_(10)
        return (cell(x, state)[0] - before).detach().abs().max()

    assert change(normed) < 0.01 < 0.1 < change(plain)
