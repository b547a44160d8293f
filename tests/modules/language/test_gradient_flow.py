"""The measured gradients against closed forms and finite differences, on every kind of stack."""

import pytest
import torch

from modules.language.gradient_flow import gradient_flow, state_gradients
from modules.recurrent import RecurrentStack

pytestmark = pytest.mark.usefixtures("one_thread")

B, T, D, H = 3, 7, 4, 5
STACKS = {
    "vanilla RNN": ("rnn", 1, "plain"),
    "Jordan": ("jordan", 1, "plain"),
    "LSTM": ("lstm", 1, "plain"),
    "GRU": ("gru", 1, "plain"),
    "the lecture's GRU": ("gru_reset_before", 1, "plain"),
    "deep LSTM": ("lstm", 2, "plain"),
    "highway stack": ("rnn", 3, "highway"),
    "residual stack": ("gru", 2, "residual"),
    "dense stack": ("lstm", 2, "dense"),
}


def stack_of(name):
    cell, layers, connection = STACKS[name]
    torch.manual_seed(0)
    return RecurrentStack(cell, D, H, layers, connection=connection).double().eval()


def squared(output):
    return output.square().sum(dim=-1)


def test_a_linear_network_has_the_powers_of_its_recurrent_matrix():
    """dJ/dh_j = dJ/dh_i U^(i-j) (the lecture's proof sketch): J = v h_i gives v U^k at distance k."""
    torch.manual_seed(0)
    stack = RecurrentStack("rnn", D, H, activation="identity").double()
    with torch.no_grad():
        stack.cells[0].weight_hh.copy_(torch.randn(H, H))
    u, v = stack.cells[0].weight_hh.detach(), torch.randn(H, dtype=torch.float64)
    (measured,) = state_gradients(stack, torch.randn(B, T, D).double(), lambda output: output @ v)
    expected = torch.stack([v @ torch.linalg.matrix_power(u, k) for k in range(T)])  # (T, H)
    torch.testing.assert_close(measured, expected[:, None].expand(T, B, H))
    flow = gradient_flow(stack, torch.randn(B, T, D).double(), lambda output: output @ v)
    torch.testing.assert_close(flow, expected.norm(dim=-1))


@pytest.mark.parametrize("weight", [0.5, 1.0, 1.5])
def test_a_chain_of_single_units_vanishes_or_explodes_by_its_weight(weight):
    stack = RecurrentStack("rnn", 1, 1, activation="identity").double()
    with torch.no_grad():
        stack.cells[0].weight_hh.fill_(weight)
    flow = gradient_flow(stack, torch.randn(2, 40, 1).double(), lambda output: output[:, 0])
    torch.testing.assert_close(flow, weight ** torch.arange(40, dtype=torch.float64))


def test_an_lstm_that_only_remembers_hands_its_cell_gradient_on_undiminished():
    """With the forget gate open and the others deaf, dc_t/dc_{t-1} = 1: uninterrupted gradient flow."""
    stack = RecurrentStack("lstm", D, H).double()
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.zero_()
        stack.cells[0].bias_ih[H : 2 * H] = 1e3
    hidden, memory = state_gradients(stack, torch.randn(B, T, D).double(), lambda output: output.sum(-1))
    assert not hidden[1:].any()
    assert not memory[0].any()  # at the last step the loss sees h, and c only through it
    expected = torch.full((T - 1, B, H), 0.5).double()  # the output gate is half open
    torch.testing.assert_close(memory[1:], expected)


def nudged(stack, x, loss, j, tensor, row, unit, by):
    """J of one sequence when one unit of one tensor of the state is moved after time step j."""
    state = stack.init_state(len(x))
    for t, from_input in enumerate(stack.cells[0].project_input(x).unbind(1)):
        output, state = stack.step(from_input, state)
        if t == j:
            moved = state[tensor].clone()
            moved[row, unit] += by
            state = (*state[:tensor], moved, *state[tensor + 1 :])
            output = stack.output(state)
    return loss(output)[row].item()


@pytest.mark.parametrize("name", STACKS)
def test_equals_a_finite_difference_through_every_tensor_of_the_state(name):
    stack = stack_of(name)
    x = torch.randn(B, T, D, dtype=torch.float64)
    measured = state_gradients(stack, x, squared)
    assert len(measured) == len(stack.init_state(B))
    step = 1e-6
    with torch.no_grad():
        for distance in (0, 1, T - 1):
            for tensor in range(len(measured)):
                up, down = (
                    nudged(stack, x, squared, T - 1 - distance, tensor, 1, 2, by) for by in (step, -step)
                )
                expected = (up - down) / (2 * step)
                assert measured[tensor][distance, 1, 2].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", STACKS)
def test_the_flow_is_the_mean_norm_over_the_batch_and_all_layers(name):
    stack = stack_of(name)
    x = torch.randn(B, T, D, dtype=torch.float64)
    flow = gradient_flow(stack, x, squared)
    assert flow.shape == (T,) and (flow > 0).all()
    alone = [gradient_flow(stack, x[row : row + 1], squared) for row in range(B)]
    torch.testing.assert_close(flow, torch.stack(alone).mean(0))
    layers = state_gradients(stack, x[:1], squared)[:: stack.state_size]
    assert len(layers) == len(stack.cells)
    torch.testing.assert_close(alone[0], sum(layer.square().sum((1, 2)) for layer in layers).sqrt())


@pytest.mark.parametrize("name", ["vanilla RNN", "LSTM", "highway stack"])
def test_weights_are_left_as_they_are_and_may_be_frozen(name):
    stack = stack_of(name)
    x = torch.randn(B, T, D, dtype=torch.float64)
    flow = gradient_flow(stack, x, squared)
    assert all(parameter.grad is None for parameter in stack.parameters())
    stack.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(gradient_flow(stack, x, squared), flow)


def test_a_sequence_of_one_step_has_the_gradient_of_the_loss_alone():
    stack = stack_of("vanilla RNN")
    flow = gradient_flow(stack, torch.randn(B, 1, D).double(), lambda output: 3 * output[:, 0])
    torch.testing.assert_close(flow, torch.tensor([3.0]).double())


def test_a_bidirectional_stack_is_refused():
    stack = RecurrentStack("rnn", D, H, bidirectional=True)
    with pytest.raises(ValueError, match="bidirectional"):
        gradient_flow(stack, torch.randn(B, T, D), squared)
