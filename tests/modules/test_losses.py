"""Losses against loops over words, and padding that counts nothing."""

import math

import pytest
import torch
from torch.nn import functional as F

from modules.losses import LinearCrossEntropy, cross_entropy_sum, doubly_stochastic_sum
from modules.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

B, T, V, L = 3, 4, 7, 5
PAD = Vocabulary.PAD


def example():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(B, T, V, generator=generator)
    targets = torch.tensor([[4, 5, 6, 2], [5, 2, PAD, PAD], [6, 4, 2, PAD]])
    alpha = torch.rand(B, T, L, generator=generator).softmax(-1)
    return logits, targets, alpha


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_sums_over_words(smoothing):
    logits, targets, _ = example()
    total = 0.0
    for b in range(B):
        for t in range(T):
            if targets[b, t] == PAD:
                continue
            normaliser = math.log(sum(math.exp(z) for z in logits[b, t].tolist()))
            log_probs = [z - normaliser for z in logits[b, t].tolist()]
            for word in range(V):
                # (1 - epsilon) on the target and epsilon / V on every word
                probability = smoothing / V + (1 - smoothing) * (word == targets[b, t].item())
                total -= probability * log_probs[word]
    assert cross_entropy_sum(logits, targets, smoothing).item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_no_gradient_comes_from_padding(smoothing):
    logits, targets, _ = example()
    logits.requires_grad_()
    cross_entropy_sum(logits, targets, smoothing).backward()
    padded = targets == PAD
    assert not logits.grad[padded].any()
    assert logits.grad[~padded].abs().amin(dim=-1).min() > 0


def test_uniform_logits_cost_log_v_a_word():
    _, targets, _ = example()
    words = (targets != PAD).sum().item()
    loss = cross_entropy_sum(torch.zeros(B, T, V), targets)
    assert loss.item() == pytest.approx(words * math.log(V), rel=1e-6)


def test_half_precision_logits_are_summed_in_full():
    logits, targets, _ = example()
    rounded = logits.bfloat16()
    loss = cross_entropy_sum(rounded, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(cross_entropy_sum(rounded.float(), targets).item(), rel=1e-6)


def test_doubly_stochastic_by_hand():
    alpha = torch.tensor([[[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], [[0.2, 0.2, 0.6], [0.9, 0.1, 0.0]]])
    targets = torch.tensor([[4, 2], [2, PAD]])
    # caption 1: (1 - 1.5)^2 + (1 - 0.5)^2 + (1 - 0)^2; caption 2, first word only: 0.8^2 + 0.8^2 + 0.4^2
    assert doubly_stochastic_sum(alpha, targets).item() == pytest.approx(1.5 + 1.44, rel=1e-6)


def test_doubly_stochastic_sums_over_locations_and_captions():
    _, targets, alpha = example()
    total = 0.0
    for b in range(B):
        for i in range(L):
            attended = sum(alpha[b, t, i].item() for t in range(T) if targets[b, t] != PAD)
            total += (1 - attended) ** 2
    assert doubly_stochastic_sum(alpha, targets).item() == pytest.approx(total, rel=1e-5)


def test_attention_at_padding_counts_nothing():
    _, targets, alpha = example()
    alpha.requires_grad_()
    loss = doubly_stochastic_sum(alpha, targets)
    loss.backward()
    padded = targets == PAD
    assert not alpha.grad[padded].any()
    assert alpha.grad[~padded].any(dim=-1).all()
    other = torch.where(padded.unsqueeze(2), torch.rand(B, T, L), alpha.detach())
    assert doubly_stochastic_sum(other, targets).item() == pytest.approx(loss.item(), rel=1e-6)


def test_logits_that_lie_time_first_in_memory_have_the_same_loss_and_gradients():
    logits, targets, _ = example()
    batch_first = logits.clone().requires_grad_()
    time_first = logits.transpose(0, 1).contiguous().requires_grad_()
    losses = [cross_entropy_sum(view, targets) for view in (batch_first, time_first.transpose(0, 1))]
    torch.testing.assert_close(losses[1], losses[0])
    sum(losses).backward()
    torch.testing.assert_close(time_first.grad.transpose(0, 1), batch_first.grad)


def linear_example(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    h, weight, bias = (
        torch.randn(*size, generator=generator, dtype=dtype, requires_grad=True)
        for size in ((12, 6), (V, 6), (V,))
    )
    never = torch.arange(V) < 4  # the markers: the second target is one, and so is padding
    targets = torch.tensor([4, Vocabulary.UNK, 5, 6, PAD, 4, 4, 6, 5, 5, PAD, 6])
    return h, weight, bias, never, targets


def by_pytorch(h, weight, bias, never, targets):
    logits = F.linear(h, weight, bias.masked_fill(never, -torch.inf))
    return F.cross_entropy(
        logits.double(), targets.masked_fill(never[targets], PAD), ignore_index=PAD, reduction="sum"
    )


def test_linear_cross_entropy_is_that_of_pytorch_over_the_targets_that_can_occur():
    arguments = linear_example()
    leaves = arguments[:3]
    nats, units = LinearCrossEntropy.apply(*arguments)
    expected = by_pytorch(*arguments)
    assert units.item() == 9
    torch.testing.assert_close(nats, expected)
    # times 3: what comes from behind is multiplied in
    for found, wanted in zip(
        torch.autograd.grad(3 * nats, leaves), torch.autograd.grad(3 * expected, leaves), strict=True
    ):
        torch.testing.assert_close(found, wanted)
        assert wanted.any()


def test_linear_cross_entropy_of_a_hopeless_target_is_large_and_finite():
    h, weight, bias, never, targets = linear_example(torch.float32)
    nats, _ = LinearCrossEntropy.apply(1e4 * h, weight, bias, never, targets)
    assert 1e4 < nats.item() < math.inf


def test_linear_cross_entropy_under_autocast_is_near_that_in_full():
    h, weight, bias, never, targets = linear_example(torch.float32)
    expected = by_pytorch(h, weight, bias, never, targets)
    with torch.autocast("cpu", torch.bfloat16):
        nats, _ = LinearCrossEntropy.apply(h, weight, bias, never, targets)
    assert nats.dtype == torch.float32
    torch.testing.assert_close(nats.double(), expected, rtol=0.02, atol=0)
    grads = torch.autograd.grad(nats, (h, weight, bias)), torch.autograd.grad(expected, (h, weight, bias))
    for found, wanted in zip(*grads, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)


def test_linear_cross_entropy_is_not_differentiated_twice_by_mistake():
    h, weight, bias, never, targets = linear_example()
    nats, _ = LinearCrossEntropy.apply(h, weight, bias, never, targets)
    nats.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        nats.backward()
