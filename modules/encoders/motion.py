"""How far the picture moved sideways since the frame before: a car that turns pans its camera."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from modules.errors import InputError


class ImageShifts(nn.Module):
    """The sideways shift of each of some horizontal strips, in shares of the width.

    The mean of each column of a strip, without what changes slowly along the row, is a one-dimensional
    picture. Its shift is where the mean squared difference to the one before is smallest. Between pixels the
    parabola through the smallest value and its neighbours decides. Positive: the picture moved to the left,
    the car turned right. Nothing is learned.

    Args:
        strips: First and last row of each strip, as shares of the frame's height.
        most_shift: Largest shift from one frame to the next, as a share of the frame's width.
    """

    def __init__(self, strips: Sequence[tuple[float, float]], most_shift: float = 0.1) -> None:
        super().__init__()
        for first, last in strips:
            if not 0 <= first < last <= 1:
                raise InputError(f"strip {[first, last]}: it takes two rising shares of the height, 0 to 1")
        self.strips, self.most_shift = [(first, last) for first, last in strips], most_shift

    def forward(self, frames: Real[Tensor, "B S 3 H W"]) -> Float[Tensor, "B T K"]:
        """Returns the shifts of K strips of the last T = S - 1 frames, each from the frame before it."""
        profiles = self._profiles(frames)  # (B, S, K, W)
        width = profiles.shape[-1]
        most = max(2, int(self.most_shift * width))
        before = profiles[:, :-1, :, most : width - most].unsqueeze(-2)
        tried = profiles[:, 1:].unfold(-1, width - 2 * most, 1)  # (B, T, K, 2 most + 1, W - 2 most)
        distance = (tried - before).square().mean(-1)  # the j-th: moved by most - j pixels to the left
        best = distance.argmin(-1, keepdim=True).clamp(1, 2 * most - 1)
        stands = distance[..., most : most + 1] <= distance.gather(-1, best)  # of equals, as on a blank strip
        best = torch.where(stands, most, best)
        left, at, right = (distance.gather(-1, best + step).squeeze(-1) for step in (-1, 0, 1))
        bend = left - 2 * at + right
        between = torch.where((bend > 0) & (at > 0), (left - right) / (2 * bend), 0.0).clamp(-1, 1)
        return (most - best.squeeze(-1) - between) / width

    def _profiles(self, frames: Tensor) -> Float[Tensor, "B S K W"]:
        """Returns the mean of each column of each strip, less its running mean along the row."""
        height, width = frames.shape[-2:]
        columns = []
        for first, last in self.strips:
            row = min(int(first * height), height - 1)
            strip = frames[..., row : max(row + 1, int(last * height)), :]
            columns.append(strip.float().mean((-3, -2)))  # (B, S, W)
        profiles = torch.stack(columns, dim=-2)
        span = max(3, width // 8 // 2 * 2 + 1)  # odd, to lie in the middle
        slow = F.avg_pool1d(profiles.flatten(0, 1), span, 1, span // 2, count_include_pad=False)
        return profiles - slow.view_as(profiles)
