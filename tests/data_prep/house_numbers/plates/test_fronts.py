"""Plates from the front: the same numbers, all of the plate within the middle."""

import numpy as np

from data_prep.house_numbers import read_numbers
from modules.house_numbers.preprocessing import NumberPictures


def test_fronts_show_the_numbers_of_the_plates_within_the_middle_half() -> None:
    plates, fronts, again = (read_numbers(None, kind, 40, 1) for kind in ("plates", "fronts", "fronts"))
    assert [r.number for r in fronts.records] == [r.number for r in plates.records]
    assert fronts.identity != plates.identity
    changes = np.zeros((64, 64))
    for record in fronts.records[:12]:
        picture = fronts.picture(record, NumberPictures(64))
        assert np.array_equal(picture, again.picture(record, NumberPictures(64)))
        grey = picture.astype(float).mean(2)
        changes[:, 1:] += np.abs(np.diff(grey, axis=1))
    # digits are where the picture changes most
    middle, outside = changes[16:48], np.concatenate([changes[:16], changes[48:]])
    assert middle.mean() > 3 * outside.mean()
