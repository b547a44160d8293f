"""A recurrent network of one unit: its loss is a surface over two weights, and has a cliff.

    x_t = w sigmoid(x_{t-1}) + b;   J = (sigmoid(x_T) - target)^2

(Pascanu et al. 2013, figure 6; redrawn as figure 10.17 in Goodfellow et al. 2016.) For `w` above 4 the unit
remembers one of two values. A small change of `w` or `b` decides which, and fifty steps make a cliff of that.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

TIME_STEPS, FIRST, TARGET = 50, 0.5, 0.7  # T, x_0 and the target, as in the paper


class Descent(NamedTuple):
    """Gradient descent on the loss, before each of S updates and after the last.

    Attributes:
        weights: w and b (S + 1, 2).
        losses: J there (S + 1,).
        gradient_norms: Of (dJ/dw, dJ/db) there (S + 1,), before clipping.
    """

    weights: Float[Tensor, "S 2"]
    losses: Float[Tensor, " S"]
    gradient_norms: Float[Tensor, " S"]


def scalar_loss(w: Float[Tensor, "*N"], b: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """Returns J of networks with these weights."""
    x = torch.full_like(w, FIRST)
    for _ in range(TIME_STEPS):
        x = w * torch.sigmoid(x) + b
    return (torch.sigmoid(x) - TARGET) ** 2


def descend(
    start: tuple[float, float], updates: int, learning_rate: float, clip_norm: float | None
) -> Descent:
    """Returns the path of plain gradient descent, in float64.

    Args:
        start: w and b before the first update.
        updates: Number S of updates.
        learning_rate: Of every update.
        clip_norm: Longer gradients are scaled to this norm (Pascanu et al. 2013, algorithm 1); None for none.
    """
    weights = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    places, losses, norms = [], [], []
    for _ in range(updates + 1):
        loss = scalar_loss(weights[0], weights[1])
        (gradient,) = torch.autograd.grad(loss, weights)
        weights.grad = gradient
        places.append(weights.detach().clone())
        losses.append(loss.detach())
        norms.append(nn.utils.clip_grad_norm_(weights, torch.inf if clip_norm is None else clip_norm))
        with torch.no_grad():
            weights.sub_(learning_rate * gradient)
    return Descent(torch.stack(places), torch.stack(losses), torch.stack(norms))
