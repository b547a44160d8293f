"""The vanilla RNN's written-out recurrence: PyTorch's values and gradients, and finite differences."""

import pytest
import torch
from torch import nn

from modules.elman_recurrence import ElmanOfTokens, ElmanRecurrence
from modules.recurrent import RecurrentStack

pytestmark = pytest.mark.usefixtures("one_thread")
T, B, H = 25, 4, 20


def example(T=T, B=B, H=H, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = (T, B, H), (H, H), (B, H)
    tensors = [torch.randn(shape, dtype=dtype, generator=generator) for shape in shapes]
    tensors[1] /= H**0.5
    return [tensor.requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_gradients_are_those_of_finite_differences(steps):
    assert torch.autograd.gradcheck(ElmanRecurrence.apply, example(steps, 2, 3))


@pytest.mark.parametrize("wanted", [True, False], ids=["state wanted", "state not wanted"])
def test_of_tokens_it_equals_that_of_one_hot_vectors(wanted):
    V, generator = 7, torch.Generator().manual_seed(1)
    tokens = torch.randint(0, V, (T, B), generator=generator)
    weight_ih = torch.randn(H, V, dtype=torch.float64, generator=generator).requires_grad_()
    biases = [torch.randn(H, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2)]
    _, weight_hh, before = example()
    before.requires_grad_(wanted)
    one_hot = torch.nn.functional.one_hot(tokens, V).double()
    expected = ElmanRecurrence.apply(one_hot @ weight_ih.t() + sum(biases), weight_hh, before)
    found = ElmanOfTokens.apply(tokens, before, weight_ih, weight_hh, *biases)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    learned = [weight_ih, *biases, weight_hh] + [before] * wanted
    for one, other in zip(
        torch.autograd.grad(found.sin().sum(), learned),
        torch.autograd.grad(expected.sin().sum(), learned),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_large_arguments_end_at_one_and_small_ones_keep_their_digits():
    none = torch.zeros(1, 1)
    arguments = torch.tensor([1e4, -1e4, 1e-3, -1e-3]).view(1, 4, 1)
    hs = ElmanRecurrence.apply(arguments, none, torch.zeros(4, 1))
    torch.testing.assert_close(hs, arguments.tanh(), rtol=0, atol=2e-7)


def test_it_equals_pytorchs_rnn_in_float32():
    given = example(dtype=torch.float32)
    from_input, weight_hh, before = given
    rnn = nn.RNN(H, H)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(torch.eye(H))
        rnn.weight_hh_l0.copy_(weight_hh)
        rnn.bias_ih_l0.zero_()
        rnn.bias_hh_l0.zero_()
    expected, last = rnn(from_input, before.unsqueeze(0))
    hs = ElmanRecurrence.apply(*given)
    torch.testing.assert_close(hs, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(hs[-1], last[0], rtol=0, atol=1e-6)

    wanted = torch.autograd.grad(expected.sin().mean(), [from_input, rnn.weight_hh_l0, before])
    found = torch.autograd.grad(hs.sin().mean(), given)
    for gradient, want in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, want, rtol=0, atol=1e-6)


def test_gradients_that_nobody_wants_and_memory_of_any_layout_are_dealt_with():
    from_input, weight_hh, before = example()
    wanted = torch.autograd.grad(ElmanRecurrence.apply(from_input, weight_hh, before).sum(), weight_hh)
    batch_first = from_input.detach().transpose(0, 1).contiguous().transpose(0, 1)
    hs = ElmanRecurrence.apply(batch_first, weight_hh, before.detach())
    (found,) = torch.autograd.grad(hs.transpose(0, 1).contiguous().sum(), weight_hh)
    torch.testing.assert_close(found, wanted[0], rtol=0, atol=1e-12)


def test_a_second_derivative_is_refused():
    from_input, weight_hh, before = example()
    (first,) = torch.autograd.grad(
        ElmanRecurrence.apply(from_input, weight_hh, before).sin().sum(), weight_hh, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("connection", ["plain", "highway"])
def test_it_is_what_a_stack_of_vanilla_cells_runs_on(connection, monkeypatch):
    calls = []
    apply = ElmanRecurrence.apply
    monkeypatch.setattr(ElmanRecurrence, "apply", lambda *given: calls.append(len(given)) or apply(*given))
    stack = RecurrentStack("rnn", 3, H, layers=2, connection=connection)
    outputs, _ = stack(torch.randn(B, T, 3))
    assert len(calls) == 2 and outputs.shape == (B, T, H)
    RecurrentStack("rnn", 3, H, activation="relu")(torch.randn(B, T, 3))
    RecurrentStack("rnn", 3, H)(torch.randn(B, T, 3), None, torch.full((B,), T))
    assert len(calls) == 2
