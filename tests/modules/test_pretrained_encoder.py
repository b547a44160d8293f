"""The pretrained encoder's fast copy follows its weights, wherever they go."""

import copy

import pytest
import torch

from modules.encoders.pretrained import PretrainedEncoder

pytestmark = pytest.mark.usefixtures("one_thread")


def small(seed: int) -> PretrainedEncoder:
    torch.manual_seed(seed)
    return PretrainedEncoder(32, 64, "mobilenetv3_small_050", 1, "none", pool=(2, 4)).eval()


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
