"""Drawn plates: equal settings give equal pictures; splits share no font and no number of several digits."""

import numpy as np
import pytest

from data_prep.house_numbers import read_numbers
from data_prep.house_numbers.plates.dataset import split_of
from data_prep.house_numbers.plates.fonts import FONTS, HEIGHT, digit_masks
from modules.house_numbers.preprocessing import NumberPictures


def test_equal_settings_give_equal_pictures_and_others_do_not() -> None:
    first, again, other = (read_numbers(None, "plates", 30, seed) for seed in (1, 1, 2))
    assert first.records == again.records != other.records
    size = NumberPictures(48)
    pictures = [first.picture(record, size) for record in first.records[:3]]
    assert all(
        np.array_equal(p, again.picture(r, size)) for p, r in zip(pictures, again.records, strict=False)
    )
    assert pictures[0].shape == (48, 48, 3) and pictures[0].std() > 5


def test_splits_share_no_fonts_and_no_numbers_of_several_digits() -> None:
    table = read_numbers(None, "plates", 3000)
    numbers = {name: {record.number for record in table.split(name)} for name in ("train", "val", "test")}
    fonts = {name: {record.source[0] for record in table.split(name)} for name in numbers}
    for one, two in (("train", "val"), ("train", "test"), ("val", "test")):
        assert numbers[one] & numbers[two] <= set("123456789") and not fonts[one] & fonts[two]
    assert all({len(number) for number in numbers[name]} == {1, 2, 3, 4, 5} for name in numbers)
    assert {split_of(number) for number in map(str, range(10, 100))} == {"train", "val", "test"}


def test_no_font_of_two_names_is_in_two_splits() -> None:
    shapes = {
        split: {b"".join(mask.tobytes() for mask in digit_masks(name)) for name in fonts}
        for split, fonts in FONTS.items()
    }
    for one, two in (("train", "val"), ("train", "test"), ("val", "test")):
        assert shapes[one].isdisjoint(shapes[two])


@pytest.mark.parametrize("name", ["pen 3", "segments 0", "hershey 0 3", "aileron", "cmr10.ttf"])
def test_every_kind_of_font_has_ten_digits_that_differ(name: str) -> None:
    masks = digit_masks(name)
    assert len(masks) == 10 and all(mask.shape[0] == HEIGHT and mask.max() > 200 for mask in masks)
    resized = {mask.tobytes() for mask in masks}
    assert len(resized) == 10
    assert name in {font for fonts in FONTS.values() for font in fonts}
