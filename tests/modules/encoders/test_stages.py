"""Several stages of a backbone as one grid of annotations."""

import pytest
import torch

from modules.encoders.image import ImageEncoder
from modules.encoders.stages import join_stages
from modules.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"name": "efficientnet_lite0", "image_size": 64, "weights": "none"}


def images(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=generator)


def test_a_fine_cell_stands_in_the_coarse_cell_that_covers_it():
    coarse = torch.zeros(1, 4, 2, 2)
    fine = torch.zeros(1, 3, 4, 4)
    fine[0, :, 2, 1] = torch.tensor([5.0, 0.0, -5.0])  # row 2, column 1: in the coarse cell (1, 0)
    joined = join_stages([fine, coarse])
    assert joined.shape == (1, 3 * 4 + 4, 2, 2)
    assert [tuple(place.tolist()) for place in joined[0].abs().sum(0).nonzero()] == [(1, 0)]
    assert (joined[0, :12, 1, 0].abs() > 1).sum() == 2


def test_every_stage_has_mean_0_and_variance_1_at_every_location():
    maps = [1000 + 50 * torch.randn(2, 6, 4, 4), 0.1 * torch.randn(2, 10, 2, 2)]
    joined = join_stages(maps)
    for part in joined.split([24, 10], dim=1):
        assert part.mean(1).abs().max() < 1e-3
        assert torch.allclose(part.var(1, correction=0), torch.ones(2, 2, 2), atol=0.02)


def test_a_grid_that_does_not_divide_is_resampled():
    assert join_stages([torch.randn(1, 2, 15, 15), torch.randn(1, 3, 8, 8)]).shape == (1, 2 * 4 + 3, 8, 8)


def test_an_encoder_of_two_stages_reads_both_and_its_fast_path_agrees():
    encoder = ImageEncoder(stage=[3, 4], **SMALL)
    alone = [ImageEncoder(stage=stage, **SMALL) for stage in (3, 4)]
    assert encoder.grid == alone[1].grid == (2, 2)
    assert encoder.annotation_size == 4 * alone[0].annotation_size + alone[1].annotation_size
    slow = encoder(images())
    assert torch.allclose(encoder.encode(images()), slow, atol=0.5)
    assert (encoder.encode(images()) - slow).std() < 0.1  # bfloat16 where the processor has it


def test_fine_tuning_reaches_both_stages():
    encoder = ImageEncoder(stage=[3, 4], finetune_from=0, **SMALL)
    encoder(images()).square().sum().backward()
    assert all(p.grad is not None for p in encoder.finetuned_parameters())


def test_stages_have_another_fingerprint_than_one_of_them():
    assert ImageEncoder(stage=[3, 4], **SMALL).fingerprint() != ImageEncoder(stage=4, **SMALL).fingerprint()


@pytest.mark.parametrize("stage", [[], [4, 3], [3, 3], [3, 99], [-1, 3]])
def test_stages_that_are_no_rising_numbers_are_refused(stage):
    with pytest.raises(InputError, match="rising"):
        ImageEncoder(stage=stage, **SMALL)


def test_torchvision_stages_are_not_joined():
    with pytest.raises(InputError, match="timm backbone only"):
        ImageEncoder("torchvision/squeezenet1_1", stage=[1, 2], weights="none")
