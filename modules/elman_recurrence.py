"""The vanilla RNN's recurrence over a whole sequence, with its backward pass written out, for CPUs.

PyTorch has a fused kernel of the vanilla RNN for GPUs alone: on a CPU it is a loop whose every step is
recorded and differentiated by itself, and adds up the gradient of its weights. Written out as in
min-char-rnn, a step of the backward pass is one small product, and the gradient of the recurrent weights is
one product over all steps.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


class ElmanRecurrence(torch.autograd.Function):
    """`h_t = tanh(a_t + U h_{t-1})` of all time steps, time first, from `a_t = W x_t + b`.

    Backward (Werbos 1990), `d_t` being the gradient on the argument of tanh:
        d_t = (1 - h_t^2) * (dJ/dh_t + U^T d_{t+1});  dJ/dU = sum_t d_t h_{t-1}^T

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
        hs[0], hs[1:] = before, from_input
        transposed = weight_hh.t()
        h, *steps = hs.unbind(0)
        for step in steps:
            h = step.addmm_(h, transposed).tanh_()
        ctx.save_for_backward(hs, weight_hh)
        return hs[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        hs, weight_hh = ctx.saved_tensors
        d = gradients[0].clone(memory_format=torch.contiguous_format)  # dJ/dh_t until its step comes
        slopes = torch.addcmul(hs.new_ones(()), hs[1:], hs[1:], value=-1).unbind(0)  # 1 - h_t^2
        *steps, after = d.unbind(0)
        after.mul_(slopes[-1])
        for step, slope in zip(reversed(steps), reversed(slopes[:-1]), strict=True):
            after = step.addmm_(after, weight_hh).mul_(slope)
        d_weight_hh = d.flatten(0, 1).t() @ hs[:-1].flatten(0, 1)
        return d, d_weight_hh, after @ weight_hh if ctx.needs_input_grad[2] else None
