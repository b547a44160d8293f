"""Attention weights, their gradients through chained steps, and hypotheses that share an image."""

import math

import pytest
import torch
from torch import Tensor

from modules.attention import ATTENTIONS, AdditiveAttention, AdditiveScore, SharedGradient

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = sorted(ATTENTIONS)
B, K, L, D, H, A, T = 3, 4, 7, 5, 6, 8, 4


def attention_of(kind: str):
    torch.manual_seed(0)
    return ATTENTIONS[kind](D, H, A)


def chain(p: Tensor, q: Tensor, v: Tensor, mix: Tensor, custom: bool) -> list[Tensor]:
    """Returns the T scores (B, L) of a chain in which each query depends on the attention before it."""
    shared, scores = SharedGradient(), []
    for t in range(T):
        if custom:
            e = AdditiveScore.apply(p, q, v, shared, t == 0)
        else:
            e = torch.sigmoid(p + q.unsqueeze(1)) @ v
        scores.append(e)
        context = (e.softmax(-1).unsqueeze(1) @ p).squeeze(1)  # (B, A)
        q = torch.tanh(q + context @ mix)
    return scores


def chain_inputs(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(B, L, A), (B, A), (A,), (A, A)]
    return [torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_a_distribution_over_locations(kind):
    attention = attention_of(kind)
    p, q = attention.project(torch.randn(B, L, D)), torch.randn(B, K, A)
    alpha = attention(p, 5 * q)
    assert alpha.shape == (B, K, L)
    assert (alpha >= 0).all()
    torch.testing.assert_close(alpha.sum(-1), torch.ones(B, K))
    assert alpha.std() > 0.01  # and not the same everywhere


def test_additive_is_the_papers_equation():
    attention = attention_of("additive")
    annotations, h = torch.randn(B, L, D), torch.randn(B, H)
    W, U = attention.annotation, attention.hidden
    alpha = attention(attention.project(annotations), U(h).unsqueeze(1))
    for b in range(B):
        e = [
            attention.score @ torch.tanh(W.weight @ annotations[b, i] + W.bias + U.weight @ h[b] + U.bias)
            for i in range(L)
        ]
        torch.testing.assert_close(alpha[b, 0], torch.stack(e).softmax(0))


@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0, 1000.0])
def test_additive_scores_are_right_where_tanh_saturates(scale):
    attention = attention_of("additive")
    p, q = scale * torch.randn(B, L, A), scale * torch.randn(B, K, A)
    wanted = (torch.tanh(p.unsqueeze(1) + q.unsqueeze(2)) @ attention.score).softmax(-1)
    torch.testing.assert_close(attention(2 * p, q), wanted, rtol=0, atol=1e-6)


def test_multiplicative_is_the_papers_equation():
    attention = attention_of("multiplicative")
    annotations, h = torch.randn(B, L, D), torch.randn(B, H)
    q = attention.hidden(h)
    alpha = attention(attention.project(annotations), q.unsqueeze(1))
    for b in range(B):
        e = [(attention.annotation.weight @ annotations[b, i]) @ q[b] / math.sqrt(A) for i in range(L)]
        torch.testing.assert_close(alpha[b, 0], torch.stack(e).softmax(0))


@pytest.mark.parametrize("hypotheses", [K, 70])
@pytest.mark.parametrize("kind", KINDS)
def test_hypotheses_of_an_image_are_scored_as_if_alone(kind, hypotheses):
    attention = attention_of(kind)
    p, q = attention.project(torch.randn(B, L, D)), torch.randn(B, hypotheses, A)
    together = attention(p, q)
    for k in range(hypotheses):
        torch.testing.assert_close(attention(p, q[:, k : k + 1])[:, 0], together[:, k], rtol=0, atol=1e-6)
    for b in range(B):
        torch.testing.assert_close(attention(p[b : b + 1], q[b : b + 1])[0], together[b], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_teacher_forcing_scores_as_decoding_does(kind):
    attention = attention_of(kind)
    p, q = attention.project(torch.randn(B, L, D)), torch.randn(B, A)
    taught = attention.teacher_forced(p, q, SharedGradient(), True)
    torch.testing.assert_close(taught, attention(p, q.unsqueeze(1)).squeeze(1), rtol=0, atol=1e-6)


def test_gradients_through_chained_steps_are_numerically_right():
    def last_score(*inputs: Tensor) -> Tensor:
        return chain(*inputs, custom=True)[-1]

    def all_scores(*inputs: Tensor) -> Tensor:
        return torch.stack(chain(*inputs, custom=True)).sum(0)

    assert torch.autograd.gradcheck(last_score, chain_inputs())
    assert torch.autograd.gradcheck(all_scores, chain_inputs())


@pytest.mark.parametrize("used", [range(T), [0], [T - 1], [1, 2]])
def test_gradients_equal_autograds_whichever_words_have_a_loss(used):
    inputs = chain_inputs()
    weights = torch.randn(T, B, L, dtype=torch.float64)

    def gradients(custom: bool) -> tuple[Tensor, ...]:
        scores = chain(*inputs, custom=custom)
        loss = sum((weights[t] * scores[t]).sum() for t in used)
        return torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)

    for _ in range(2):  # a second pass starts from nothing
        torch.testing.assert_close(gradients(True), gradients(False), rtol=1e-12, atol=1e-12)


def test_gradients_of_passes_add_up_as_ever():
    inputs = chain_inputs()
    torch.stack(chain(*inputs, custom=False)).square().sum().backward()
    wanted = [tensor.grad for tensor in inputs]
    for tensor in inputs:
        tensor.grad = None

    for _ in range(2):
        torch.stack(chain(*inputs, custom=True)).square().sum().backward()
    for tensor, want in zip(inputs, wanted, strict=True):
        torch.testing.assert_close(tensor.grad, 2 * want, rtol=1e-12, atol=1e-12)


def test_one_graph_can_be_walked_twice():
    inputs = chain_inputs()
    loss = torch.stack(chain(*inputs, custom=True)).square().sum()
    once = torch.autograd.grad(loss, inputs, retain_graph=True)
    first = [grad.clone() for grad in once]
    twice = torch.autograd.grad(loss, inputs)
    torch.testing.assert_close(twice, tuple(first), rtol=0, atol=0)
    torch.testing.assert_close(once, tuple(first), rtol=0, atol=0)  # not written to by the second walk


def test_passes_side_by_side_do_not_mix():
    inputs, others = chain_inputs(), [2 * tensor.detach() for tensor in chain_inputs()]
    for tensor in others:
        tensor.requires_grad_()
    alone = torch.autograd.grad(torch.stack(chain(*inputs, custom=True)).sum(), inputs)
    both = torch.stack(chain(*inputs, custom=True)).sum() + torch.stack(chain(*others, custom=True)).sum()
    torch.testing.assert_close(torch.autograd.grad(both, inputs), alone, rtol=1e-12, atol=1e-12)


def test_half_precision_gradients_are_near():
    attention = attention_of("additive")
    annotations, h = torch.randn(B, L, D), torch.randn(B, H)
    weights = torch.randn(T, B, L)

    def gradients(dtype: torch.dtype) -> list[Tensor]:
        attention.zero_grad()
        p, q, shared = (
            attention.project(annotations).to(dtype),
            attention.hidden(h).to(dtype),
            SharedGradient(),
        )
        alphas = []
        for t in range(T):
            alphas.append(attention.teacher_forced(p, q, shared, t == 0))
            q = q + (alphas[-1].to(dtype).unsqueeze(1) @ p).squeeze(1)
        (torch.stack(alphas) * weights).sum().backward()
        return [parameter.grad.clone() for parameter in attention.parameters()]

    for half, full in zip(gradients(torch.bfloat16), gradients(torch.float32), strict=True):
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, full, rtol=0, atol=0.05 * full.abs().max().item())


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_of_attention_learns(kind):
    attention = attention_of(kind)
    p, q = attention.project(torch.randn(B, L, D)), attention.hidden(torch.randn(B, H))
    alpha = attention.teacher_forced(p, q, SharedGradient(), True)
    (alpha * torch.randn(B, L)).sum().backward()
    for name, parameter in attention.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-5, name


def test_the_score_vector_starts_small_and_on_both_sides_of_zero():
    torch.manual_seed(0)
    score = AdditiveAttention(D, H, 400).score
    assert score.abs().max() <= 1 / math.sqrt(400)
    assert abs(score.mean().item()) < 0.01 < score.std().item()
