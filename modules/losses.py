"""Training losses, as sums: the caller divides by the terms of the whole batch, on all processes."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
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
    if logits.transpose(0, 1).is_contiguous():  # recurrent layers leave time first: no copy is needed then
        logits, targets = logits.transpose(0, 1), targets.t()
        weight = None if weight is None else weight.t()
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
