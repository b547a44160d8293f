"""The pretrained encoder's fast copy follows its weights, wherever they go."""

import copy

import pytest
import torch

from modules.encoders.pretrained import PretrainedEncoder
from modules.errors import InputError
from modules.steering.encoder import SteeringEncoderOptions

pytestmark = pytest.mark.usefixtures("one_thread")


def small(seed: int, size: tuple[int, int] = (32, 64), downscale: int = 1) -> PretrainedEncoder:
    torch.manual_seed(seed)
    name = "mobilenetv3_small_050"
    return PretrainedEncoder(*size, name, 1, "none", pool=(2, 4), downscale=downscale).eval()


def test_features_are_of_the_present_weights():
    encoder, other = small(0), small(1)
    frames = torch.randint(0, 256, (1, 3, 32, 64), dtype=torch.uint8)
    first, expected = encoder.encode(frames), other.encode(frames)
    assert (first - expected).abs().max() > 1e-2
    twin = copy.deepcopy(encoder)
    encoder.load_state_dict(other.state_dict())
    torch.testing.assert_close(encoder.encode(frames), expected)
    torch.testing.assert_close(twin.encode(frames), first)  # a copy goes its own way
    with torch.no_grad():
        encoder.image.trunk.get_parameter("conv_stem.weight").mul_(-1)
    assert (encoder.encode(frames) - expected).abs().max() > 1e-2


@pytest.mark.parametrize("size", [(64, 128), (63, 126)])
def test_a_shrunk_frame_is_the_mean_of_its_pixels(size: tuple[int, int]):
    frames = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    blocks = [[frames[..., y : y + 2, x : x + 2] for x in range(0, size[1], 2)] for y in range(0, size[0], 2)]
    means = [torch.stack([block.float().mean((2, 3)) for block in row], -1) for row in blocks]
    shrunk = torch.stack(means, 2)  # (N, 3, h, w), over the pixels that an edge has left
    found = small(0, size, downscale=2).encode(frames)
    torch.testing.assert_close(found, small(0).encode(shrunk), rtol=0, atol=1e-5)
    assert (found - small(0, size).encode(frames)).abs().max() > 1e-2


def test_a_frame_is_shrunk_by_at_least_one():
    with pytest.raises(InputError, match=r"model.encoder.downscale is 0"):
        SteeringEncoderOptions(kind="pretrained", downscale=0)
