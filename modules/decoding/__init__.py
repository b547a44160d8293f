"""Decoding over `step`: greedy, beam search and sampling, the same for every decoder.

A decoder offers `step(tokens (N,), state) -> (logits (N, V), state, alpha (N, L) or None)`. Its state keeps
what belongs to an image (annotations and their projection: `memory`, one row an image) apart from what
belongs to a hypothesis (`recurrent`, one row a hypothesis, K rows an image in order): K beams share one copy
of the annotations, and reordering beams moves only hidden states.

Nothing here depends on which images share a batch: scores are compared within an image only, images that
are finished leave the batch, and random numbers belong to the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from modules.decoding.beam_search import beam_search
from modules.decoding.hypotheses import BOS, EOS, DecoderState, DecodingOptions, Hypothesis, Step
from modules.decoding.word_by_word import one_by_one, sample_stream

__all__ = ["EOS", "DecoderState", "DecodingOptions", "Hypothesis", "beam_search", "decode", "sample_stream"]


def decode(
    step: Step,
    state: DecoderState,
    options: DecodingOptions,
    *,
    images: int,
    keep_alpha: bool = False,
    seeds: Sequence[int] | None = None,
    bos: int = BOS,
    required: Sequence[int] = (),
) -> list[Hypothesis]:
    """Returns the best hypothesis of each image.

    Args:
        step: One time step of a decoder.
        state: Its initial state, one hypothesis an image.
        options: How to choose.
        images: Number of images B.
        keep_alpha: Keep the attention of each token.
        seeds: Sampling: one number an image; by default its place in the batch.
        bos: The token before the first.
        required: Beam search: tokens that a hypothesis has to have.
    """
    with torch.no_grad():
        if options.method == "beam":
            beams = beam_search(
                step, state, options, images=images, keep_alpha=keep_alpha, bos=bos, required=required
            )
            return [hypotheses[0] for hypotheses in beams]
        return one_by_one(step, state, options, images, keep_alpha, seeds, bos)
