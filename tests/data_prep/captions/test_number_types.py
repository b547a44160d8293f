"""Annotations come back from 16 or 8 bits within the error that each kind states."""

import numpy as np
import pytest
import torch
from torch import Tensor

from data_prep.captions.number_types import NUMBER_TYPES, CacheDtype, Float8

L, D = 6, 50


def annotations(scale: float) -> Tensor:
    """Three images that differ in loudness a hundredfold, of numbers over seven powers of ten."""
    generator = torch.Generator().manual_seed(0)
    loudness = torch.tensor([1.0, 10.0, 100.0])[:, None, None]
    sizes = 10 ** (7 * torch.rand(3, L, D, generator=generator) - 6)
    return scale * loudness * sizes * torch.randn(3, L, D, generator=generator).sign()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_eight_bits_keep_a_sixteenth_of_each_number_and_of_the_least_the_grid(scale: float) -> None:
    exact = annotations(scale)
    numbers = Float8((L, D))
    rows = numbers.pack(exact)
    assert rows.nbytes == 3 * (L * D + 4)
    found = numbers.unpack(rows)
    grid = torch.from_numpy(rows["scale"].copy())[:, None, None]
    error = (found - exact).abs()
    assert (error <= torch.maximum(exact.abs() / 16, grid / 1024) * (1 + 1e-5)).all()
    assert (error.amax((1, 2)) > 0).all()
    # the largest number of an image is kept
    assert torch.allclose(found.abs().amax((1, 2)), exact.abs().amax((1, 2)), rtol=1e-6)
    assert np.array_equal(numbers.pack(found)["numbers"], rows["numbers"])


@pytest.mark.parametrize("dtype", NUMBER_TYPES)
def test_zeros_stay_zeros_and_no_image_changes_another(dtype: CacheDtype) -> None:
    exact = annotations(1.0)
    exact[1] = 0
    numbers = NUMBER_TYPES[dtype]((L, D))
    found = numbers.unpack(numbers.pack(exact))
    assert found.dtype == torch.float32 and (found[1] == 0).all()
    for image in range(3):
        alone = numbers.unpack(numbers.pack(exact[image : image + 1]))
        assert torch.equal(alone[0], found[image])
    assert numbers.unpack(numbers.pack(exact[:0])).shape == (0, L, D)
