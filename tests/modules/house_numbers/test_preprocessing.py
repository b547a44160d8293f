"""What a model sees of a picture, and how digits are written."""

import numpy as np
import pytest
import torch

from modules.errors import InputError
from modules.house_numbers.preprocessing import NumberPictures, grey


@pytest.mark.parametrize(("height", "width"), [(1, 1), (40, 90), (300, 20), (2000, 3)])
@pytest.mark.parametrize("resize", ["pad", "squash"])
def test_a_picture_of_any_size_becomes_a_square(height: int, width: int, resize: str) -> None:
    image = np.full((height, width, 3), (10, 200, 30), np.uint8)
    square = NumberPictures(32, resize)(image)
    assert square.shape == (32, 32, 3) and (square == (10, 200, 30)).all()


def test_the_picture_lies_where_it_is_said_to() -> None:
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, :20] = 250
    pictures = NumberPictures(64)
    top, left, height, width = pictures.inner(10, 40)
    assert (top, left, height, width) == (24, 0, 16, 64)
    assert (pictures(image)[top : top + height, :30] == 250).all() and (pictures(image)[:top] == 125).all()


def test_paint_and_light_count_nothing() -> None:
    images = torch.randint(60, 120, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.allclose(grey(images), grey((images * 2).to(torch.uint8)), atol=0.2)
    assert grey(torch.full((1, 3, 32, 32), 7, dtype=torch.uint8)).abs().max() < 1e-3


def test_a_size_out_of_range_is_named() -> None:
    with pytest.raises(InputError, match=r"model\.pictures\.size is 16"):
        NumberPictures(16)
