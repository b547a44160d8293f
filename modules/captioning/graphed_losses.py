"""A captioner's losses by CUDA graphs: one for each length that captions are padded to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Float, Int
from torch import Tensor

from modules.captioning.batch import CaptionBatch, padded_captions
from modules.captioning.reinforcement import self_critical_sum
from modules.decoders.graphed_step import GraphedStep

if TYPE_CHECKING:
    from modules.captioning.captioner import Captioner

WORDS_APART = 4  # are the lengths: 30 words have eight, and a caption has two words of padding on the average


def captioner_obstacle(captioner: Captioner) -> str | None:
    """Returns why no step of a captioner can be a CUDA graph, or None."""
    if not captioner.encoder.is_frozen:
        return "the encoder is fine-tuned, and its kernels are long"
    if captioner.location_loss is not None:
        return "hard attention moves its baseline at each step"
    if captioner.training_options.own_words:
        return "model.training.own_words are drawn anew at each step"
    return None


def graphed_losses(captioner: Captioner, graphed: GraphedStep, batch: CaptionBatch) -> tuple[Tensor, ...]:
    """Returns `captioner.losses`, which a CUDA graph may compute.

    Args:
        captioner: In training, without an obstacle.
        graphed: Of its fit.
        batch: Annotations and their captions.
    """
    padded = batch.padded(WORDS_APART)
    given = [padded.inputs, padded.image_index, padded.tokens]

    def step(annotations: Tensor, images: Tensor, tokens: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        return captioner.losses(CaptionBatch(annotations, images, tokens, [], [], *weights), annotations)

    return graphed(captioner, "losses", step, given if batch.weights is None else [*given, batch.weights])


def graphed_self_critical_sum(
    captioner: Captioner,
    graphed: GraphedStep,
    annotations: Float[Tensor, "N L D"],
    tokens: Int[Tensor, "NS T"],
    advantages: Float[Tensor, "N S"],
) -> tuple[Tensor, ...]:
    """Returns `self_critical_sum`, which a CUDA graph may compute."""

    def step(*given: Tensor) -> tuple[Tensor, ...]:
        assert captioner.decoder is not None
        return self_critical_sum(captioner.decoder, *given)

    given = (annotations, padded_captions(tokens, WORDS_APART), advantages)
    return graphed(captioner, "self_critical_sum", step, given)
