"""The family of caption decoders beside Show, Attend and Tell: a training step, and batched beam search.

python -m pytest tests/benchmarks/test_caption_decoders_speed.py -m benchmark -s
"""

import time
from functools import partial

import pytest
import torch
from torch import Tensor

from modules.decoders.captions import DECODERS, CaptionDecoder, DecoderOptions
from modules.decoders.hard_attention import Draw, LocationLoss
from modules.decoding import EOS, DecodingOptions, decode
from modules.losses import cross_entropy_sum
from tests.benchmarks.ratio_table import show
from tests.benchmarks.turns import beam_search_ratio, medians

IMAGES, L, D, WORDS, VOCABULARY = 32, 196, 2048, 14, 9_490
REPEATS = 5
MOST_OF_A_STEP = 1.5  # times that of Show, Attend and Tell
BASE, OTHERS = "show_attend_tell", ("adaptive", "att2in", "top_down", "hard")
FLOOR_BEAM = 8.0
# both sides spend their time in the same products, and on one thread other programs disturb their ratio least
pytestmark = pytest.mark.usefixtures("one_thread")


def decoder_of(kind: str) -> CaptionDecoder:
    torch.manual_seed(0)
    options = (
        DecoderOptions(BASE, hard=True, dropout=0.0) if kind == "hard" else DecoderOptions(kind, dropout=0.0)
    )
    return DECODERS[options.kind](VOCABULARY, D, options)


@pytest.mark.benchmark
def test_a_training_step_beside_that_of_show_attend_tell() -> None:
    decoders, location_loss = {kind: decoder_of(kind) for kind in (BASE, *OTHERS)}, LocationLoss()
    annotations = torch.relu(torch.randn(IMAGES, L, D))
    tokens = torch.randint(4, VOCABULARY, (IMAGES, WORDS + 1))

    def step(kind: str) -> None:
        decoders[kind].zero_grad()
        draw = [Draw(IMAGES)] if kind == "hard" else []
        logits, alpha = decoders[kind](annotations, tokens[:, :-1], None, *draw)
        assert alpha is not None
        loss = cross_entropy_sum(logits, tokens[:, 1:])
        for each in draw:
            loss = loss + location_loss(each, logits, tokens[:, 1:])
        loss.backward()

    steps = {kind: partial(step, kind) for kind in decoders}
    for run in steps.values():  # warms up
        run()
    taken = medians(steps, REPEATS, time.process_time)
    show(
        f"Training step: {IMAGES} images of {L} x {D}, {WORDS} words of {VOCABULARY:,}",
        ("decoder", "CPU seconds", "times show_attend_tell"),
        [(kind, f"{median:.2f}", f"{median / taken[BASE]:.2f}") for kind, median in taken.items()],
    )
    for kind in OTHERS:
        assert taken[kind] <= MOST_OF_A_STEP * taken[BASE], kind


class OneAtATime:
    """A decoder as tutorials decode: every beam has a copy of the image, projected at each word.

    Args:
        decoder: The decoder.
        annotations: Of one image, (1, L, D).
    """

    def __init__(self, decoder: CaptionDecoder, annotations: Tensor) -> None:
        self.decoder, self.annotations = decoder, annotations

    def step(self, tokens: Tensor, state: tuple) -> tuple:
        copies = self.annotations.expand(len(tokens), -1, -1)
        again = self.decoder.init_state(copies)
        logits, after, alpha = self.decoder.step(tokens, again._replace(recurrent=state.recurrent))
        return logits, state._replace(recurrent=after.recurrent), alpha


@pytest.mark.benchmark
@pytest.mark.parametrize("kind", OTHERS)
@torch.no_grad()
def test_beam_search_of_32_images_against_one_at_a_time(kind: str) -> None:
    decoder = decoder_of(kind).eval()
    decoder.embedding.weight.mul_(30)
    decoder.output.weight.mul_(8)
    decoder.output.bias[EOS] += 4
    annotations = torch.relu(torch.randn(IMAGES, 1, D) + 0.5 * torch.randn(IMAGES, L, D))
    options = DecodingOptions(beam_size=5, min_length=8, max_length=14)
    batched: list[list[int]] = []
    alone: dict[int, list[int]] = {}

    def batch() -> None:
        found = decode(decoder.step, decoder.init_state(annotations), options, images=IMAGES)
        batched[:] = [hypothesis.tokens for hypothesis in found]

    def one(image: int) -> None:
        own = annotations[image : image + 1]
        slow = OneAtATime(decoder, own)
        (found,) = decode(slow.step, decoder.init_state(own), options, images=1)
        alone[image] = found.tokens

    batch()  # warms up
    compared = [0, 11, 22]
    title = f"Beam search of {kind}, {options.beam_size} beams"
    ratio = beam_search_ratio(title, batch, IMAGES, one, compared, time.process_time)
    assert {image: batched[image] for image in compared} == alone
    assert ratio >= FLOOR_BEAM
