"""A classifier that learns to read beside a painter, and tells it what its paintings say (Odena et al. 2017).

A number is worth a few of the many thousand bits of a picture. A painter that only the bound teaches hears it
last. The classifier learns from pictures alone. Its verdict on paintings from the prior reaches the painter
through their pixels. The classifier itself stays as it is, or it would learn to read whatever is painted.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from modules.house_numbers.control import DigitCNN
from modules.house_numbers.scoring import digit_nats

PARAMETERS = 500_000
NOISE = 0.15  # largest deviation of the noise on pictures, whose values go from 0 to 1


class AuxiliaryClassifier(nn.Module):
    """The losses of reading pictures and paintings.

    Args:
        height: Of the pictures in pixels.
        width: Of the pictures in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.network = DigitCNN(height, width, PARAMETERS)

    def on_pictures(
        self, pictures: Float[Tensor, "B C Hh Ww"], digits: Int[Tensor, "B M"]
    ) -> Float[Tensor, " B"]:
        """Returns -log p of the numbers of pictures (nats), for the classifier to learn from.

        Every second picture on the average is smoothed and all are noisy: as unsure as paintings are.

        Args:
            pictures: Values from 0 to 1.
            digits: What they show, STOP behind the last digit.
        """
        rows = pictures.new_empty(len(pictures), 1, 1, 1)
        smooth = F.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
        pictures = torch.where(torch.rand_like(rows) < 0.5, smooth, pictures)
        pictures = pictures + NOISE * torch.rand_like(rows) * torch.randn_like(pictures)
        return digit_nats(self.network(_grey(pictures.clamp(0, 1))), digits).sum(1)

    def on_paintings(
        self, paintings: Float[Tensor, "B C Hh Ww"], digits: Int[Tensor, "B M"]
    ) -> Float[Tensor, " B"]:
        """Returns -log p of the numbers that were told (nats), whose gradient reaches the paintings alone."""
        # no gradient for the weights, and the statistics stay those of pictures
        fixed = {name: tensor.detach() for name, tensor in self.network.state_dict().items()}
        training = self.network.training
        self.network.eval()
        logits = functional_call(self.network, fixed, (_grey(paintings),))
        self.network.train(training)
        return digit_nats(logits, digits).sum(1)


def _grey(pictures: Float[Tensor, "B C Hh Ww"]) -> Float[Tensor, "B 1 Hh Ww"]:
    return pictures.mean(1, keepdim=True) - 0.5
