"""A vanilla RNN of one-hot vectors over a whole sequence: min-char-rnn's forward and backward pass on a CPU.

PyTorch's own kernel for it is, on a CPU, a loop whose every step is recorded and differentiated by itself.
Written out as in the lecture's listing, the backward pass is one small product a time step, the gradient of
the recurrent weights one product over all of them, and the product with one-hot vectors a look-up.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


class OneHotRNN(torch.autograd.Function):
    """`h_t = tanh(W[:, x_t] + b + U h_{t-1})` of all time steps, time first: (T, B, H).

    Backward (Werbos 1990), with `a_t` the argument of tanh:
        dJ/da_t = (1 - h_t^2) * (dJ/dh_t + U^T dJ/da_{t+1});  dJ/dU = sum_t dJ/da_t h_{t-1}^T
    """

    @staticmethod
    def forward(
        ctx: Any,
        tokens: Int[Tensor, "T B"],
        weight_ih: Float[Tensor, "H V"],
        bias: Float[Tensor, " H"],
        weight_hh: Float[Tensor, "H H"],
        before: Float[Tensor, "B H"],
    ) -> Float[Tensor, "T B H"]:
        T, B = tokens.shape
        hs = before.new_empty(T + 1, B, before.shape[1])
        hs[0] = before
        torch.index_select(weight_ih.t() + bias, 0, tokens.flatten(), out=hs[1:].flatten(0, 1))
        h, *steps = hs.unbind(0)
        for step in steps:
            h = step.addmm_(h, weight_hh.t()).tanh_()
        ctx.save_for_backward(tokens, hs, weight_hh)
        ctx.vocabulary_size = weight_ih.shape[1]
        return hs[1:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tokens, hs, weight_hh = ctx.saved_tensors
        d_a = gradients[0].clone()  # (T, B, H): dJ/dh_t until its step comes
        slopes = (1 - hs[1:].square()).unbind(0)
        *steps, after = d_a.unbind(0)
        after.mul_(slopes[-1])
        for step, slope in zip(reversed(steps), reversed(slopes[:-1]), strict=True):
            after = step.addmm_(after, weight_hh).mul_(slope)
        flat = d_a.flatten(0, 1)  # (T B, H)
        d_columns = flat.new_zeros(ctx.vocabulary_size, flat.shape[1]).index_add_(0, tokens.flatten(), flat)
        d_weight_hh = flat.t() @ hs[:-1].flatten(0, 1)
        return None, d_columns.t(), d_columns.sum(0), d_weight_hh, after @ weight_hh
