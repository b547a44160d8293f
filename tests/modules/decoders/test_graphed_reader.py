"""Captions written by CUDA graphs are those written without; a stand-in records where there is no GPU."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.decoders import graphed_step
from modules.decoders.captions import DECODERS, DecoderOptions
from modules.decoders.ensemble import EnsembleDecoder, Reader
from modules.decoders.graphed_reader import IMAGES_APART, GraphedReader
from modules.decoders.mirrored import MirroredDecoder
from modules.decoding import DecoderState, DecodingOptions, decode
from modules.vocabulary import Vocabulary
from tests.modules.recording import OnlyMeta, stand_in

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
pytestmark = pytest.mark.usefixtures("one_thread")
V, D, GRID, IMAGES = 12, 6, (2, 3), 7
SMALL = DecoderOptions(embedding_size=6, hidden_size=8, attention_size=5)
KINDS: list[dict[str, Any]] = [
    *({"kind": kind} for kind in DECODERS),
    {"context_size": 7, "attention": "multiplicative", "layers": 2},
    {"cell": "gru", "hard": True},
]
METHODS = [
    DecodingOptions(method="greedy", max_length=9),
    DecodingOptions(method="sample", max_length=9, seed=3),
    DecodingOptions(beam_size=3, max_length=9, no_repeat_ngram=2),
]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=on_gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Names the device; on a CPU the stand-in records."""
    if request.param == "cpu":
        monkeypatch.setattr(graphed_step, "record", stand_in)
    with torch.no_grad():
        yield request.param


def decoder(options: dict[str, Any] | None = None, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    kind = replace(SMALL, **options or {})
    made = DECODERS[kind.kind](V, D, kind).eval()
    for weight in made.parameters():
        weight.data.mul_(4)  # or all images would have one caption
    return made


class EndsInTurn:
    """Reads as another does, but the caption of the first image ends after a word, of the next after two."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def init_state(self, read: Any) -> DecoderState:
        state = self.reader.init_state(read)
        left = torch.arange(len(state.recurrent[0]), device=state.recurrent[0].device) + 1.0
        return DecoderState(state.memory, (*state.recurrent, left.unsqueeze(1)))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        *recurrent, left = state.recurrent
        logits, after, alpha = self.reader.step(tokens, DecoderState(state.memory, tuple(recurrent)))
        is_end = torch.arange(V, device=left.device) == Vocabulary.EOS
        logits = logits + 100 * ((left < 1) & is_end)
        return logits, DecoderState(after.memory, (*after.recurrent, left - 1)), alpha


def annotations(images: int = IMAGES, *more: int) -> Tensor:
    return torch.rand(images, *more, GRID[0] * GRID[1], D, generator=torch.Generator().manual_seed(1))


def texts(reader: Reader, read: Any, options: DecodingOptions, images: int = IMAGES) -> list[list[int]]:
    found = decode(reader.step, reader.init_state(read), options, images=images, keep_alpha=True)
    return [hypothesis.tokens for hypothesis in found]


@pytest.mark.parametrize("options", METHODS, ids=lambda options: options.method)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_captions_are_the_same(device: str, kind: dict[str, Any], options: DecodingOptions) -> None:
    made, read = decoder(kind).to(device), annotations().to(device)
    reader = EndsInTurn(made)
    graphed, expected = GraphedReader(reader, [made]), texts(reader, read, options)
    assert len({len(text) for text in expected}) > 3  # what is left of the batch is less and less
    for _ in range(2):
        assert texts(graphed, read, options) == expected
    assert graphed.recorded


@pytest.mark.parametrize("options", METHODS, ids=lambda options: options.method)
def test_those_of_mirrored_images_and_of_several_decoders_are_too(
    device: str, options: DecodingOptions
) -> None:
    first, second = decoder().to(device), decoder({"kind": "show_and_tell"}, 1).to(device)
    mirrored = MirroredDecoder(first, GRID)
    views = annotations(IMAGES, 2).to(device)
    both = EnsembleDecoder([mirrored, second])
    for reader, read in ((mirrored, views), (both, [views, views[:, 0]])):
        graphed = GraphedReader(reader, [first, second])
        assert texts(graphed, read, options) == texts(reader, read, options)
        assert graphed.recorded


def test_batches_of_about_as_many_images_share_a_graph(device: str) -> None:
    made = decoder().to(device)
    graphed, options = GraphedReader(made, [made]), METHODS[0]
    for images in (IMAGES, 5, IMAGES_APART, IMAGES_APART + 1, IMAGES_APART + 3):
        read = annotations(images).to(device)
        assert texts(graphed, read, options, images) == texts(made, read, options, images)
    assert sorted(key[2][0] for key in graphed.recorded) == [IMAGES_APART, 2 * IMAGES_APART]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_nothing_that_is_recorded_waits_for_the_device(kind: dict[str, Any]) -> None:
    """A meta tensor has no values: whatever asks for one, or for a shape that depends on values, fails."""
    made = decoder(kind).to("meta")
    reader = MirroredDecoder(made, GRID)
    state = reader.init_state(annotations(4, 2).to("meta"))
    with torch.no_grad(), OnlyMeta():
        logits, after, _ = reader.step(torch.empty(4, dtype=torch.long, device="meta"), state)
    assert all(tensor.device.type == "meta" for tensor in (logits, *after.recurrent))


def step_twice(graphed: GraphedReader, read: Tensor) -> tuple[Tensor, DecoderState]:
    tokens, state = torch.ones(len(read), dtype=torch.long, device=read.device), graphed.init_state(read)
    for _ in range(2):
        logits, after, _ = graphed.step(tokens, state)
    return logits, after


def test_what_a_step_gave_outlives_the_next(device: str) -> None:
    made, read = decoder().to(device), annotations().to(device)
    graphed = GraphedReader(made, [made])
    logits, after = step_twice(graphed, read)
    kept = [tensor.clone() for tensor in (logits, *after.recurrent)]
    graphed.step(torch.full((IMAGES,), 5, device=device), after)
    assert all(torch.equal(a, b) for a, b in zip(kept, (logits, *after.recurrent), strict=True))


def test_a_fit_samples_by_what_was_recorded_in_a_validation(device: str) -> None:
    """Lightning validates in inference mode, whose tensors nothing else may write to."""
    made, read = decoder().to(device), annotations().to(device)
    graphed = GraphedReader(made, [made])
    with torch.inference_mode():
        expected = step_twice(graphed, read)[0].clone()
    ((key, recorded),) = graphed.recorded.items()
    assert not any(tensor.is_inference() for tensor in (*recorded.inputs, *recorded.made))
    assert torch.allclose(step_twice(graphed, read)[0], expected)
    with torch.inference_mode():
        assert torch.allclose(step_twice(graphed, read)[0], expected)
    assert list(graphed.recorded) == [key]


def test_each_precision_has_its_own(device: str) -> None:
    made, read = decoder().to(device), annotations().to(device)
    graphed = GraphedReader(made, [made])
    exact = step_twice(graphed, read)[0]
    with torch.autocast(device, torch.bfloat16):
        rounded = step_twice(graphed, read)[0]
        plain = made.step(torch.ones(IMAGES, dtype=torch.long, device=device), made.init_state(read))[0]
    assert len(graphed.recorded) == 2 and rounded.dtype == plain.dtype == torch.bfloat16 != exact.dtype
    torch.testing.assert_close(rounded, plain)


def test_new_weights_are_read_and_moved_ones_take_the_plain_step(device: str) -> None:
    made, read = decoder().to(device), annotations().to(device)
    graphed = GraphedReader(made, [made])
    before = step_twice(graphed, read)[0]
    made.output.weight.data.mul_(2)
    tokens = torch.ones(IMAGES, dtype=torch.long, device=device)
    after = step_twice(graphed, read)[0]
    torch.testing.assert_close(after, made.step(tokens, made.init_state(read))[0])
    assert not torch.allclose(before, after)
    ((key, recorded),) = graphed.recorded.items()
    replays: list[int] = []
    graphed.recorded[key] = recorded._replace(replay=lambda: replays.append(1))
    made.output.weight.data = made.output.weight.data.clone()
    assert torch.equal(step_twice(graphed, read)[0], made.step(tokens, made.init_state(read))[0])
    assert not replays


def test_a_recording_that_fails_is_told_once(
    device: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(run: Any, device: Any, pool: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(graphed_step, "record", fail)
    made, read = decoder().to(device), annotations().to(device)
    for options in METHODS:
        assert texts(GraphedReader(made, [made]), read, options) == texts(made, read, options)
    said = capsys.readouterr().err.strip().splitlines()
    reason = "operation not permitted when stream is capturing"
    assert said == [f"note: cuda_graphs has no effect: the step cannot be recorded: {reason}"] * len(METHODS)
