"""Splits go by the names of images alone."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.image_names import assign_splits
from modules.errors import InputError

SOURCE = Path("captions.csv")


def test_splits_follow_names_alone() -> None:
    images = [f"{i}.jpg" for i in range(3000)]
    splits = assign_splits(images, SOURCE)
    assert assign_splits(reversed(images), SOURCE) == splits
    assert {image: splits[image] for image in images[:1000]} == assign_splits(images[:1000], SOURCE)
    shares = [list(splits.values()).count(name) / 3000 for name in ("train", "val", "test")]
    assert np.allclose(shares, [0.8, 0.1, 0.1], atol=0.02)


def test_small_folders_train_and_validate() -> None:
    for seed in range(30):
        for size in (2, 3, 5):
            splits = assign_splits((f"{seed}-{i}.jpg" for i in range(size)), SOURCE)
            assert {"train", "val"} <= set(splits.values())
    with pytest.raises(InputError, match=r"^captions.csv: holds one .* at least two"):
        assign_splits(["only.jpg"], SOURCE)
