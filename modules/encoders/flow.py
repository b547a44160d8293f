"""How the picture moved since the frame before: a car that turns pans its camera, the road comes nearer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from modules.errors import InputError

WIDEST = 160  # pixels: a finer picture costs time and tells a steering model nothing more
SMALLEST = 32  # pixels of the shorter side, of which the search for flow makes smaller and smaller pictures
FINEST_SCALE = 1  # flow is found on a picture of half the size and enlarged
FLOW_SCALE = 100.0  # a curve moves the picture by about a hundredth of its width a frame: about one, then


class ImageFlow(nn.Module):
    """The mean optical flow in the cells of a grid, in hundredths of the frame's width.

    How far the picture moved to the right is in nearly all cells the car's turning; how much more it moved
    in some than in others is its speed, which decides how much steering a turning takes. The dense flow is
    that of T. Kroeger et al. (2016), *Fast optical flow using dense inverse search*, arXiv 1603.03590, as
    OpenCV has it, on grey pictures about 160 pixels wide. Nothing is learned, and no gradient passes.

    Args:
        grid: Rows and columns of cells.
        refinements: Rounds in which the dense flow is made smooth at the end of the search (variational
            refinement), which take half of its time; 0 leaves that to the cells' means.

    Raises:
        InputError: the grid has no cells.
    """

    def __init__(self, grid: Sequence[int], refinements: int = 5) -> None:
        super().__init__()
        if len(grid) != 2 or min(grid) < 1:
            raise InputError(f"model.encoder.flow is {list(grid)}; it takes rows and columns, each above 0")
        self.grid, self.refinements = (grid[0], grid[1]), refinements
        self.feature_size = 2 * grid[0] * grid[1]

    def forward(self, frames: Real[Tensor, "B S 3 H W"]) -> Float[Tensor, "B T K"]:
        """Returns the flow to the last T = S - 1 frames, each from the frame before it.

        Its numbers are those to the right in all cells, row after row, then those downwards.

        Args:
            frames: RGB bytes, or the same numbers as floats.
        """
        grey = [[_grey(frame) for frame in clip] for clip in frames.detach().cpu().byte().numpy()]
        flow = np.stack([[_flow(*pair, self.refinements) for pair in pairwise(clip)] for clip in grey])
        by_cell = [
            F.adaptive_avg_pool2d(clip, self.grid).flatten(1)  # (T, 2, h, w) -> (T, K)
            for clip in torch.from_numpy(flow)
        ]
        return FLOW_SCALE / flow.shape[-1] * torch.stack(by_cell).to(frames.device)


def _grey(frame: np.ndarray) -> np.ndarray:
    """Returns the luma (h, w) of RGB bytes (3, H, W) in the size in which flow is found."""
    grey = cv2.cvtColor(cv2.merge(list(frame)), cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    scale = max(min(1.0, WIDEST / width), SMALLEST / min(height, width))
    if scale == 1:
        return grey
    size = max(SMALLEST, round(scale * width)), max(SMALLEST, round(scale * height))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _flow(before: np.ndarray, after: np.ndarray, refinements: int) -> np.ndarray:
    """Returns how far each pixel moved to the right and down (2, h, w), in pixels."""
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    method.setFinestScale(FINEST_SCALE)
    method.setVariationalRefinementIterations(refinements)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # what it finds depends on their number
    try:
        flow = method.calc(before, after, None)  # type: ignore[call-overload]
    finally:
        cv2.setNumThreads(threads)
    return flow.transpose(2, 0, 1)
