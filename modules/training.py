"""What every training has: learning rates and their schedule, weight decay, gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import nn

from modules.errors import InputError, check_ranges


@dataclass
class TrainingOptions:
    """How the weights are found.

    Args:
        learning_rate: Largest learning rate of the decoder (AdamW).
        encoder_learning_rate: Largest learning rate of the fine-tuned blocks of the encoder.
        weight_decay: Decoupled weight decay of matrices; vectors have none.
        warmup_steps: Steps in which the learning rate grows from 0.
        schedule: cosine falls to 1 % at the last step, constant stays.
        label_smoothing: Share of the target probability spread over all words.
        consensus: How much of a caption's weight follows its agreement with the image's other captions, their
            CIDEr-D: from 0 (all weigh alike) to 1 (Phan et al. 2017).
        doubly_stochastic: Weight lambda of the attention term (Xu et al. 2015, eq. 14).
        reinforce_epochs: So many last epochs maximise CIDEr-D of sampled captions (self-critical training).
        reinforce_learning_rate: Learning rate in these epochs.
        reinforce_samples: Captions sampled of each image in these epochs.
        seed: Of initial weights and, with the step number, of dropout, in a resumed run too.
    """

    learning_rate: float = 4e-4
    encoder_learning_rate: float = 1e-5
    weight_decay: float = 0.0
    warmup_steps: int = 200
    schedule: Literal["cosine", "constant"] = "cosine"
    label_smoothing: float = 0.1
    consensus: float = 0.0
    doubly_stochastic: float = 1.0
    reinforce_epochs: int = 0
    reinforce_learning_rate: float = 5e-5
    reinforce_samples: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "model.training",
            positive=("learning_rate", "reinforce_learning_rate"),
            not_negative=(
                "encoder_learning_rate",
                "weight_decay",
                "warmup_steps",
                "doubly_stochastic",
                "reinforce_epochs",
                "seed",
            ),
            below_one=("label_smoothing",),
        )
        if not 0 <= self.consensus <= 1:
            raise InputError(f"model.training.consensus is {self.consensus}; it has to be from 0 to 1")
        if self.reinforce_samples < 2:
            raise InputError(
                f"model.training.reinforce_samples is {self.reinforce_samples}; it needs at least 2"
            )


def parameter_groups(
    parts: Iterable[tuple[Iterable[nn.Parameter], float]], weight_decay: float
) -> list[dict[str, Any]]:
    """Returns an optimiser's groups: matrices with weight decay, vectors without.

    Args:
        parts: Parameters and their learning rate.
        weight_decay: Of matrices.
    """
    groups = []
    for parameters, rate in parts:
        everything = list(parameters)
        for matrices in (True, False):
            chosen = [p for p in everything if (p.dim() > 1) == matrices]
            if chosen:
                decay = weight_decay if matrices else 0.0
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return groups


def learning_rate_factor(options: TrainingOptions, steps: int) -> Callable[[int], float]:
    """Returns what the learning rate is multiplied by at each step.

    Args:
        options: Warm-up and shape; the rate of self-critical training.
        steps: Steps of teacher forcing; those after them are self-critical.
    """

    def factor(step: int) -> float:
        if options.reinforce_epochs and step >= steps:
            return options.reinforce_learning_rate / options.learning_rate
        warm = min(1.0, (step + 1) / max(1, options.warmup_steps))
        if options.schedule == "constant":
            return warm
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))))

    return factor


def clip_gradients(optimizer: torch.optim.Optimizer, limit: float, algorithm: str | None) -> None:
    """Clips gradients in place: by their common norm (Pascanu et al. 2013, algorithm 1), or each by value."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if algorithm == "value":
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.clamp_(-limit, limit)
    else:
        nn.utils.clip_grad_norm_(parameters, limit)


class ClippedModule(pl.LightningModule):
    """One whose gradients are clipped for fused optimisers too."""

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips by norm or by value."""
        if self.trainer.precision == "16-mixed":  # gradients are scaled: Lightning knows by how much
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            # Lightning refuses to clip for a fused optimiser, although nothing is scaled in this precision
            clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
