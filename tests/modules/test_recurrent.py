"""Cells and stacks against PyTorch's own, layer by layer, step by step and fused."""

import math

import pytest
import torch
from torch import Tensor, nn

from modules.recurrent import CELLS, RecurrentStack, State

pytestmark = pytest.mark.usefixtures("one_thread")

REFERENCES = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
KINDS = sorted(REFERENCES)
B, T, D, H = 3, 5, 4, 6


def references_of(stack: RecurrentStack) -> nn.RNNBase:
    """Returns PyTorch's module with the stack's weights."""
    reference = REFERENCES[stack.kind](D, H, len(stack.cells), batch_first=True)
    with torch.no_grad():
        for layer, cell in enumerate(stack.cells):
            for name, weight in cell.named_parameters():
                getattr(reference, f"{name}_l{layer}").copy_(weight)
    return reference


def by_cells(stack: RecurrentStack, x: Tensor, state: State) -> tuple[Tensor, State]:
    """Runs one cell after the other, each over the whole sequence."""
    last: list[Tensor] = []
    for layer, cell in enumerate(stack.cells):
        mine, outputs = state[layer * cell.state_size : (layer + 1) * cell.state_size], []
        for xt in x.unbind(1):
            mine = cell(xt, mine)
            outputs.append(mine[0])
        x, last = torch.stack(outputs, 1), [*last, *mine]
    return x, tuple(last)


def by_steps(stack: RecurrentStack, x: Tensor, state: State) -> tuple[Tensor, State]:
    """Runs the stack time step by time step, the input projected for all of them at once."""
    outputs = []
    for from_input in stack.cells[0].project_input(x).unbind(1):
        output, state = stack.step(from_input, state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


def fused(stack: RecurrentStack, x: Tensor, state: State) -> tuple[Tensor, State]:
    return stack(x, state)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("run", [by_cells, by_steps, fused])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_pytorch_forward_and_backward(kind, run, layers):
    torch.manual_seed(0)
    stack = RecurrentStack(kind, D, H, layers)
    with torch.no_grad():  # biases of zero would hide one that is left out
        for parameter in stack.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    reference = references_of(stack)
    x = torch.randn(B, T, D, requires_grad=True)
    start = [torch.randn(layers, B, H, requires_grad=True) for _ in range(stack.state_size)]
    flat = tuple(tensor[layer] for layer in range(layers) for tensor in start)

    expected, last = reference(x, tuple(start) if kind == "lstm" else start[0])
    outputs, state = run(stack, x, flat)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-6)
    assert len(state) == layers * stack.state_size
    for i, tensor in enumerate(last if kind == "lstm" else (last,)):
        torch.testing.assert_close(torch.stack(state[i :: stack.state_size]), tensor, rtol=0, atol=1e-6)
    torch.testing.assert_close(stack.output(state), expected[:, -1], rtol=0, atol=1e-6)

    weight = torch.randn(B, T, H)
    wanted = torch.autograd.grad((expected * weight).sum(), [x, *start, *reference.parameters()])
    grads = torch.autograd.grad((outputs * weight).sum(), [x, *start, *stack.parameters()])
    names = ["x", *"hc"[: len(start)], *(name for name, _ in stack.named_parameters())]
    for name, grad, want in zip(names, grads, wanted, strict=True):
        torch.testing.assert_close(grad, want, rtol=1e-5, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_hidden_product_from_the_caller_changes_nothing(kind):
    torch.manual_seed(0)
    stack = RecurrentStack(kind, D, H, layers=2)
    state = tuple(torch.randn(B, H) for _ in stack.init_state(B))
    from_input = stack.cells[0].project_input(torch.randn(B, D))
    own, own_state = stack.step(from_input, state)
    given, given_state = stack.step(from_input, state, stack.cells[0].project_hidden(state[0]))
    torch.testing.assert_close((given, *given_state), (own, *own_state), rtol=0, atol=0)
    # and it is used: another one gives another state
    other, _ = stack.step(from_input, state, stack.cells[0].project_hidden(-state[0]))
    assert not torch.allclose(other, own)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_the_flat_state_are_sequences(kind):
    torch.manual_seed(0)
    stack = RecurrentStack(kind, D, H, layers=2)
    x, rows = torch.randn(B, T, D), torch.tensor([2, 0, 0])
    _, state = stack(x, stack.init_state(B))
    output, _ = stack.step(stack.cells[0].project_input(x[rows, 0]), tuple(tensor[rows] for tensor in state))
    together, _ = stack.step(stack.cells[0].project_input(x[:, 0]), state)
    torch.testing.assert_close(output, together[rows], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_initial_state_is_zero_and_has_one_tensor_per_layer_and_kind(kind):
    stack = RecurrentStack(kind, D, H, layers=3)
    state = stack.init_state(7)
    assert len(state) == 3 * (2 if kind == "lstm" else 1)
    assert all(tensor.shape == (7, H) and not tensor.any() for tensor in state)


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


@pytest.mark.parametrize("run", [by_steps, fused])
@pytest.mark.parametrize("kind", KINDS)
def test_dropout_falls_between_layers_and_only_in_training(kind, run):
    torch.manual_seed(0)
    plain = RecurrentStack(kind, D, H, layers=2)
    x, state = torch.randn(B, T, D), plain.init_state(B)
    undropped, _ = run(plain, x, state)
    dropped = RecurrentStack(kind, D, H, layers=2, dropout=1.0)
    dropped.load_state_dict(plain.state_dict())

    torch.testing.assert_close(run(dropped.eval(), x, state)[0], undropped, rtol=0, atol=1e-6)

    # all of the first layer's output is dropped: the second reads zeros, and its own output is whole
    outputs, last = run(dropped.train(), x, state)
    lower, upper = plain.cells
    mine = upper.init_state(B)
    for t in range(T):
        mine = upper(torch.zeros(B, H), mine)
        torch.testing.assert_close(outputs[:, t], mine[0], rtol=0, atol=1e-6)
    # the first layer's own memory is untouched
    mine = lower.init_state(B)
    for t in range(T):
        mine = lower(x[:, t], mine)
    torch.testing.assert_close(last[0], mine[0], rtol=0, atol=1e-6)

    alone = RecurrentStack(kind, D, H, layers=1, dropout=1.0).train()
    twin = RecurrentStack(kind, D, H, layers=1)
    twin.load_state_dict(alone.state_dict())
    mine = alone.init_state(B)
    torch.testing.assert_close(run(alone, x, mine)[0], run(twin, x, mine)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("run", [by_steps, fused])
def test_dropout_keeps_the_expected_value(run):
    torch.manual_seed(0)
    stack = RecurrentStack("rnn", 1, 400, layers=2, dropout=0.25).train()
    lower, upper = stack.cells
    with torch.no_grad():  # the first layer says 0.1 everywhere, the second sums it to a small number
        lower.weight_hh.zero_()
        lower.weight_ih.fill_(math.atanh(0.1))
        lower.bias_ih.zero_()
        upper.weight_hh.zero_()
        upper.weight_ih.fill_(0.005)
        upper.bias_ih.zero_()
    sums, _ = run(stack, torch.ones(500, 1, 1), stack.init_state(500))  # tanh(0.2), were nothing dropped
    before_tanh = torch.atanh(sums.detach().flatten())
    assert before_tanh.mean().item() == pytest.approx(0.2, rel=0.01)
    assert before_tanh.std().item() == pytest.approx(0.0005 * math.sqrt(400 / 3), rel=0.2)


def test_a_stack_without_layers_is_refused():
    with pytest.raises(ValueError, match="at least one layer, not 0"):
        RecurrentStack("lstm", D, H, layers=0)
