"""Komanda's encoder: 3D convolutions over a clip, every step seeing itself and the five frames before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from modules.encoders.single_frame import output_size

# frames that each convolution looks at: 1 + (2 + 1 + 1 + 1) = 6 together
TIME_KERNELS = (3, 2, 2, 2)


class ClipEncoder(nn.Module):
    """Features `LayerNorm(ELU(fc + aux_1 + aux_2 + aux_3 + aux_4))` of every time step of a clip.

    Four convolutions over time and space, unpadded; the last T steps of each one's map reach the features by
    a linear layer of their own (aux). The last map reaches them by three dense layers and a linear one (fc).
    Nothing is padded in time and each step is normalised by itself, so no feature depends on a later frame.
    At 480x640, with the output network, 193,439,663 parameters; 99.6 % of them are in the dense layers, and
    fewer where the auxiliary maps are pooled.

    Args:
        height: Pixel rows of a frame.
        width: Pixel columns of a frame.
        channels: Channels of each convolution.
        kernels: Their height and width.
        strides: Their stride in height and width.
        pool: Rows and columns that auxiliary maps are averaged to; not given: they are taken whole.
        dense_sizes: Widths of the dense layers before the features.
        feature_size: Width D of the features.
        dropout: Probability of dropping a unit after each convolution, dense layer and of the features.
        time_kernels: Frames that each convolution looks at; all 1 makes it see single frames.
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: int = 64,
        kernels: Sequence[int] = (12, 5, 5, 5),
        strides: Sequence[int] = (6, 2, 1, 1),
        pool: Sequence[int] | None = None,
        dense_sizes: Sequence[int] = (1024, 512, 256),
        feature_size: int = 128,
        dropout: float = 0.25,
        time_kernels: Sequence[int] = TIME_KERNELS,
    ) -> None:
        super().__init__()
        # frames before the first one it gives features of
        self.left_context = sum(time_kernels) - len(time_kernels)
        self.feature_size = feature_size
        self.pool = tuple(pool) if pool is not None else None
        self.dropout = nn.Dropout(dropout)
        convolutions, auxiliary = [], []
        before = 3
        for number, (time, side, stride) in enumerate(zip(time_kernels, kernels, strides, strict=True), 1):
            convolutions.append(nn.Conv3d(before, channels, (time, side, side), (1, stride, stride)))
            height = output_size(height, side, stride, f"convolution {number} of the clip encoder")
            width = output_size(width, side, stride, f"convolution {number} of the clip encoder")
            rows, columns = self._pooled(height, width)
            auxiliary.append(nn.Linear(channels * rows * columns, feature_size))
            before = channels
        self.convolutions = nn.ModuleList(convolutions)
        self.auxiliary = nn.ModuleList(auxiliary)
        sizes = (channels * height * width, *dense_sizes)
        self.dense = nn.ModuleList(nn.Linear(narrow, wide) for narrow, wide in pairwise(sizes))
        self.linear = nn.Linear(sizes[-1], feature_size)
        self.norm = nn.LayerNorm(feature_size)

    def _pooled(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of an auxiliary map: pooling never makes one larger."""
        if self.pool is None:
            return height, width
        return min(self.pool[0], height), min(self.pool[1], width)

    def forward(self, frames: Real[Tensor, "B S 3 H W"]) -> Float[Tensor, "B T D"]:
        """Returns features of the last T = S - left_context frames.

        Args:
            frames: RGB bytes, or the same numbers as floats where gradients with respect to them are wanted.
        """
        steps = frames.shape[1] - self.left_context
        x = (frames / 127.5 - 1).transpose(1, 2)  # (B, 3, S, H, W)
        features: Tensor | None = None
        for convolution, auxiliary in zip(self.convolutions, self.auxiliary, strict=True):
            x = self.dropout(F.relu(convolution(x)))  # (B, C, S', H', W')
            skip = auxiliary(self._flatten(x[:, :, -steps:]))  # (B, T, D)
            features = skip if features is None else features + skip
        x = x.transpose(1, 2).flatten(2)  # (B, T, C H' W')
        for dense in self.dense:
            x = self.dropout(F.relu(dense(x)))
        assert features is not None
        return self.dropout(self.norm(F.elu(features + self.linear(x))))

    def _flatten(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B T N"]:
        """Returns each step's map as one vector, averaged to the grid of `pool` first."""
        B, _, T, H, W = x.shape
        maps = x.transpose(1, 2)  # (B, T, C, H, W)
        if self._pooled(H, W) != (H, W):
            maps = F.adaptive_avg_pool2d(maps.flatten(0, 1), self._pooled(H, W)).unflatten(0, (B, T))
        return maps.flatten(2)
