"""The glimpse sensor: several resolutions about a place, differentiable in it (Mnih et al. 2014).

A picture is shrunk once to a pyramid, whose levels have one size whatever the picture's. A glimpse takes a
window of G x G points from each level. So its cost does not depend on the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from modules.house_numbers.filterbank import Window, read_window

Reading = Literal["bilinear", "filterbank"]
VARIANCE = 0.5  # of the Gaussian filters, in square pixels of their level


def shrunk(pictures: Float[Tensor, "B 1 S S"], side: int) -> Float[Tensor, "B 1 N N"]:
    """Returns pictures of so many pixels along a side, areas averaged."""
    if pictures.shape[2] == side:
        return pictures
    return F.interpolate(pictures, size=(side, side), mode="area")


class GlimpseSensor(nn.Module):
    """Windows of several sizes about one place, all of G x G points.

    Args:
        points: G along each side of a window.
        sides: Of the K windows, as shares of the picture's.
        reading: bilinear samples between pixels, filterbank weighs them by Gaussians (Gregor et al. 2015).
    """

    def __init__(self, points: int, sides: Sequence[float], reading: Reading) -> None:
        super().__init__()
        self.points, self.sides, self.reading = points, sides, reading
        # pixels along a side of each level: a window of a level has as many points as pixels
        self.levels = [round(points / side) for side in self.sides]

    def pyramid(self, pictures: Float[Tensor, "B 1 S S"]) -> list[Tensor]:
        """Returns a picture at each level's size, areas averaged; filters need a rim of G zeros about it."""
        rim = 0 if self.reading == "bilinear" else self.points
        return [F.pad(shrunk(pictures, n), (rim,) * 4) for n in self.levels]

    def forward(self, pyramid: list[Tensor], places: Float[Tensor, "B 2"]) -> Float[Tensor, "B K G G"]:
        """Returns what is seen about places, 0 outside of the picture.

        Args:
            pyramid: As `pyramid` returns it.
            places: x and y of the windows' centre, from -1 (left, top) to 1 (right, bottom).
        """
        read = self._sampled if self.reading == "bilinear" else self._filtered
        return torch.cat([read(level, places) for level in pyramid], dim=1)

    def _sampled(self, level: Float[Tensor, "B 1 N N"], places: Tensor) -> Tensor:
        """Returns points one pixel apart, each between the four pixels about it."""
        steps = torch.arange(self.points, device=level.device, dtype=level.dtype)
        offsets = (2 * steps + 1 - self.points) / level.shape[-1]  # (G,), in halves of the picture
        x = (places[:, :1] + offsets).unsqueeze(1).expand(-1, self.points, -1)  # (B, G, G)
        y = (places[:, 1:] + offsets).unsqueeze(2).expand(-1, -1, self.points)
        grid = torch.stack([x, y], dim=3)
        return F.grid_sample(level, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def _filtered(self, level: Float[Tensor, "B 1 R R"], places: Tensor) -> Tensor:
        """Returns Gaussian filters one pixel apart on the picture and its rim."""
        size = level.shape[-1] - 2 * self.points
        centres = (places + 1) * size / 2 + self.points + 0.5  # of the first pixel it is 1
        one = centres.new_ones(len(centres))
        return read_window(level, Window(centres[:, 0], centres[:, 1], one, VARIANCE * one, one), self.points)

    def multiply_adds(self) -> int:
        """Returns the multiplications of one glimpse: four a point, or the filters' two products."""
        if self.reading == "bilinear":
            return 4 * len(self.levels) * self.points**2
        padded = [n + 2 * self.points for n in self.levels]
        return sum(self.points * n * n + self.points**2 * n for n in padded)
