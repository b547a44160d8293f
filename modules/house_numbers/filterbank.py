"""Windows on a picture by grids of Gaussian filters (Gregor et al. 2015, eq. 19-29), differentiable in place.

Axis letters beyond the legend: N filters along each side of the window, A either width or height in pixels.
Coordinates are the paper's: the centre of the first pixel is 1, that of the last is A.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


def filterbank(
    centre: Float[Tensor, " B"], stride: Float[Tensor, " B"], variance: Float[Tensor, " B"], n: int, size: int
) -> Float[Tensor, "B N A"]:
    """Returns the N filters along one axis, each a row of weights with sum 1 (eq. 19-20 and 25-26).

        mu_i = g + (i - N/2 - 0.5) delta;   F[i, a] = exp(-(a - mu_i)^2 / (2 sigma^2)) / Z

    A filter far outside of the picture weighs the nearest pixels, as the equation does in exact numbers.

    Args:
        centre: g, of the whole grid, in pixels from 1 to A.
        stride: delta, pixels from one filter to the next.
        variance: sigma^2 in square pixels, above 0.
        n: Number of filters N.
        size: Pixels A along the axis.
    """
    i = torch.arange(1, n + 1, device=centre.device, dtype=centre.dtype)
    mu = centre.unsqueeze(1) + (i - n / 2 - 0.5) * stride.unsqueeze(1)  # (B, N)
    a = torch.arange(1, size + 1, device=centre.device, dtype=centre.dtype)
    exponent = -(a - mu.unsqueeze(2)).square() / (2 * variance[:, None, None])  # (B, N, A)
    return exponent.softmax(2)  # where a sum of exponentials would underflow, Z is not 0


class Window(NamedTuple):
    """Where N x N filters lie on each picture of a batch, one value a picture.

    Attributes:
        centre_x: g_X in pixels from 1 to Ww.
        centre_y: g_Y in pixels from 1 to Hh.
        stride: delta, pixels from one filter to the next.
        variance: sigma^2 of every filter, in square pixels.
        intensity: gamma, which what is read is multiplied by and what is written divided by.
    """

    centre_x: Float[Tensor, " B"]
    centre_y: Float[Tensor, " B"]
    stride: Float[Tensor, " B"]
    variance: Float[Tensor, " B"]
    intensity: Float[Tensor, " B"]

    def filters(self, n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Returns `F_Y (B, N, Hh)` and `F_X (B, N, Ww)`."""
        return (
            filterbank(self.centre_y, self.stride, self.variance, n, height),
            filterbank(self.centre_x, self.stride, self.variance, n, width),
        )

    def box(self, n: int) -> Float[Tensor, "B 4"]:
        """Returns left, top, right and bottom of the outermost filters' centres, in pixels from 1."""
        half = (n - 1) / 2 * self.stride
        x, y = self.centre_x, self.centre_y
        return torch.stack([x - half, y - half, x + half, y + half], dim=1)


def window_of(raw: Float[Tensor, "B 5"], n: int, height: int, width: int) -> Window:
    """Returns the window that five free numbers stand for (eq. 21-24).

        (g~_X, g~_Y, log sigma^2, log delta~, log gamma) = raw
        g_X = (Ww + 1) / 2 (g~_X + 1);   g_Y = (Hh + 1) / 2 (g~_Y + 1)
        delta = (max(Ww, Hh) - 1) / (N - 1) delta~

    Five zeros are a window on the middle of the picture that reaches over all of its longer side.

    Args:
        raw: What a linear layer says.
        n: Filters N along each side, at least 2.
        height: Pixels Hh.
        width: Pixels Ww.
    """
    x, y, log_variance, log_stride, log_intensity = raw.unbind(1)
    return Window(
        centre_x=(width + 1) / 2 * (x + 1),
        centre_y=(height + 1) / 2 * (y + 1),
        stride=(max(height, width) - 1) / (n - 1) * log_stride.exp(),
        variance=log_variance.exp(),
        intensity=log_intensity.exp(),
    )


def read_window(images: Float[Tensor, "B C Hh Ww"], window: Window, n: int) -> Float[Tensor, "B C N N"]:
    """Returns `gamma F_Y x F_X^T`, what the window shows of each picture (eq. 27)."""
    f_y, f_x = window.filters(n, images.shape[2], images.shape[3])
    seen = f_y.unsqueeze(1) @ images @ f_x.unsqueeze(1).transpose(2, 3)
    return window.intensity[:, None, None, None] * seen


def write_window(
    patch: Float[Tensor, "B C N N"], window: Window, height: int, width: int
) -> Float[Tensor, "B C Hh Ww"]:
    """Returns `1 / gamma F_Y^T w F_X`, each patch laid on an empty canvas where its window is (eq. 29)."""
    f_y, f_x = window.filters(patch.shape[2], height, width)
    faint = patch / window.intensity[:, None, None, None]
    return f_y.unsqueeze(1).transpose(2, 3) @ faint @ f_x.unsqueeze(1)
