"""The vanilla RNN's recurrence over a whole sequence, with its backward pass written out, for CPUs.

PyTorch has a fused kernel of the vanilla RNN for GPUs alone: on a CPU it is a loop whose every step is
recorded and differentiated by itself, and adds up the gradient of its weights. Written out as in
min-char-rnn, a step of the backward pass is one small product. The gradient of the recurrent weights is one
product over all steps.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable


def recur(hs: Float[Tensor, "N B H"], weight_hh: Float[Tensor, "H H"]) -> None:
    """Replaces `h_0` and `2 a_1 - 2 U 1, ..., 2 a_T - 2 U 1` by h_0, ..., h_T; `h_t = tanh(a_t + U h_{t-1})`.

    A sigmoid takes a third of the time of a tanh on a CPU, and tanh(x) = 2 sigmoid(2 x) - 1: the loop runs on
    `s = (h + 1) / 2`, for which `s_t = sigmoid(2 a_t - 2 U 1 + 4 U s_{t-1})`.
    """
    s, *steps = hs.unbind(0)
    s.add_(1).div_(2)
    fourfold = 4 * weight_hh.t()
    for step in steps:
        s = step.addmm_(s, fourfold).sigmoid_()
    torch.add(hs.new_tensor(-1.0), hs, alpha=2, out=hs)


def recur_back(
    gradient: Float[Tensor, "T B H"], hs: Float[Tensor, "N B H"], weight_hh: Float[Tensor, "H H"]
) -> tuple[Float[Tensor, "T B H"], Float[Tensor, "H H"]]:
    """Returns d_1, ..., d_T, the gradients on the arguments of tanh, and dJ/dU (Werbos 1990).

    d_t = (1 - h_t^2) * (dJ/dh_t + U^T d_{t+1});  dJ/dU = sum_t d_t h_{t-1}^T
    """
    d = gradient.clone(memory_format=torch.contiguous_format)  # dJ/dh_t until its step comes
    slopes = torch.addcmul(hs.new_ones(()), hs[1:], hs[1:], value=-1).unbind(0)  # 1 - h_t^2
    *steps, after = d.unbind(0)
    after.mul_(slopes[-1])
    for step, slope in zip(reversed(steps), reversed(slopes[:-1]), strict=True):
        after = step.addmm_(after, weight_hh).mul_(slope)
    return d, d.flatten(0, 1).t() @ hs[:-1].flatten(0, 1)


class ElmanRecurrence(torch.autograd.Function):
    """`h_t = tanh(a_t + U h_{t-1})` of all time steps, time first, from `a_t = W x_t + b`.

    It has a first derivative only, and all its arguments are of one dtype.
    """

    @staticmethod
    def forward(
        ctx: Any,
        from_input: Float[Tensor, "T B H"],
        weight_hh: Float[Tensor, "H H"],
        before: Float[Tensor, "B H"],
    ) -> Float[Tensor, "T B H"]:
        T, B, H = from_input.shape
        hs = from_input.new_empty(T + 1, B, H)
        hs[0] = before
        torch.add(-2 * weight_hh.sum(1), from_input, alpha=2, out=hs[1:])
        recur(hs, weight_hh)
        ctx.save_for_backward(hs, weight_hh)
        return hs[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        hs, weight_hh = ctx.saved_tensors
        d, d_weight_hh = recur_back(gradients[0], hs, weight_hh)
        return d, d_weight_hh, d[0] @ weight_hh if ctx.needs_input_grad[2] else None


class ElmanOfTokens(torch.autograd.Function):
    """The same for one-hot inputs, whose product with W is a column of it: `a_t = W[:, token_t] + b + c`."""

    @staticmethod
    def forward(
        ctx: Any,
        tokens: Int[Tensor, "T B"],
        before: Float[Tensor, "B H"],
        weight_ih: Float[Tensor, "H V"],
        weight_hh: Float[Tensor, "H H"],
        bias_ih: Float[Tensor, " H"],
        bias_hh: Float[Tensor, " H"],
    ) -> Float[Tensor, "T B H"]:
        (T, B), (H, units) = tokens.shape, weight_ih.shape
        tokens = tokens.flatten()
        hs = weight_ih.new_empty(T + 1, B, H)
        hs[0] = before
        shift = 2 * (bias_ih + bias_hh - weight_hh.sum(1))
        columns = torch.add(shift, weight_ih.t(), alpha=2)  # (V, H)
        torch.index_select(columns, 0, tokens, out=hs[1:].view(T * B, H))
        recur(hs, weight_hh)
        ctx.save_for_backward(tokens, hs, weight_hh)
        ctx.units = units
        return hs[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tokens, hs, weight_hh = ctx.saved_tensors
        d, d_weight_hh = recur_back(gradients[0], hs, weight_hh)
        d_columns = d.new_zeros(ctx.units, d.shape[2]).index_add_(0, tokens, d.flatten(0, 1))
        d_before = d[0] @ weight_hh if ctx.needs_input_grad[1] else None
        d_bias = d_columns.sum(0)
        return None, d_before, d_columns.t(), d_weight_hh, d_bias, d_bias
