"""A recurrent model that reads a sentence and predicts the one word after it (many to one), and its training.

Only the last time step has a loss, so whatever the model learns about the first word has come through all
steps between: the shortest program in which gradients vanish or explode.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from modules.language.gradient_flow import gradient_flow
from modules.recurrent import RecurrentStack


class LastWordModel(nn.Module):
    """`p = softmax(V y_T + b)`: embeddings, a recurrent stack, and one prediction from its last output y_T.

    Args:
        stack: Reads the embeddings, which have its input size.
        vocabulary_size: Number of words V.
    """

    def __init__(self, stack: RecurrentStack, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, stack.cells[0].input_size)
        self.stack = stack
        self.readout = nn.Linear(stack.output_size, vocabulary_size)

    def forward(self, words: Int[Tensor, "B T"]) -> Float[Tensor, "B V"]:
        """Returns the logits of the word after the last one."""
        outputs, _ = self.stack(self.embedding(words))  # (B, T, O)
        return self.readout(outputs[:, -1])

    def gradient_flow(self, words: Int[Tensor, "B T"], targets: Int[Tensor, " B"]) -> Float[Tensor, " T"]:
        """Returns the mean `|dJ/dh_j|` by distance, J the cross-entropy of the last step."""

        def loss(output: Tensor) -> Tensor:
            return F.cross_entropy(self.readout(output), targets, reduction="none")

        return gradient_flow(self.stack, self.embedding(words), loss)


@dataclass
class TrainingRecord:
    """What happened in training, step by step.

    Args:
        losses: Mean cross-entropy of each batch, in nats.
        gradient_norms: Norm of the gradient of all weights, before clipping.
        diverged: Whether training ended early, at a loss or gradient that is no finite number.
    """

    losses: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    diverged: bool = False


def train_last_word(
    model: LastWordModel,
    batches: Iterable[tuple[Int[Tensor, "B T"], Int[Tensor, " B"]]],
    learning_rate: float,
    clip_norm: float | None,
) -> TrainingRecord:
    """Returns the record of a training by Adam, one step a batch.

    With clipping a gradient g longer than the threshold is scaled to it: `g <- threshold / |g| g` (Pascanu et
    al. 2013, algorithm 1).

    Args:
        model: Trained in place.
        batches: Words and the word after them.
        learning_rate: Of every step.
        clip_norm: Threshold, or None for no clipping.
    """
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    record = TrainingRecord()
    for words, targets in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(words), targets)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf if clip_norm is None else clip_norm)
        record.losses.append(loss.item())
        record.gradient_norms.append(norm.item())
        if not (math.isfinite(record.losses[-1]) and math.isfinite(record.gradient_norms[-1])):
            record.diverged = True  # a step from here would make every weight NaN
            break
        optimizer.step()
    return record


@torch.no_grad()
def last_word_accuracy(model: LastWordModel, words: Int[Tensor, "B T"], targets: Int[Tensor, " B"]) -> float:
    """Returns the share of sentences whose next word the model holds to be the most probable."""
    model.eval()
    return (model(words).argmax(dim=-1) == targets).float().mean().item()
