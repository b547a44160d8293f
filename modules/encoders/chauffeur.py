"""Chauffeur's CNN: trained to steer from one frame, then, its head removed, the eyes of an LSTM."""

from __future__ import annotations

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn

from modules.encoders.single_frame import SingleFrameEncoder, output_size

# channels and kernel of the convolutions that are pooled, and of the last one, which is not
CONVOLUTIONS = ((16, 5), (20, 5), (40, 3), (60, 3), (80, 2))
LAST = (128, 2)


def same_convolution(channels: int, filters: int, kernel: int) -> list[nn.Module]:
    """Returns layers whose output is as large as their input; an even kernel looks further right and down."""
    before, after = (kernel - 1) // 2, kernel // 2
    return [nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(channels, filters, kernel)]


class ChauffeurEncoder(SingleFrameEncoder):
    """Six convolutions; 3x10x128 = 3,840 features of a frame of 120x320 (YUV, luma equalised).

    With the linear output of its first stage it has 102,345 parameters. Whole channels are dropped (Tompson
    et al. 2015), because neighbouring pixels say the same. The fixed normalisation (x - 127.5) / 255 is
    inside.

    Args:
        height: Pixel rows of a frame.
        width: Pixel columns of a frame.
        dropout: Probability of dropping a channel after each convolution.
    """

    def __init__(self, height: int = 120, width: int = 320, dropout: float = 0.1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for number, (filters, kernel) in enumerate(CONVOLUTIONS, 1):
            layers += [*same_convolution(channels, filters, kernel), nn.ReLU()]
            layers += [nn.Dropout2d(dropout), nn.MaxPool2d(2)]
            height = output_size(height, 2, 2, f"pooling {number} of Chauffeur")
            width = output_size(width, 2, 2, f"pooling {number} of Chauffeur")
            channels = filters
        filters, kernel = LAST
        layers += [*same_convolution(channels, filters, kernel), nn.ReLU(), nn.Flatten()]
        # channels last: on one core of a CPU half the time, most of it saved in pooling
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.feature_size = filters * height * width

    def encode(self, frames: Real[Tensor, "N 3 H W"]) -> Float[Tensor, "N D"]:
        pixels = (frames - 127.5) / 255
        return self.layers(pixels.to(memory_format=torch.channels_last))
