"""How a steering model is trained: its options, and the error its loss is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modules.errors import check_ranges


@dataclass
class SteeringTrainingOptions:
    """How the weights are found.

    Args:
        learning_rate: Largest learning rate (AdamW).
        encoder_learning_rate: That of the encoder; by default the same.
        weight_decay: Decoupled weight decay of matrices; vectors have none.
        warmup_steps: Steps in which the learning rate grows from 0.
        schedule: cosine falls to 1 % at the last step, constant stays.
        auxiliary_weight: Weight of the errors of all outputs, and of the pass fed the truth, beside the
            free-running error of the angle.
        pretrain_epochs: First at most so many epochs in which the encoder learns to steer from single frames,
            until validation gets no better; it is frozen afterwards and its features are computed once. An
            autoregressive decoder begins with the output layer that they led to.
        pretrain_learning_rate: Largest learning rate in these epochs.
        pretrain_dropout: Probability of dropping a feature before the output in them.
        seed: Of initial weights and, with the step number, of dropout, in a resumed run too.
    """

    learning_rate: float = 1e-3
    encoder_learning_rate: float | None = None
    weight_decay: float = 0.0
    warmup_steps: int = 50
    schedule: Literal["cosine", "constant"] = "cosine"
    auxiliary_weight: float = 0.1
    pretrain_epochs: int = 0
    pretrain_learning_rate: float = 1e-3
    pretrain_dropout: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "model.training",
            positive=("learning_rate", "encoder_learning_rate", "pretrain_learning_rate"),
            not_negative=("weight_decay", "warmup_steps", "auxiliary_weight", "pretrain_epochs", "seed"),
            below_one=("pretrain_dropout",),
        )


def squared_error_sums(
    outputs: Float[Tensor, "B T O"], targets: Float[Tensor, "B T O"], valid: Bool[Tensor, "B T"]
) -> tuple[Float[Tensor, " O"], Float[Tensor, " O"]]:
    """Returns each output's sum of squared errors and their number; NaN and padding count nothing."""
    counts = valid.unsqueeze(-1) & targets.isfinite()  # (B, T, O)
    errors = torch.where(counts, outputs - targets.nan_to_num(), 0.0)
    return errors.square().sum((0, 1)), counts.sum((0, 1)).to(errors.dtype)
