"""How annotations are kept on disk: in half precision, or in 8 bits a number.

Each kind offers `pack`, from float32 to what a row of a `RowStore` holds, and `unpack`, back to float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import DTypeLike
from torch import Tensor

CacheDtype = Literal["float16", "float8"]
_FLOAT16_MAX = float(np.finfo(np.float16).max)
_FLOAT8 = torch.float8_e4m3fn
_FLOAT8_MAX = torch.finfo(_FLOAT8).max


class NumberType(ABC):
    """One kind.

    Attributes:
        name: What stands in the key of a cache; empty for what the first keys did not name.
        suffix: Of the file of rows.
        row: Number type of a row's elements.
        shape: Of a row.
    """

    name: str
    suffix: str
    row: DTypeLike
    shape: tuple[int, ...]

    @abstractmethod
    def pack(self, annotations: Float[Tensor, "B L D"]) -> np.ndarray:
        """Returns the rows of annotations."""

    @abstractmethod
    def unpack(self, rows: np.ndarray) -> Float[Tensor, "B L D"]:
        """Returns the annotations of rows, float32."""


class Float16(NumberType):
    """Half precision: a number errs by at most 2^-11 of itself; what is beyond its range is clamped.

    Args:
        shape: Locations L and width D of an image's annotations.
    """

    name, suffix, row = "", "f16", np.float16

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape

    def pack(self, annotations: Float[Tensor, "B L D"]) -> np.ndarray:
        return annotations.numpy().clip(-_FLOAT16_MAX, _FLOAT16_MAX).astype(np.float16)

    def unpack(self, rows: np.ndarray) -> Float[Tensor, "B L D"]:
        return torch.from_numpy(rows).float()


class Float8(NumberType):
    """`a = scale * e`, e in float8_e4m3fn: one scale an image, at which its largest number is the type's.

    A scale a channel would err by a fortieth less, and take 3 to 8 % more.
    A number errs by at most 2^-4 of itself, and by no more than 2^-10 scale where it is very small.

    Args:
        shape: Locations L and width D of an image's annotations.
    """

    name, suffix = "float8_e4m3fn", "f8"

    def __init__(self, shape: tuple[int, int]) -> None:
        self.row = np.dtype([("scale", "<f4"), ("numbers", "u1", shape)])
        self.shape = ()
        # a table of the 256 numbers is three times as fast as the processor's conversion
        self._numbers = torch.arange(256, dtype=torch.uint8).view(_FLOAT8).float().numpy()

    def pack(self, annotations: Float[Tensor, "B L D"]) -> np.ndarray:
        rows = np.empty(len(annotations), self.row)
        scale = annotations.abs().amax((1, 2)) / _FLOAT8_MAX
        scale = scale.where(scale > 0, 1.0)  # all zeros have nothing to scale
        rows["scale"] = scale.numpy()
        scaled = (annotations / scale[:, None, None]).clamp(-_FLOAT8_MAX, _FLOAT8_MAX)
        rows["numbers"] = scaled.to(_FLOAT8).view(torch.uint8).numpy()
        return rows

    def unpack(self, rows: np.ndarray) -> Float[Tensor, "B L D"]:
        numbers = self._numbers[rows["numbers"]]  # (B, L, D)
        return torch.from_numpy(numbers).mul_(torch.from_numpy(rows["scale"].copy())[:, None, None])


NUMBER_TYPES: dict[str, type[Float16] | type[Float8]] = {"float16": Float16, "float8": Float8}
