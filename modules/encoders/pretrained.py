"""A backbone trained on ImageNet as the eyes of a steering model: Chauffeur's idea with today's networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Real
from torch import Tensor, fx, nn
from torch.nn import functional as F

from modules.encoders.image import ImageEncoder
from modules.encoders.inference import fold_batch_norms
from modules.encoders.single_frame import SingleFrameEncoder
from modules.errors import InputError

# activations of a backbone may be hundreds long and would saturate the gates of an RNN
FEATURE_LENGTH = 2.0


class PretrainedEncoder(SingleFrameEncoder):
    """A feature map of a backbone, averaged to a grid of `pool` rows and columns, as one vector a frame.

    The grid keeps where things are in the frame, which decides the angle; each vector is scaled to the same
    length. Frames need not be square. What the weights expect of the pixels (their mean and standard
    deviation) happens inside. Without gradients, and always for a frozen backbone, a copy with folded batch
    norms computes the same in less time.

    Args:
        height: Pixel rows of a frame.
        width: Pixel columns of a frame.
        name: Backbone with a convolutional feature map: efficientnet_lite0, any timm name, or
            torchvision/NAME.
        stage: Whose map: last, the number of a timm stage, or a torchvision node.
        weights: imagenet, none, or the path of a state dict.
        finetune_from: First block that is trained; by default the backbone stays frozen.
        pool: Rows and columns of the grid.
        downscale: Whole number by which height and width are divided before the first layer.

    Raises:
        InputError: the backbone is unknown, or has no such stage or no convolutional feature map.
    """

    def __init__(
        self,
        height: int,
        width: int,
        name: str = "efficientnet_lite0",
        stage: int | str = "last",
        weights: str = "imagenet",
        finetune_from: int | str | None = None,
        pool: Sequence[int] = (3, 8),
        downscale: int = 1,
    ) -> None:
        super().__init__()
        self.image = ImageEncoder(name, stage, None, weights, finetune_from)
        self.pool, self.downscale = (pool[0], pool[1]), downscale
        self._folded: tuple[tuple, nn.Module] | None = None
        self._weights: list[Tensor] | None = None  # looked for once: that takes as long as a convolution
        # an edge that does not divide is averaged over the pixels that are left of it
        probe = torch.zeros(1, 3, math.ceil(height / downscale), math.ceil(width / downscale))
        with torch.no_grad():
            features = self._feature_map(self.image.trunk, probe)
        if features.dim() != 4 or features.shape[1] != self.image.annotation_size:
            raise InputError(f"{name!r} has no convolutional feature map; name another as model.encoder.name")
        self.feature_size = features.shape[1] * self.pool[0] * self.pool[1]

    @property
    def is_frozen(self) -> bool:
        """True if no parameter is fine-tuned."""
        return self.image.is_frozen

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PretrainedEncoder:
        self._folded = self._weights = None  # moved or of another type: other tensors
        return super()._apply(fn, recurse)

    def encode(self, frames: Real[Tensor, "N 3 H W"]) -> Float[Tensor, "N D"]:
        if self.downscale > 1:
            frames = F.avg_pool2d(frames.float(), self.downscale, ceil_mode=True)  # (N, 3, h, w)
        pixels = (frames - self.image.mean) / self.image.std
        if self.is_frozen or not torch.is_grad_enabled():
            # a frozen backbone takes no gradients, but hands them on to pixels that ask for them
            with torch.set_grad_enabled(torch.is_grad_enabled() and frames.requires_grad):
                trunk = self._folded_trunk(pixels[:1].detach())
                features = self._feature_map(trunk, pixels.to(memory_format=torch.channels_last))
        else:
            features = self._feature_map(self.image.trunk, pixels)
        grid = F.adaptive_avg_pool2d(features, self.pool).flatten(1)  # (N, C h w) -> (N, C rows columns)
        return FEATURE_LENGTH * F.normalize(grid)

    def _feature_map(self, trunk: nn.Module, pixels: Float[Tensor, "N 3 H W"]) -> Tensor:
        """Returns the chosen stage's map (N, C, h, w) as the backbone gives it."""
        if isinstance(trunk, fx.GraphModule):  # torchvision
            return trunk(pixels)["annotations"]
        stage = self.image.read.stage
        if isinstance(stage, int):
            stages = trunk.forward_intermediates(  # type: ignore[operator]
                pixels, indices=[stage], stop_early=True, intermediates_only=True
            )
            return stages[0]
        return trunk.forward_features(pixels)  # type: ignore[operator]

    def _folded_trunk(self, probe: Tensor) -> nn.Module:
        """Returns the backbone in eval mode with folded batch norms, made anew when a weight has changed."""
        if torch.compiler.is_exporting():
            return self.image.trunk  # the exporter folds by itself, and tensors have no addresses meanwhile
        # a weight that changes in place gets a new version
        if self._weights is None:
            self._weights = [*self.image.trunk.parameters(), *self.image.trunk.buffers()]
        version = tuple((weight.data_ptr(), weight._version) for weight in self._weights)
        if self._folded is None or self._folded[0] != version:
            with torch.inference_mode(False):  # folding reads tensors' versions, which that mode lacks
                folded = fold_batch_norms(self.image.trunk, self._feature_map, probe.clone())
            self._folded = version, folded.to(memory_format=torch.channels_last)
        return self._folded[1]
