"""How a steering model is trained: its options, and the error its loss is made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modules.errors import check_ranges
from modules.training import ScheduleOptions


@dataclass
class SteeringTrainingOptions(ScheduleOptions):
    """How the weights are found.

    Args:
        encoder_learning_rate: That of the encoder; by default the same.
        auxiliary_weight: Weight of the errors of all outputs, and of the pass fed the truth, beside the
            free-running error of the angle.
        pretrain_epochs: First at most so many epochs in which the encoder learns to steer from single frames,
            until validation gets no better; it is frozen afterwards and its features are computed once. An
            autoregressive decoder begins with the output layer that they led to.
        pretrain_learning_rate: Largest learning rate in these epochs.
        pretrain_dropout: Probability of dropping a feature before the output in them.
        label_shift: Frames from a frame to the one whose angle it learns and is scored by. Above 0 the model
            says what to do a little later; below 0 what was done before, which a car cannot drive by.
    """

    learning_rate: float = 1e-3
    warmup_steps: int = 50
    encoder_learning_rate: float | None = None
    auxiliary_weight: float = 0.1
    pretrain_epochs: int = 0
    pretrain_learning_rate: float = 1e-3
    pretrain_dropout: float = 0.5
    label_shift: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(
            self,
            "model.training",
            positive=("encoder_learning_rate", "pretrain_learning_rate"),
            not_negative=("auxiliary_weight", "pretrain_epochs"),
            below_one=("pretrain_dropout",),
        )


def squared_error_sums(
    outputs: Float[Tensor, "B T O"], targets: Float[Tensor, "B T O"], valid: Bool[Tensor, "B T"]
) -> tuple[Float[Tensor, " O"], Float[Tensor, " O"]]:
    """Returns each output's sum of squared errors and their number; NaN and padding count nothing."""
    counts = valid.unsqueeze(-1) & targets.isfinite()  # (B, T, O)
    errors = torch.where(counts, outputs - targets.nan_to_num(), 0.0)
    return errors.square().sum((0, 1)), counts.sum((0, 1)).to(errors.dtype)
