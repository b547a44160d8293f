"""A step of writing captions as one CUDA graph: at every word its kernels start by a single call.

On a GPU a word takes as long as its dozens of small kernels take to start, see graphed_step.py. A graph has
fixed shapes, but the captions of a batch end one after another. So images are rounded up, and what is
computed of those that are none is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from modules.decoders.ensemble import Reader
from modules.decoders.graphed_step import Key, Plan, Recordings
from modules.decoding import DecoderState

IMAGES_APART = 32  # are the numbers of images that steps are recorded for


class GraphedReader(Recordings):
    """Reads and steps as another does, by CUDA graphs from the second time on that shapes come.

    Weights that moved in memory take the plain way, and so does all that comes after a recording that failed.
    Neither a gradient nor dropout goes through it.

    Args:
        reader: In evaluation mode.
        decoders: Have the reader's weights.
    """

    def __init__(self, reader: Reader, decoders: Sequence[nn.Module]) -> None:
        super().__init__()
        self.reader = reader
        self.weights = [weight for decoder in decoders for weight in decoder.parameters()]
        self._read: dict[Key, tuple[Tensor, ...]] = {}  # the memory that each recording has a copy of

    def init_state(self, annotations: Any) -> DecoderState:
        """Returns the reader's state before the first word."""
        return self.reader.init_state(annotations)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Returns logits of the next word (N, V), the next state and the attention (N, L), if any."""
        rows = len(tokens)
        images = len(state.memory[0]) if state.memory else rows
        rounded = -(-images // IMAGES_APART) * IMAGES_APART
        rounded_rows = rounded * (rows // images)  # of hypotheses
        given = [tokens, *state.memory, *state.recurrent]
        lengths = [rounded_rows, *[rounded] * len(state.memory), *[rounded_rows] * len(state.recurrent)]
        shapes = [(length, *tensor.shape[1:]) for length, tensor in zip(lengths, given, strict=True)]
        precision = _precision(tokens.device.type)
        key = ("step", precision, *shapes, *(tensor.dtype for tensor in given))

        def plan() -> Plan:
            # an inference tensor could not be written to by a fit that samples, which is not in that mode
            with torch.inference_mode(False):
                kept = [
                    torch.zeros(shape, dtype=tensor.dtype, device=tokens.device)
                    for shape, tensor in zip(shapes, given, strict=True)
                ]
            return Plan(partial(self._run, kept, len(state.memory), precision), kept, self.weights)

        recorded = self.find(key, plan)
        if recorded is None:
            return self.reader.step(tokens, state)
        is_read = self._read.get(key)  # it is the same from word to word, and large
        is_kept = is_read is not None and all(a is b for a, b in zip(is_read, state.memory, strict=True))
        self._read[key] = state.memory
        for number, (ours, theirs) in enumerate(zip(recorded.inputs, given, strict=True)):
            if not is_kept or not 1 <= number <= len(state.memory):
                ours[: len(theirs)].copy_(theirs)
        recorded.replay()
        logits, *others = (output[:rows].clone() for output in recorded.made)
        recurrent, alpha = others[: len(state.recurrent)], others[len(state.recurrent) :]
        return logits, DecoderState(state.memory, tuple(recurrent)), alpha[0] if alpha else None

    def _run(self, kept: list[Tensor], memories: int, precision: torch.dtype | None) -> tuple[Tensor, ...]:
        """Returns logits, recurrent states, and attention where there is any, from what is kept."""
        state = DecoderState(tuple(kept[1 : 1 + memories]), tuple(kept[1 + memories :]))
        # in the caller's precision; a cached copy of a weight would be that of the recording
        autocast = torch.autocast(kept[0].device.type, precision, precision is not None, cache_enabled=False)
        with torch.inference_mode(False), torch.no_grad(), autocast:
            logits, after, alpha = self.reader.step(kept[0], state)
        return logits, *after.recurrent, *(() if alpha is None else (alpha,))


def _precision(device: str) -> torch.dtype | None:
    """Returns the number type of products where autocast lowers it."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
