"""Training losses, as sums: the caller divides by the terms of the whole batch, on all processes."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from modules.vocabulary import Vocabulary


def cross_entropy_sum(
    logits: Float[Tensor, "B T V"],
    targets: Int[Tensor, "B T"],
    label_smoothing: float = 0.0,
    weights: Float[Tensor, " B"] | None = None,
) -> Float[Tensor, ""]:
    """Returns -log p of every target word, summed; padding counts nothing.

    Label smoothing takes that share of each target to the uniform distribution (Szegedy et al. 2016, sec. 7).
    With weights each row's sum is multiplied by its own.
    """
    weight = None if weights is None else weights.unsqueeze(1).expand(targets.shape)  # (B, T)
    losses = F.cross_entropy(
        # in float32 at least
        logits.flatten(0, 1).to(torch.promote_types(logits.dtype, torch.float32)),
        targets.flatten(),
        ignore_index=Vocabulary.PAD,
        reduction="sum" if weight is None else "none",
        label_smoothing=label_smoothing,
    )
    return losses if weight is None else (losses * weight.flatten()).sum()


def doubly_stochastic_sum(alpha: Float[Tensor, "B T L"], targets: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Returns `sum_i (1 - sum_t alpha_ti)^2` of every caption, summed (Xu et al. 2015, eq. 14).

    Attention at padding is left out. It is the paper's sum over locations, not their mean.
    """
    attended = (alpha * (targets != Vocabulary.PAD).unsqueeze(2)).sum(1)  # (B, L)
    return (1 - attended).square().sum()


class LinearCrossEntropy(torch.autograd.Function):
    """-log p of N targets, `p = softmax(W h + b)`, summed, and how many of them can occur at all.

    A target whose logit is minus infinity (`never`) has no probability, and counts nothing. The gradient on
    the logits, `p - onehot(target)`, takes the place of the log-probabilities: of all arrays of (N, V), which
    with a large vocabulary are most of a step's memory, two are ever there at once. It has a first derivative
    only, and one backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any,
        h: Float[Tensor, "N H"],
        weight: Float[Tensor, "V H"],
        bias: Float[Tensor, " V"],
        never: Bool[Tensor, " V"],
        targets: Int[Tensor, " N"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        logits = F.linear(h, weight, bias.masked_fill(never, -torch.inf))  # (N, V)
        # in float32 at least
        log_p = logits.log_softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32))
        targets = targets.unsqueeze(1)
        of_targets = log_p.gather(1, targets)  # (N, 1)
        occurs = of_targets != -torch.inf
        ctx.save_for_backward(h, weight, log_p, targets, occurs)
        ctx.product_dtype = logits.dtype  # in autocast half of it
        units = occurs.sum(dtype=log_p.dtype)
        ctx.mark_non_differentiable(units)
        return -torch.where(occurs, of_targets, 0).sum(), units

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        h, weight, log_p, targets, occurs = ctx.saved_tensors
        d = log_p.exp_()
        d.scatter_add_(1, targets, d.new_full((1, 1), -1.0).expand(targets.shape))
        d_bias = d.mul_(gradients[0] * occurs).sum(0)
        d = d.to(ctx.product_dtype)
        d_h, d_weight = d @ weight.to(d.dtype), d.t() @ h.to(d.dtype)
        return d_h.to(h.dtype), d_weight.to(weight.dtype), d_bias.to(weight.dtype), None, None
