"""PilotNet (Bojarski et al. 2016, arXiv 1604.07316, figure 4): one frame in, ten numbers out."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float, Real
from torch import Tensor, nn

from modules.encoders.single_frame import SingleFrameEncoder, output_size

# channels, kernel, stride of the five unpadded convolutions
CONVOLUTIONS = ((24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1))
DENSE = (100, 50, 10)


class PilotNetEncoder(SingleFrameEncoder):
    """Five convolutions and three dense layers; a linear output of them makes the paper's network.

    At 66x200 YUV, with one output, it has 252,219 parameters and 26,876,342 multiply-accumulates. The fixed
    normalisation is inside. The paper names no activation; it is ReLU here.

    Args:
        height: Pixel rows of a frame.
        width: Pixel columns of a frame.
        dropout: Probability of dropping a feature before each dense layer.
    """

    def __init__(self, height: int = 66, width: int = 200, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for number, (filters, kernel, stride) in enumerate(CONVOLUTIONS, 1):
            layers += [nn.Conv2d(channels, filters, kernel, stride), nn.ReLU()]
            height = output_size(height, kernel, stride, f"convolution {number} of PilotNet")
            width = output_size(width, kernel, stride, f"convolution {number} of PilotNet")
            channels = filters
        layers.append(nn.Flatten())
        for before, after in pairwise((channels * height * width, *DENSE)):
            layers += [nn.Dropout(dropout), nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.feature_size = DENSE[-1]

    def encode(self, frames: Real[Tensor, "N 3 H W"]) -> Float[Tensor, "N D"]:
        return self.layers(frames / 127.5 - 1)
