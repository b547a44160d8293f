"""Temperature scaling: a language model is made as sure as it is right (Guo et al. 2017, section 4.2)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from modules.decoders.language import UnitScores

TEMPERATURES = tuple(step / 100 for step in range(70, 161, 2))  # 0.70 to 1.60


class TemperatureSearch:
    """Finds the number by which logits are best divided: that of the fewest nats on a text.

    Dividing changes no unit's rank, so greedy text stays the same. A model that learnt a small text too well
    is too sure elsewhere: its temperature is above 1.

    Args:
        output: What scores units.

    Attributes:
        nats: -log p of all units so far, a number a temperature, in float64.
    """

    def __init__(self, output: UnitScores) -> None:
        self.output = output
        self.nats: Tensor = torch.zeros(len(TEMPERATURES), dtype=torch.float64)

    def add(self, h: Float[Tensor, "B T H"], targets: Int[Tensor, "B T"]) -> None:
        """Counts units of the text in."""
        logits = self.output(h.flatten(0, 1)).float()  # (N, V)
        of_targets = logits.gather(1, targets.reshape(-1, 1)).squeeze(1)
        occurs = of_targets != -torch.inf
        for place, temperature in enumerate(TEMPERATURES):
            nats = (logits / temperature).logsumexp(1) - of_targets / temperature
            self.nats[place] += nats[occurs].sum().item()

    @property
    def temperature(self) -> float:
        """The best one so far; 1 where no unit was counted."""
        return TEMPERATURES[int(self.nats.argmin())] if self.nats.any() else 1.0


@torch.no_grad()
def divide_logits(output: UnitScores, temperature: float) -> None:
    """Divides all logits by a temperature, for good: weights and biases are divided by it."""
    output.weight.div_(temperature)
    output.bias.div_(temperature)
