"""PilotNet is the paper's network, to the parameter and the multiplication."""

import pytest
import torch
from torch import nn

from modules.decoders.steering import SteeringDecoderOptions
from modules.encoders.pilotnet import PilotNetEncoder
from modules.errors import InputError
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer

pytestmark = pytest.mark.usefixtures("one_thread")


def pilotnet() -> Steerer:
    return Steerer(
        FramePreprocessing(66, 200, colours="yuv"),
        SteeringEncoderOptions(kind="pilotnet"),
        SteeringDecoderOptions(kind="frame"),
    ).eval()


def test_has_252219_parameters():
    assert sum(parameter.numel() for parameter in pilotnet().parameters()) == 252_219


def test_does_26876342_multiply_accumulates_a_frame():
    model, counted = pilotnet(), []

    def count(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        # every output of a layer is a sum over its kernel, or over its whole input
        counted.append(output.numel() * module.weight[0].numel())

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model.drive(torch.zeros(1, 1, 3, 66, 200, dtype=torch.uint8), ())
    assert len(counted) == 9
    assert sum(counted) == 26_876_342


def test_normalises_inside():
    encoder = PilotNetEncoder().eval()
    seen = []
    encoder.layers[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    frames = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 66, 200)
    encoder.encode(frames)
    assert (seen[0][0] == -1).all() and (seen[0][1] == 1).all()


def test_a_frame_that_is_too_small_is_refused():
    with pytest.raises(InputError, match="convolution 5 of PilotNet"):
        PilotNetEncoder(60, 200)
