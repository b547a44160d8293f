"""A linear map at every time step of a loop, whose weights get their gradient in one product at its end."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


class LinearOverTime:
    """`y_t = W x_t + b` for the steps of one loop, each of which waits for the one before.

    Autograd alone would compute a gradient of W at every step, `g_t^T x_t`, and add them: T small products
    and T sums of the size of W. Here inputs and gradients are kept, and `sum_t g_t^T x_t` is one product. It
    is handed on at the first step. Its backward pass comes last, because every other step depends on it.

    >>> weight = torch.ones(2, 3, requires_grad=True)
    >>> over_time = LinearOverTime(weight)
    >>> h = torch.ones(4, 3)
    >>> for _ in range(2):
    ...     h = F.pad(over_time(h), (0, 1))
    >>> h.sum().backward()
    >>> weight.grad.shape
    torch.Size([2, 3])

    Args:
        weight: W (K, D), in the number type that is multiplied.
        bias: b (K,), or None.
    """

    def __init__(self, weight: Float[Tensor, "K D"], bias: Float[Tensor, " K"] | None = None) -> None:
        self.weight, self.bias = weight, bias
        self.is_first = True
        self.inputs: list[Tensor] = []
        self.gradients: list[Tensor] = []

    def __call__(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N K"]:
        is_first, self.is_first = self.is_first, False
        return _Step.apply(x, self.weight, self.bias, self, is_first)

    def take(self) -> tuple[Tensor, Tensor]:
        """Returns the inputs (T N, D) and the gradients (T N, K) of all steps, and forgets them."""
        inputs, gradients = torch.cat(self.inputs), torch.cat(self.gradients)
        self.inputs, self.gradients = [], []
        return inputs, gradients


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, over_time: LinearOverTime, is_first: bool
    ) -> Tensor:
        ctx.dtype = x.dtype
        x = x.to(weight.dtype)
        ctx.save_for_backward(x, weight)
        ctx.over_time, ctx.is_first, ctx.has_bias = over_time, is_first, bias is not None
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        ctx.over_time.inputs.append(x)
        ctx.over_time.gradients.append(gradient)
        of_x = (gradient @ weight).to(ctx.dtype) if ctx.needs_input_grad[0] else None
        if not ctx.is_first:
            return of_x, None, None, None, None
        inputs, gradients = ctx.over_time.take()
        return of_x, gradients.T @ inputs, gradients.sum(0) if ctx.has_bias else None, None, None
