"""What a mirrored captioner is fed: either view in training, both in evaluation, the same after a resume."""

from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from data_prep.captions.inputs import Annotations, MirroredAnnotations, Pixels, plain_inputs
from modules.captioning.preprocessing import EvalTransform, MirrorTransform, TrainTransform

IMAGES, L, D = 40, 3, 2


def annotations(sign: int) -> Annotations:
    """Annotations that tell image and view: the number of the image, negative in the mirror."""
    stored = torch.arange(1.0, IMAGES + 1)[:, None, None] * torch.full((1, L, D), float(sign))
    return Annotations(SimpleNamespace(read=lambda rows: stored[rows]), np.arange(IMAGES))


def test_evaluation_reads_both_views_the_image_first():
    inputs = MirroredAnnotations(annotations(1), annotations(-1), is_training=False)
    views = inputs([4, 0, 9])
    assert views.shape == (3, 2, L, D)
    assert views[:, 0, 0, 0].tolist() == [5, 1, 10] and views[:, 1, 0, 0].tolist() == [-5, -1, -10]


def test_training_reads_either_view_of_each_image_and_the_same_one_again():
    inputs = MirroredAnnotations(annotations(1), annotations(-1), is_training=True)
    images = list(range(IMAGES))
    found = inputs(images)
    assert found.shape == (IMAGES, L, D)
    assert found.abs()[:, 0, 0].tolist() == [image + 1 for image in images]
    mirrored = (found[:, 0, 0] < 0).tolist()
    assert 0.25 < np.mean(mirrored) < 0.75
    assert torch.equal(inputs(images), found)
    # with other images in its batch, as in another epoch, an image is seen the other way, too
    seen = {inputs([7, other])[0, 0, 0].item() for other in range(8, IMAGES)}
    assert seen == {8.0, -8.0}
    assert inputs([7]).shape == (1, L, D)
    # and with the same images, whose captions come in another order
    orders = [inputs(images, order)[:, 0, 0].tolist() for order in ([0, 1, 2], [2, 1, 0], [0, 1, 2])]
    assert orders[0] == orders[2] != orders[1]


def test_views_of_pixels_follow_from_the_batch_alone(tmp_path):
    """Whichever process draws them, and whatever it has drawn before: a resumed fit sees the same."""
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        noise = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    inputs = Pixels(paths, TrainTransform(8))
    first, again = inputs([0, 1, 2, 3], [5, 7, 8, 9]), inputs([0, 1, 2, 3], [5, 7, 8, 9])
    assert torch.equal(first, again) and not torch.equal(first, inputs([0, 1, 2, 3], [7, 5, 8, 9]))
    assert len(first.flatten(1).unique(dim=0)) == 4  # each image has a view of its own
    assert torch.equal(inputs([0, 1]), inputs([0, 1]))


def test_the_mirror_transform_mirrors_left_and_right():
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    for resize in ("squash", "crop", "pad"):
        plain, mirrored = EvalTransform(20, resize), MirrorTransform(20, resize)
        assert torch.equal(mirrored(image), plain(image).flip(2))


def test_plain_inputs_are_the_image_alone_and_the_same_every_time(tmp_path):
    plain = plain_inputs(
        MirroredAnnotations(annotations(1), annotations(-1), is_training=True), EvalTransform(8)
    )
    assert plain([4, 0])[:, 0, 0].tolist() == [5, 1]
    assert plain_inputs(annotations(1), EvalTransform(8))([4])[0, 0].tolist() == [5, 5]
    varied = Pixels([tmp_path / "a.png"], TrainTransform(8))
    assert isinstance(plain_inputs(varied, EvalTransform(8)).transform, EvalTransform)
