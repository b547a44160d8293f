"""How a language model is trained: its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from modules.training import ScheduleOptions


@dataclass
class LanguageTrainingOptions(ScheduleOptions):
    """How the weights are found.

    Args:
        learning_rate: Largest learning rate.
        weight_decay: Decoupled weight decay of matrices (adamw); vectors have none.
        optimizer: adamw, or adagrad as the lecture's listing has it (its epsilon inside the square root).
        reduction: The loss of a step is the mean over all units, or their sum over the time steps of a
            stream, as min-char-rnn has it.
        calibrate: At the end of a fit divide the logits of the best checkpoint by the number that suits the
            validation text best (Guo et al. 2017).
        cuda_graphs: Record a step on an NVIDIA GPU once and start all its kernels by one call. It was never
            run on a GPU.
    """

    chosen_by: ClassVar[str] = "optimizer"
    read_by: ClassVar[dict[str, tuple[str, ...]]] = {"weight_decay": ("adamw",)}

    learning_rate: float = 2e-3
    optimizer: Literal["adamw", "adagrad"] = "adamw"
    reduction: Literal["mean", "sum"] = "mean"
    calibrate: bool = False
    cuda_graphs: bool = False
