"""The control that reads at one look: a CNN with a softmax for each digit (Goodfellow et al. 2014)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from modules.cells import RecurrentCell
from modules.house_numbers.batch import CLASSES, MOST_DIGITS
from modules.house_numbers.networks import convolution
from modules.parameters import parameters_of

CHANNELS = (16, 32, 64, 128)
NARROWEST = 16  # units of the wide layer


class DigitCNN(nn.Module):
    """Four convolutions with pooling, one wide layer, and five softmax layers, each for a digit or none.

    Pictures so large that the wide layer would be a narrow one are pooled further.

    Args:
        height: Of the pictures in pixels, at least 16.
        width: Of the pictures in pixels, at least 16.
        parameters: About how many it is to have; the wide layer is as wide as that needs.
    """

    def __init__(self, height: int, width: int, parameters: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for channels in CHANNELS:
            layers += convolution(before, channels, pool=True)  # normalised as the reader's are
            before = channels
        left = parameters - sum(map(parameters_of, layers))
        pooled = 2 ** len(CHANNELS)
        while (flat := before * (height // pooled) * (width // pooled)) * NARROWEST > left and flat > before:
            layers.append(nn.MaxPool2d(2))
            pooled *= 2
        self.features = nn.Sequential(*layers, nn.Flatten())
        outputs = MOST_DIGITS * CLASSES
        wide = max(NARROWEST, round(left / (flat + outputs + 1)))
        self.joint = nn.Sequential(nn.Linear(flat, wide), nn.ReLU())
        self.heads = nn.Linear(wide, outputs)

    def forward(self, pictures: Float[Tensor, "B 1 Hh Ww"]) -> Float[Tensor, "B M 11"]:
        logits: Tensor = self.heads(self.joint(self.features(pictures)))
        return logits.unflatten(1, (MOST_DIGITS, CLASSES))


class MultiplyAdds:
    """Counts the multiplications of convolutions, linear layers and recurrent cells while a model runs.

    A bias, an activation and pooling cost none.

    Args:
        model: Whose layers are counted.
    """

    def __init__(self, model: nn.Module) -> None:
        self.count = 0
        self.model = model

    def __enter__(self) -> MultiplyAdds:
        self.hooks = [
            module.register_forward_hook(self._count)
            for module in self.model.modules()
            if isinstance(module, nn.Conv2d | nn.Linear | RecurrentCell)
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _count(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, nn.Conv2d):
            self.count += output.numel() * module.in_channels * module.kernel_size[0] * module.kernel_size[1]
        elif isinstance(module, nn.Linear):
            self.count += output.numel() * module.in_features
        else:
            weights = (p for name, p in module.named_parameters() if name.startswith("weight"))
            self.count += len(inputs[0]) * sum(weight.numel() for weight in weights)


def multiply_adds(model: nn.Module, picture: Tensor) -> int:
    """Returns the multiplications of a model's layers for one picture.

    Args:
        model: It is called with the picture.
        picture: What it reads, with a batch axis of one.
    """
    with torch.no_grad(), MultiplyAdds(model) as counted:
        model(picture)
    return counted.count
