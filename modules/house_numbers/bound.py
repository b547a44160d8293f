"""The variational bound on how many bits a picture costs: Gaussian latents, logistic pixels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

LEVELS = 256  # grey values of a pixel
SUREST = -9.0  # least log s, at which one level has all the probability


class Gaussian(NamedTuple):
    """Independent normal distributions.

    Attributes:
        mean: mu (B, D).
        log_deviation: log sigma (B, D).
    """

    mean: Tensor
    log_deviation: Tensor

    def sample(self, noise: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Returns `mu + sigma * noise`, so that gradients reach mu and sigma (Kingma and Welling 2014)."""
        return self.mean + self.log_deviation.exp() * noise

    def divergence_from(self, prior: Gaussian) -> Float[Tensor, " B"]:
        """Returns KL(self || prior) in nats, summed over D.

        From a standard normal it is `1/2 sum(mu^2 + sigma^2 - log sigma^2 - 1)` (Gregor et al. 2015, eq. 11).
        """
        ratio = 2 * (self.log_deviation - prior.log_deviation)  # log of the ratio of variances
        distance = (self.mean - prior.mean) * (-prior.log_deviation).exp()
        return 0.5 * (distance.square() + ratio.exp() - ratio - 1).sum(1)


def gaussian(outputs: Float[Tensor, "B TwoD"]) -> Gaussian:
    """Returns the distributions whose mu and log sigma a layer says side by side (eq. 1-2)."""
    return Gaussian(*outputs.chunk(2, dim=1))


class Bound(NamedTuple):
    """What a picture costs in nats, in two parts whose sum bounds -log p(x) from above (eq. 9-12).

    Attributes:
        pixels: -log D(x | c_T) of every picture (B,).
        kl: Of the latents of every step (B, T).
    """

    pixels: Tensor
    kl: Tensor

    def total(self) -> Float[Tensor, " B"]:
        """Returns the bound of every picture."""
        return self.pixels + self.kl.sum(1)


def means(canvas: Float[Tensor, "B L Hh Ww"]) -> Float[Tensor, "B C Hh Ww"]:
    """Returns the picture that a canvas shows, each pixel between 0 and 1: the sigmoid of its first half."""
    return torch.sigmoid(canvas[:, : canvas.shape[1] // 2])


def pixel_nats(canvas: Float[Tensor, "B L Hh Ww"], images: Float[Tensor, "B C Hh Ww"]) -> Float[Tensor, " B"]:
    """Returns -log of the probability that a canvas gives to grey values, summed over each picture.

    A value is what a logistic distribution comes to when it is rounded to one of 256 levels; those at both
    ends take all beyond (Salimans et al. 2017, eq. 2, of one component). So bits count true pictures: the
    probabilities of all levels add up to 1. The second half of the canvas is log s.

        P(x) = sigmoid((x + 1/2 - m) / s) - sigmoid((x - 1/2 - m) / s)

    Args:
        canvas: Means before the sigmoid, and log s; a level is 1 / 255.
        images: Levels divided by 255.
    """
    half = 0.5 / (LEVELS - 1)
    inverse = torch.exp(-canvas[:, canvas.shape[1] // 2 :].clamp(SUREST, -SUREST))
    distance = images - means(canvas)
    above, below = (distance + half) * inverse, (distance - half) * inverse
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which loses no digits
    log_left, log_right = F.logsigmoid(above), F.logsigmoid(-below)
    log_inside = log_left + log_right + torch.log(-torch.expm1(-2 * half * inverse))
    log_p = torch.where(images < half, log_left, torch.where(images > 1 - half, log_right, log_inside))
    return -log_p.sum((1, 2, 3))
