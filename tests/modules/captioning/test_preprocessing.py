"""The square an encoder sees: right pixels, no aliasing, the same for every batch and every resumed run."""

import cv2
import numpy as np
import pytest
import torch

from modules.captioning.preprocessing import EvalTransform, TrainTransform, resize_area
from modules.errors import InputError


def gradient(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(float)
    return np.stack([255 * y / height, 255 * x / width, 0 * x + 90], axis=2).astype(np.uint8)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 500), (500, 7), (32, 32), (100, 20), (1, 20_000)])
def test_any_size_gives_the_square(resize: str, shape: tuple[int, int]) -> None:
    for transform in (EvalTransform(32, resize), TrainTransform(32, resize)):
        result = transform(gradient(*shape))
        assert (result.shape, result.dtype) == ((3, 32, 32), torch.uint8)
        assert result.is_contiguous()


def test_an_image_of_the_right_size_is_not_changed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    image.flags.writeable = False
    for resize in ("squash", "crop", "pad"):
        assert np.array_equal(EvalTransform(32, resize)(image).permute(1, 2, 0).numpy(), image)


def test_shrinking_averages_areas() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (EvalTransform(16)(stripes) == 100).all()  # sampling single pixels would give 0 or 200


def test_a_side_that_grows_does_not_spoil_the_one_that_shrinks() -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (resize_area(stripes, 16, 16) == 100).all()
    naive = cv2.resize(stripes, (16, 16), interpolation=cv2.INTER_AREA)
    assert not (naive == 100).all()  # the reason for two steps


def test_squash_keeps_all_crop_the_centre_pad_the_aspect() -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, :10], image[:, 10:30], image[:, 30:] = 50, 150, 250
    squashed, cropped, padded = (EvalTransform(20, resize)(image)[0] for resize in ("squash", "crop", "pad"))
    assert squashed[10].unique().tolist() == [50, 150, 250]
    assert cropped.unique().tolist() == [150]
    assert padded[0].unique().tolist() == [127] and padded[10].unique().tolist() == [50, 150, 250]
    assert (padded[:, 0] == 50).sum() == 10


def test_training_repeats_from_the_seed_and_varies_without() -> None:
    transform, image = TrainTransform(24, flip=True), gradient(60, 80)
    torch.manual_seed(3)
    first = [transform(image) for _ in range(4)]
    torch.manual_seed(3)
    again = [transform(image) for _ in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(first[0], other) for other in first[1:])


def test_every_image_draws_as_often_whatever_the_options() -> None:
    after = []
    for transform in (
        TrainTransform(8),
        TrainTransform(8, minimum_area=1.0, aspect=1.0, brightness=0.0, flip=True),
    ):
        torch.manual_seed(0)
        transform(gradient(20, 20))
        after.append(torch.rand(1))
    assert after[0] == after[1]


def test_training_with_everything_off_is_evaluation() -> None:
    transform = TrainTransform(24, minimum_area=1.0, aspect=1.0, brightness=0.0)
    assert torch.equal(transform(gradient(60, 80)), EvalTransform(24)(gradient(60, 80)))


def test_left_stays_left_unless_asked() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 255
    torch.manual_seed(0)

    def right_is_brighter(transform: TrainTransform) -> float:
        views = [transform(image).float() for _ in range(60)]
        return sum(float(view[..., 12:].mean() > view[..., :12].mean()) for view in views) / 60

    assert right_is_brighter(TrainTransform(24)) == 1
    assert 0.25 < right_is_brighter(TrainTransform(24, flip=True)) < 0.75


def test_the_part_is_as_large_as_promised() -> None:
    transform, image = TrainTransform(10, minimum_area=0.5, aspect=1.3), np.zeros((1000, 600, 3), np.uint8)
    generator = np.random.default_rng(0)
    for area, shape, top, left in [
        *generator.random((200, 4)),
        (0.0, 0.0, 0.0, 0.0),
        (0.0, 0.999, 0.999, 0.999),
    ]:
        part = transform._part(image, area, shape, top, left)
        height, width = part.shape[0] / 1000, part.shape[1] / 600
        assert 0.5 / 1.3 - 0.01 <= height * width <= 1
        assert 1 / 1.31 <= height / width <= 1.31
        # what was decoded at minimum_size still fills the square
        assert min(height, width) * transform.minimum_size >= 10 * 0.999
    assert EvalTransform(10).minimum_size == 10


def test_brightness_stays_within_its_limits() -> None:
    image = np.full((10, 10, 3), 100, np.uint8)
    torch.manual_seed(0)
    levels = [int(TrainTransform(4, brightness=0.2)(image).float().mean()) for _ in range(50)]
    assert 79 <= min(levels) < 90 and 110 < max(levels) <= 120


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"resize": "stretch"}, {"minimum_area": 0.0}, {"aspect": 0.5}, {"brightness": 1.0}],
)
def test_wrong_options_are_named(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=str(next(iter(options)))):
        TrainTransform(**{"size": 8, **options})
