"""Soft attention: which of the L annotation vectors a decoder reads at this word.

Shapes: annotations a (B, L, D); a query from the hidden state (B, K, A) for each of an image's K hypotheses;
they share the image's annotations and their projection p (B, L, A); weights alpha (B, K, L), non-negative
with sum 1 over L. Teacher forcing has K = 1.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

AttentionName = Literal["additive", "multiplicative"]

_AT_ONCE = 32  # hypotheses of an image whose energies a CPU computes together


class SharedGradient:
    """Where the T words of one teacher-forced pass add up their gradients of p.

    Autograd alone would write T tensors of the size of p, `(B, L, A)`, and add them. A decoder's steps form a
    chain, so their backward passes run in order, last word first; the first word's hands the total on.
    """

    def __init__(self) -> None:
        self.total: Tensor | None = None

    def add(self, share: Tensor) -> None:
        self.total = share if self.total is None else self.total.add_(share)

    def take(self) -> Tensor | None:
        total, self.total = self.total, None
        return total


class AdditiveScore(torch.autograd.Function):
    """`e = v . sigmoid(p + q)` with three passes over `(B, L, A)` forward and five backward, in place."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, q: Tensor, v: Tensor, shared: SharedGradient, first: bool) -> Tensor:
        u = (p + q.unsqueeze(1)).sigmoid_()  # (B, L, A)
        ctx.save_for_backward(u, v)
        ctx.shared, ctx.first = shared, first
        return u @ v  # (B, L)

    @staticmethod
    def backward(ctx: Any, grad_e: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        u, v = ctx.saved_tensors
        grad_v = grad_e.flatten() @ u.flatten(0, 1)  # (A,)
        # u (1 - u) v grad_e
        grad_u = u.square().neg_().add_(u).mul_(v).mul_(grad_e.unsqueeze(2))  # (B, L, A)
        grad_q = grad_u.sum(1)  # (B, A)
        ctx.shared.add(grad_u)
        return (ctx.shared.take() if ctx.first else None), grad_q, grad_v, None, None


class AdditiveAttention(nn.Module):
    """`e_i = v . tanh(W a_i + U h)`, `alpha = softmax(e)` (Bahdanau et al. 2015; Xu et al. 2015, eq. 4-5).

    tanh(x) = 2 sigmoid(2 x) - 1, and softmax does not see the constant: computed is `2 v . sigmoid(2 W a_i +
    2 U h)`, because on a CPU a sigmoid takes less than half the time of a tanh.

    Args:
        annotation_size: Width D of an annotation vector.
        hidden_size: Width H of the decoder's hidden state.
        attention_size: Width A of the space in which the two are compared.
    """

    def __init__(self, annotation_size: int, hidden_size: int, attention_size: int) -> None:
        super().__init__()
        self.query_size = attention_size
        self.annotation = nn.Linear(annotation_size, attention_size)
        self.hidden = nn.Linear(hidden_size, attention_size)
        bound = 1 / math.sqrt(attention_size)
        self.score = nn.Parameter(torch.empty(attention_size).uniform_(-bound, bound))

    def project(self, annotations: Float[Tensor, "B L D"]) -> Float[Tensor, "B L A"]:
        """Returns `2 W a`, which is the same at every word: computed once an image."""
        return F.linear(annotations, 2 * self.annotation.weight, 2 * self.annotation.bias)

    def teacher_forced(
        self, p: Float[Tensor, "B L A"], q: Float[Tensor, "B A"], shared: SharedGradient, first: bool
    ) -> Float[Tensor, "B L"]:
        """Returns alpha of one word, with gradients; all words of a pass share `shared`."""
        v = (2 * self.score).to(p.dtype)
        return AdditiveScore.apply(p, 2 * q, v, shared, first).float().softmax(-1)

    def energies(self, p: Float[Tensor, "B L A"], q: Float[Tensor, "B K A"]) -> Float[Tensor, "B K L"]:
        """Returns what softmax makes alpha of, up to a constant, of K hypotheses of each image."""
        v, q = (2 * self.score).to(p.dtype), 2 * q
        if p.device.type == "cpu":
            # what stays in the processor's cache, (K, L, A) of one image and few hypotheses, is faster
            pairs = ((pi, part) for pi, qi in zip(p, q, strict=True) for part in qi.split(_AT_ONCE))
            energies = [(pi + part.unsqueeze(1)).sigmoid_() @ v for pi, part in pairs]
            return torch.cat(energies).unflatten(0, q.shape[:2])
        return (p.unsqueeze(1) + q.unsqueeze(2)).sigmoid_() @ v  # a GPU wants few large steps

    def energy(self, key: Float[Tensor, "*N A"], q: Float[Tensor, "*N A"]) -> Float[Tensor, "*N"]:
        """Returns the energy of one further vector a query, `key = W' a'`, on the scale of `energies`."""
        return (2 * (key + q)).sigmoid() @ (2 * self.score).to(key.dtype)

    def forward(self, p: Float[Tensor, "B L A"], q: Float[Tensor, "B K A"]) -> Float[Tensor, "B K L"]:
        """Returns alpha of K hypotheses of each image."""
        return self.energies(p, q).float().softmax(-1)


class MultiplicativeAttention(nn.Module):
    """`e_i = (W a_i) . (U h) / sqrt(A)`, `alpha = softmax(e)` (Luong et al. 2015, eq. 8 "general", scaled).

    Args: as AdditiveAttention.
    """

    def __init__(self, annotation_size: int, hidden_size: int, attention_size: int) -> None:
        super().__init__()
        self.query_size = attention_size
        # a bias here would add the same to every e_i, which softmax does not see
        self.annotation = nn.Linear(annotation_size, attention_size, bias=False)
        self.hidden = nn.Linear(hidden_size, attention_size)

    def project(self, annotations: Float[Tensor, "B L D"]) -> Float[Tensor, "B L A"]:
        """Returns `W a`, which is the same at every word: computed once an image."""
        return self.annotation(annotations)

    def teacher_forced(
        self, p: Float[Tensor, "B L A"], q: Float[Tensor, "B A"], shared: SharedGradient, first: bool
    ) -> Float[Tensor, "B L"]:
        """Returns alpha of one word, with gradients."""
        return self(p, q.unsqueeze(1)).squeeze(1)

    def energies(self, p: Float[Tensor, "B L A"], q: Float[Tensor, "B K A"]) -> Float[Tensor, "B K L"]:
        """Returns what softmax makes alpha of, of K hypotheses of each image."""
        return q @ p.mT * self.query_size**-0.5

    def energy(self, key: Float[Tensor, "*N A"], q: Float[Tensor, "*N A"]) -> Float[Tensor, "*N"]:
        """Returns the energy of one further vector a query, `key = W' a'`, on the scale of `energies`."""
        return (key * q).sum(-1) * self.query_size**-0.5

    def forward(self, p: Float[Tensor, "B L A"], q: Float[Tensor, "B K A"]) -> Float[Tensor, "B K L"]:
        """Returns alpha of K hypotheses of each image."""
        return self.energies(p, q).float().softmax(-1)


ATTENTIONS: dict[str, type[AdditiveAttention] | type[MultiplicativeAttention]] = {
    "additive": AdditiveAttention,
    "multiplicative": MultiplicativeAttention,
}
