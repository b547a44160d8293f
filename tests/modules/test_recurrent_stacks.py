"""Stacks with every option: connections, both directions, padding, layer norm, dropout and carried state."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from modules import recurrent
from modules.cells import CELLS, RecurrentCell, State
from modules.recurrent import RecurrentStack, detach_state

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = sorted(CELLS)
CONNECTIONS = ["plain", "residual", "dense", "highway"]
SWEEP = [
    pytest.param(*options, id="-".join(str(option) for option in options))
    for options in itertools.product(KINDS, CONNECTIONS, [False, True])
]  # cell, connection, layer norm
B, T, D, H, L = 3, 4, 4, 6, 2


def stack_of(cell, connection="plain", layer_norm=False, layers=L, **options) -> RecurrentStack:
    """Returns a stack in float64 in evaluation mode, no bias at 0."""
    torch.manual_seed(0)
    stack = RecurrentStack(cell, D, H, layers, connection=connection, layer_norm=layer_norm, **options)
    with torch.no_grad():
        for parameter in stack.double().parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return stack.eval()


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def random_state(stack: RecurrentStack, rows: int = B) -> State:
    return tuple(torch.randn_like(tensor) for tensor in stack.init_state(rows))


def assert_same(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("kind", "connection", "layer_norm"), SWEEP)
def test_step_by_step_equals_the_whole_sequence(kind, connection, layer_norm):
    stack, x = stack_of(kind, connection, layer_norm), inputs(B, T, D)
    state = random_state(stack)
    outputs, last = stack(x, state)
    assert outputs.shape == (B, T, stack.output_size)
    assert stack.output_size == (L * H if connection == "dense" else H)
    for t in range(T):
        output, state = stack.step(stack.cells[0].project_input(x[:, t]), state)
        assert_same(output, outputs[:, t])
        assert_same(stack.output(state), output)
    assert_same(state, last)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_connections_are_their_equations(connection, bidirectional):
    stack = stack_of("lstm", connection, layers=3, bidirectional=bidirectional)
    x, width = inputs(B, T, D), H * (1 + bidirectional)
    y = None
    for layer, cell in enumerate(stack.cells):
        below = x if y is None else y
        h = run_alone(cell, below)
        if bidirectional:
            h = torch.cat([h, run_alone(stack.reverse_cells[layer], below.flip(1)).flip(1)], -1)
        if y is None or connection == "plain":
            y = h
        elif connection == "residual":
            y = y + h
        elif connection == "dense":
            y = torch.cat([y, h], -1)
        else:
            gate = stack.transform_gates[layer - 1]
            g = 1 / (1 + torch.exp(-(y @ gate.weight.T + gate.bias)))
            y = g * h + (1 - g) * y
    assert stack.output_size == (3 * width if connection == "dense" else width)
    assert_same(stack(x)[0], y)


def run_alone(cell: RecurrentCell, x: Tensor) -> Tensor:
    """Returns one cell's hidden states over a sequence."""
    state, hs = cell.init_state(len(x)), []
    for xt in x.unbind(1):
        state = cell(xt, state)
        hs.append(state[0])
    return torch.stack(hs, 1)


def test_a_highway_starts_by_mostly_carrying():
    stack = RecurrentStack("gru", D, H, 3, connection="highway")
    assert [gate.bias.unique().item() for gate in stack.transform_gates] == [-1.0, -1.0]


@pytest.mark.parametrize(("kind", "connection", "layer_norm"), SWEEP)
def test_gradients_reach_every_parameter_and_the_first_input(kind, connection, layer_norm):
    for both, p, activation in [(False, 0.0, "identity"), (True, 0.3, "tanh")]:
        stack = stack_of(
            kind,
            connection,
            layer_norm,
            bidirectional=both,
            recurrent_dropout=p,
            dropout=p,
            activation=activation,
        ).train()
        x = inputs(B, T, D).requires_grad_()
        outputs, _ = stack(x)
        ends = outputs[:, :: T - 1] if both else outputs[:, -1:]
        (ends * inputs(stack.output_size)).sum().backward()
        for name, parameter in [*stack.named_parameters(), ("x", x)]:
            assert parameter.grad is not None, f"{name}: none"
            assert parameter.grad.isfinite().all() and parameter.grad.any(), name
        assert x.grad[:, 0].any()


@pytest.mark.parametrize(
    ("kind", "connection", "layer_norm", "bidirectional"),
    [*((*param.values, True) for param in SWEEP), *((kind, "plain", False, False) for kind in KINDS)],
)
def test_a_result_does_not_depend_on_padding(kind, connection, layer_norm, bidirectional):
    stack = stack_of(kind, connection, layer_norm, bidirectional=bidirectional)
    x, lengths, state = inputs(B, T, D), torch.tensor([2, T, 1]), random_state(stack)
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan if row else 1e30
    x.requires_grad_()
    weight = inputs(B, T, stack.output_size)

    outputs, last = stack(x, state, lengths)
    summary = stack.output(last)
    ((outputs * weight).sum() + summary.sum()).backward()
    grads = {name: parameter.grad.clone() for name, parameter in stack.named_parameters()}
    stack.zero_grad()
    for row, length in enumerate(lengths.tolist()):
        alone, end = stack(x.detach()[row : row + 1, :length], tuple(s[row : row + 1] for s in state))
        assert_same(outputs[row : row + 1, :length], alone)
        assert not outputs[row, length:].any() and not x.grad[row, length:].any()
        assert_same(tuple(tensor[row : row + 1] for tensor in last), end)
        ((alone * weight[row : row + 1, :length]).sum() + stack.output(end).sum()).backward()
        if not bidirectional:
            assert_same(summary[row], alone[0, -1])
    for name, parameter in stack.named_parameters():
        assert_same(grads[name], parameter.grad)
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_the_loop_treats_padding_as_the_kernel_does(kind, bidirectional, monkeypatch):
    stack, lengths = stack_of(kind, bidirectional=bidirectional), torch.tensor([2, T, 1])
    x, state = inputs(B, T, D), random_state(stack)
    by_kernel = stack(x, state, lengths)
    monkeypatch.setattr(recurrent, "KERNELS", {})
    assert_same(stack(x, state, lengths), by_kernel)


@pytest.mark.parametrize(
    ("options", "fuses"),
    [
        ({"cell": "rnn"}, True),
        ({"cell": "rnn", "activation": "relu"}, True),
        ({"cell": "lstm", "bidirectional": True}, True),
        ({"cell": "gru", "connection": "highway"}, True),
        ({"cell": "gru", "connection": "dense", "dropout": 0.5}, True),
        ({"cell": "lstm", "recurrent_dropout": 0.5}, False),
        ({"cell": "lstm", "layer_norm": True}, False),
        ({"cell": "lstm", "activation": "relu"}, False),
        ({"cell": "rnn", "activation": "identity"}, False),
        ({"cell": "gru_reset_before"}, False),
        ({"cell": "jordan"}, False),
    ],
)
def test_a_fused_kernel_runs_wherever_one_computes_the_same(options, fuses, monkeypatch):
    stack, steps = stack_of(**options).train(), []
    kind, step = CELLS[options["cell"]], CELLS[options["cell"]].step
    monkeypatch.setattr(kind, "step", lambda *args: steps.append(1) or step(*args))
    stack(inputs(B, T, D))
    stack(inputs(B, T, D), None, torch.tensor([T, 1, 2]))
    assert bool(steps) != fuses
    steps.clear()
    stack.eval()(inputs(B, T, D))  # recurrent dropout rests: a kernel will do
    assert bool(steps) != (fuses or "recurrent_dropout" in options)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_a_single_step_of_a_stream_is_computed_by_its_equations(kind, monkeypatch):
    stack, x = stack_of(kind).eval(), inputs(B, 1, D)
    state = random_state(stack)
    kernels = []
    fused, written_out = stack._fused, stack._written_out
    monkeypatch.setattr(stack, "_fused", lambda *args: kernels.append(1) or fused(*args))
    monkeypatch.setattr(stack, "_written_out", lambda *args: kernels.append(1) or written_out(*args))
    outputs, last = stack(x, state)
    assert kernels
    kernels.clear()
    with torch.no_grad():
        found, after = stack(x, state)
    assert not kernels
    assert_same((found, *after), (outputs, *last))


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_dropout_keeps_one_mask_for_all_time_steps(kind):
    stack, x = stack_of(kind, layers=1, recurrent_dropout=0.5).train(), inputs(B, T, D)
    state, cell = random_state(stack), stack.cells[0]
    torch.manual_seed(1)
    outputs, last = stack(x, state)
    torch.manual_seed(1)
    mask = nn.functional.dropout(torch.ones_like(state[0]), 0.5)
    assert mask.unique().tolist() == [0, 2] and not torch.equal(mask[0], mask[1])  # each sequence its own
    for t in range(T):
        from_hidden = cell.project_hidden(state[0] * mask)
        state = cell.step(cell.project_input(x[:, t]), from_hidden, state, mask)
        assert_same(outputs[:, t], state[0])
    assert_same(last, state)


def test_recurrent_dropout_draws_a_new_mask_for_each_call_layer_and_direction():
    stack = RecurrentStack("rnn", H, H, 2, bidirectional=True, recurrent_dropout=0.5, activation="identity")
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.zero_()
        for cell in (*stack.cells, *stack.reverse_cells):
            cell.weight_hh.copy_(torch.eye(H))
    x, ones = torch.zeros(50, 2, H), tuple(torch.ones(50, H) for _ in stack.init_state(50))
    masks = [*stack(x, ones)[1], *stack(x, ones)[1]]  # without input, h_2 = m * m * h_0
    for mask, other in itertools.combinations(masks, 2):
        assert set(mask.unique().tolist()) == {0, 4} and not torch.equal(mask, other)


def test_recurrent_dropout_keeps_the_expected_value_and_rests_in_evaluation():
    torch.manual_seed(0)
    stack = RecurrentStack("rnn", 1, 10, recurrent_dropout=0.25, activation="identity")
    x, state = torch.zeros(4000, 1, 1), (torch.randn(10).expand(4000, 10),)
    kept = stack.eval()(x, state)[0]
    dropped = stack.train()(x, state)[0]
    assert dropped.std(0).min() > 0.1
    torch.testing.assert_close(dropped.mean(0), kept.mean(0), rtol=0, atol=0.05)
    assert_same(kept, RecurrentStack.forward(stack.eval(), x, state)[0])


@pytest.mark.parametrize(("kind", "connection", "layer_norm"), SWEEP)
def test_state_carried_over_two_halves_equals_one_pass(kind, connection, layer_norm):
    stack, x = stack_of(kind, connection, layer_norm), inputs(B, T, D).requires_grad_()
    whole, last = stack(x)
    first, state = stack(x[:, :2])
    for detach in (False, True):
        second, end = stack(x[:, 2:], detach_state(state) if detach else state)
        assert_same(torch.cat([first, second], 1), whole)
        assert_same(end, last)
        (grad,) = torch.autograd.grad(second.sum(), x, retain_graph=True)
        assert grad[:, 2:].any() and grad[:, :2].any() != detach  # the gradient ends where it was cut


@pytest.mark.parametrize("kind", KINDS)
def test_all_sequence_shapes_of_the_lecture(kind):
    stack = stack_of(kind)
    x = inputs(B, T, D)
    project = stack.cells[0].project_input
    # one to one
    one, state = stack(x[:, :1])
    assert one.shape == (B, 1, H)
    # one to many: one input, then the output's own first D numbers
    written, output = [one[:, 0]], one[:, 0]
    for _ in range(3):
        output, state = stack.step(project(output[:, :D]), state)
        written.append(output)
    fed = torch.stack([x[:, 0], *(y[:, :D] for y in written[:-1])], 1)
    assert_same(torch.stack(written, 1), stack(fed)[0])
    # many to one, of sequences of different lengths, and many to many, of any length
    lengths = torch.tensor([3, 1, 4])
    outputs, last = stack(x, lengths=lengths)
    assert_same(stack.output(last), outputs[torch.arange(B), lengths - 1])
    for steps in (1, 2, 40):
        assert stack(inputs(2, steps, D))[0].shape == (2, steps, H)


def test_a_bidirectional_summary_has_read_everything():
    stack, x = stack_of("lstm", layers=1, bidirectional=True), inputs(B, T, D)
    outputs, last = stack(x)
    assert_same(stack.output(last), torch.cat([outputs[:, -1, :H], outputs[:, 0, H:]], -1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("connection", "layer_norm"), [("plain", False), ("highway", True), ("dense", False)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_autocast_computes_in_bfloat16(kind, connection, layer_norm, dtype):
    torch.manual_seed(0)
    for both, lengths in [(False, None), (True, torch.tensor([2, T, 1]))]:
        stack = RecurrentStack(
            kind, D, H, 2, connection=connection, layer_norm=layer_norm, bidirectional=both
        )
        x = torch.randn(B, T, D)
        expected, _ = stack(x, None, lengths)
        with torch.autocast("cpu", torch.bfloat16):
            outputs, state = stack(x.to(dtype), None, lengths)
            again, _ = stack(x, state, lengths)
            if not both:
                stack.step(stack.cells[0].project_input(x[:, 0]), state)
        full, _ = stack(x, state, lengths)  # a carried state fits, whatever its precision
        torch.testing.assert_close(again.float(), full, rtol=0, atol=0.1)
        torch.testing.assert_close(outputs.float(), expected, rtol=0, atol=0.1)
        again.float().sum().backward()
        for name, parameter in stack.named_parameters():
            assert parameter.grad is not None and parameter.grad.any(), name
            assert parameter.grad.dtype == torch.float32


def test_a_state_of_another_number_of_sequences_is_refused():
    stack = RecurrentStack("lstm", D, H)
    with pytest.raises(ValueError, match="2 rows and x has 3"):  # or the fused kernel crashes
        stack(torch.randn(3, 4, D), stack.init_state(2))


def test_steps_are_refused_where_one_step_does_not_tell_enough():
    for options, said in (
        ({"bidirectional": True}, "reads a sequence from its end too"),
        ({"recurrent_dropout": 0.5}, "one mask a sequence"),
    ):
        stack = RecurrentStack("lstm", D, H, **options)
        with pytest.raises(ValueError, match=said):
            stack.step(stack.cells[0].project_input(torch.randn(B, D)), stack.init_state(B))
    stack.eval()
    stack.step(stack.cells[0].project_input(torch.randn(B, D)), stack.init_state(B))
