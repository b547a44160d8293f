"""A step of writing captions as one CUDA graph: at every word its kernels start by a single call.

On a GPU a word takes as long as its dozens of small kernels take to start, see graphed_step.py. A graph has
fixed shapes, but the captions of a batch end one after another. So images are rounded up, and what is
computed of those that are none is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from modules.decoders.ensemble import Reader
from modules.decoders.graphed_step import MOST, note_failure, record
from modules.decoding import DecoderState

IMAGES_APART = 32  # are the numbers of images that steps are recorded for


class Recorded(NamedTuple):
    """A step that was recorded for a number of images, and of hypotheses of each.

    Attributes:
        replay: Runs it.
        outputs: What it writes to: logits, recurrent states, and attention where there is any.
        inputs: What it reads: tokens, memory and recurrent states.
        places: Where the weights lay in memory.
    """

    replay: Callable[[], None]
    outputs: tuple[Tensor, ...]
    inputs: list[Tensor]
    places: list[int]


class GraphedReader:
    """Reads and steps as another does, by CUDA graphs from the second time on that shapes come.

    Weights that moved in memory take the plain way. So does all that comes after a recording that failed,
    which one line tells. Neither a gradient nor dropout goes through it.

    Args:
        reader: In evaluation mode.
        decoders: Have the reader's weights.
    """

    def __init__(self, reader: Reader, decoders: Sequence[nn.Module]) -> None:
        self.reader = reader
        self.weights = [weight for decoder in decoders for weight in decoder.parameters()]
        self.recorded: dict[tuple[Any, ...], Recorded] = {}
        self._given: Counter[tuple[Any, ...]] = Counter()
        self._read: dict[tuple[Any, ...], tuple[Tensor, ...]] = {}  # the memory that each has a copy of
        self._pool: Any = None
        self._failed = False

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
        key = (_precision(tokens.device.type), *shapes, *(tensor.dtype for tensor in given))
        self._given[key] += 1
        is_new = key not in self.recorded and len(self.recorded) < MOST
        if is_new and not self._failed and self._given[key] > 1:
            self._record(key, given, shapes, len(state.memory))
        recorded = self.recorded.get(key)
        if recorded is None or recorded.places != self._places():
            return self.reader.step(tokens, state)
        is_read = self._read.get(key)  # it is the same from word to word, and large
        is_kept = is_read is not None and all(a is b for a, b in zip(is_read, state.memory, strict=True))
        self._read[key] = state.memory
        for number, (ours, theirs) in enumerate(zip(recorded.inputs, given, strict=True)):
            if not is_kept or not 1 <= number <= len(state.memory):
                ours[: len(theirs)].copy_(theirs)
        recorded.replay()
        logits, *others = (output[:rows].clone() for output in recorded.outputs)
        recurrent, alpha = others[: len(state.recurrent)], others[len(state.recurrent) :]
        return logits, DecoderState(state.memory, tuple(recurrent)), alpha[0] if alpha else None

    def _record(
        self, key: tuple[Any, ...], given: list[Tensor], shapes: list[tuple[int, ...]], memories: int
    ) -> None:
        device, dtype = given[0].device, key[0]
        if self._pool is None and device.type == "cuda":
            self._pool = torch.cuda.graph_pool_handle()
        # an inference tensor could not be written to by a fit that samples, which is not in inference mode
        with torch.inference_mode(False):
            kept = [
                torch.zeros(shape, dtype=tensor.dtype, device=device)
                for shape, tensor in zip(shapes, given, strict=True)
            ]

        def run() -> tuple[Tensor, ...]:
            state = DecoderState(tuple(kept[1 : 1 + memories]), tuple(kept[1 + memories :]))
            # in the caller's precision; a cached copy of a weight would be that of the recording
            autocast = torch.autocast(device.type, dtype, dtype is not None, cache_enabled=False)
            with torch.inference_mode(False), torch.no_grad(), autocast:
                logits, after, alpha = self.reader.step(kept[0], state)
            return logits, *after.recurrent, *(() if alpha is None else (alpha,))

        try:
            replay, outputs = record(run, device, self._pool)
        except RuntimeError as error:
            self._failed = True
            note_failure(error)
            return
        self.recorded[key] = Recorded(replay, outputs, kept, self._places())

    def _places(self) -> list[int]:
        return [weight.data_ptr() for weight in self.weights]


def _precision(device: str) -> torch.dtype | None:
    """Returns the number type of products where autocast lowers it."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
