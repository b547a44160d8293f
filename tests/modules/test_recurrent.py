"""Plain stacks against PyTorch's own, cell by cell, step by step, by the loop and by the fused kernel."""

import inspect
import math

import pytest
import torch
from torch import Tensor, nn

from modules import recurrent
from modules.cells import CELLS, RecurrentCell, State
from modules.errors import InputError
from modules.recurrent import RecurrentStack

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = sorted(CELLS)
FUSED = [("rnn", "tanh"), ("rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")]
B, T, D, H = 3, 5, 4, 6


def reference_of(stack: RecurrentStack) -> nn.RNNBase:
    """Returns PyTorch's module with the stack's weights."""
    module = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[stack.kind]
    options = {"nonlinearity": stack.activation} if stack.kind == "rnn" else {}
    layers, both = len(stack.cells), stack.bidirectional
    reference = module(
        D, H, layers, batch_first=True, bidirectional=both, dtype=stack.cells[0].bias_hh.dtype, **options
    )
    with torch.no_grad():
        for layer in range(layers):
            for suffix, cells in (("", stack.cells), ("_reverse", stack.reverse_cells)):
                for name, weight in cells[layer].named_parameters() if len(cells) else ():
                    getattr(reference, f"{name}_l{layer}{suffix}").copy_(weight)
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


def looped(stack: RecurrentStack, x: Tensor, state: State) -> tuple[Tensor, State]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent, "KERNELS", {})
        return stack(x, state)


def fused(stack: RecurrentStack, x: Tensor, state: State) -> tuple[Tensor, State]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecurrentCell, "project_hidden", None)  # none of the cells' own work is done
        return stack(x, state)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(
    ("run", "bidirectional"),
    [(by_cells, False), (by_steps, False), (looped, False), (looped, True), (fused, False), (fused, True)],
)
@pytest.mark.parametrize(("kind", "activation"), FUSED)
def test_equals_pytorch_forward_and_backward(kind, activation, run, bidirectional, layers):
    torch.manual_seed(0)
    stack = RecurrentStack(kind, D, H, layers, bidirectional=bidirectional, activation=activation).double()
    with torch.no_grad():  # biases of zero would hide one that is left out
        for parameter in stack.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    reference, rows = reference_of(stack), layers * (1 + bidirectional)
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    start = [
        torch.randn(rows, B, H, dtype=torch.float64, requires_grad=True) for _ in range(stack.state_size)
    ]
    flat = tuple(tensor[row] for row in range(rows) for tensor in start)

    expected, last = reference(x, tuple(start) if kind == "lstm" else start[0])
    outputs, state = run(stack, x, flat)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-6)
    assert len(state) == rows * stack.state_size
    for i, tensor in enumerate(last if kind == "lstm" else (last,)):
        torch.testing.assert_close(torch.stack(state[i :: stack.state_size]), tensor, rtol=0, atol=1e-6)
    ends = [expected[:, -1, :H], expected[:, 0, H:]]  # the backward direction ends at the first step
    torch.testing.assert_close(stack.output(state), torch.cat(ends, -1), rtol=0, atol=1e-6)

    weight = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weight).sum(), [x, *start, *reference.parameters()])
    of_stack = dict(stack.named_parameters())
    ours = []  # in PyTorch's order
    for name, _ in reference.named_parameters():
        kind_of, _, place = name.rpartition("_l")
        layer, _, reverse = place.partition("_")
        ours.append(of_stack[f"{'reverse_' if reverse else ''}cells.{layer}.{kind_of}"])
    assert len(ours) == len(of_stack)
    grads = torch.autograd.grad((outputs * weight).sum(), [x, *start, *ours])
    names = ["x", *"hc"[: len(start)], *(name for name, _ in reference.named_parameters())]
    for name, grad, want in zip(names, grads, wanted, strict=True):
        torch.testing.assert_close(grad, want, rtol=0, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")


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


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_initial_state_is_zero_and_has_one_tensor_per_layer_direction_and_kind(kind, bidirectional):
    torch.manual_seed(0)
    stack = RecurrentStack(kind, D, H, layers=3, bidirectional=bidirectional)
    state = stack.init_state(7)
    assert len(state) == 3 * (1 + bidirectional) * (2 if kind == "lstm" else 1)
    assert all(tensor.shape == (7, H) and not tensor.any() for tensor in state)
    x = torch.randn(7, T, D)  # and it is what no state means
    torch.testing.assert_close(stack(x), stack(x, state), rtol=0, atol=0)


def test_parameter_names_are_those_of_earlier_checkpoints():
    names = {f"cells.{n}.{name}" for n in (0, 1) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    assert set(RecurrentStack("lstm", D, H, 2).state_dict()) == names


@pytest.mark.parametrize("run", [by_steps, looped, fused])
@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
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


@pytest.mark.parametrize("run", [by_steps, looped, fused])
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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": 0}, "at least one layer, not 0"),
        ({"hidden_size": 0}, "4 and 0; they have to be above 0"),
        ({"dropout": 1.5}, "dropout is 1.5; it is a probability"),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout is -0.1; it is a probability"),
        ({"cell": "lst"}, "cell is 'lst'; the nearest is 'lstm' of rnn, jordan, lstm, gru, gru_reset_before"),
        ({"connection": "skip"}, "the nearest is .* of plain, residual, dense, highway"),
        ({"activation": "gelu"}, "the nearest is .* of tanh, relu, identity"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, said):
    given = {"cell": "lstm", "input_size": D, "hidden_size": H} | options
    initialize = inspect.unwrap(RecurrentStack.__init__)  # the tests' type checks would refuse some first
    with pytest.raises(InputError, match=said):
        initialize(RecurrentStack.__new__(RecurrentStack), **given)


def test_a_sequence_lengths_or_state_that_do_not_fit_are_refused():
    stack, x = RecurrentStack("lstm", D, H, layers=2), torch.randn(B, T, D)
    for lengths in ([0, 1, 1], [1, 2, T + 1], [1, 2]):
        with pytest.raises(ValueError, match=f"lengths have to be {B} numbers from 1 to {T}"):
            inspect.unwrap(RecurrentStack.forward)(stack, x, None, torch.tensor(lengths))
    with pytest.raises(ValueError, match="state has 2 tensors"):
        stack(x, RecurrentStack("lstm", D, H).init_state(B))
    with pytest.raises(ValueError, match="at least one time step"):
        stack(x[:, :0])
