"""A linear map over time against autograd's own sum of gradients."""

import pytest
import torch
from torch.nn import functional as F

from modules.decoders.linear_over_time import LinearOverTime


def loop(step, x, steps=5):
    """Every step depends on the one before, as in a recurrent network."""
    h, outputs = x, []
    for _ in range(steps):
        h = torch.tanh(step(h))
        outputs.append(h)
    return torch.stack(outputs)


def parameters(dtype=torch.float64):
    torch.manual_seed(0)
    made = torch.randn(3, 4, dtype=dtype), torch.randn(4, 4, dtype=dtype), torch.randn(4, dtype=dtype)
    return [tensor.requires_grad_() for tensor in made]


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("seen", [slice(None), slice(0, 2), slice(4, 5)], ids=["all", "first", "last"])
def test_gradients_are_those_of_autograd(has_bias, seen):
    x, weight, bias = parameters()
    bias = bias if has_bias else None
    wanted = [tensor for tensor in (x, weight, bias) if tensor is not None]
    expected = loop(lambda h: F.linear(h, weight, bias), x)
    found = loop(LinearOverTime(weight, bias), x)
    torch.testing.assert_close(found, expected)
    pairs = [
        torch.autograd.grad(outputs[seen].square().sum(), wanted, retain_graph=True)
        for outputs in (expected, found, found)  # the second time nothing is left over from the first
    ]
    for of_autograd, once, again in zip(*pairs, strict=True):
        torch.testing.assert_close(once, of_autograd)
        torch.testing.assert_close(again, of_autograd)


def test_weights_alone_and_inputs_alone_get_theirs():
    x, weight, _ = parameters()
    for tensor, other in ((x, weight), (weight, x)):
        other.requires_grad_(False)
        gradients = [
            torch.autograd.grad(loop(step, x).sum(), tensor)[0]
            for step in (LinearOverTime(weight), lambda h: F.linear(h, weight))
        ]
        torch.testing.assert_close(*gradients)
        other.requires_grad_()


def test_half_precision_is_that_of_the_weight_and_the_input_keeps_its_own():
    x, weight, bias = parameters(torch.float32)
    outputs = loop(LinearOverTime(weight.bfloat16(), bias.bfloat16()), x)
    assert outputs.dtype == torch.bfloat16
    of_x, of_weight = torch.autograd.grad(outputs.float().sum(), [x, weight])
    assert of_x.dtype == of_weight.dtype == torch.float32
    exact = torch.autograd.grad(loop(LinearOverTime(weight, bias), x).sum(), weight)[0]
    assert (of_weight - exact).norm() < 0.05 * exact.norm()


def test_without_gradients_nothing_is_kept():
    x, weight, bias = parameters()
    over_time = LinearOverTime(weight, bias)
    with torch.no_grad():
        loop(over_time, x)
    assert not over_time.inputs and not over_time.gradients
