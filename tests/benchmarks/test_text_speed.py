"""Language models: training against min-char-rnn in NumPy and against matrix products alone, and sampling.

python -m pytest tests/benchmarks/test_text_speed.py -m benchmark -s
"""

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from data_prep.text.streams import TrainingStreams
from modules.decoders.language import LanguageDecoderOptions
from modules.decoding import DecodingOptions
from modules.language.continuation import Prompt, continuations
from modules.language.language_model import LanguageModel
from modules.language.options import LanguageTrainingOptions
from modules.precision import fast_dtype
from modules.text_codec import TextCodec
from modules.training import clip_gradients
from modules.vocabulary import Vocabulary
from tests.benchmarks.min_char_rnn import HIDDEN_SIZE, SEQUENCE_LENGTH, MinCharRNN
from tests.benchmarks.ratio_table import show

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "text" / "min_char_rnn.yaml"
MARKERS = len(Vocabulary.MARKERS)
V, H, E, LAYERS = 96, 512, 128, 2  # printable characters; the large model
STREAMS, WINDOW = 128, 64  # of the large model's training
REPEATS = 5
# the products of 32 x 25 characters, 96 million operations, alone would end at a ratio of 30 on one core, and
# some 200 calls of PyTorch's take the rest: the goal of 20 is not reached, and the floor guards what is
FLOOR_AGAINST_NUMPY, PROMISED_OF_PEAK = 12.0, 0.6
PROMISED_ALONE, PROMISED_TOGETHER = 500.0, 5000.0


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def text(length: int) -> np.ndarray:
    """Returns ids of V characters that depend on one another a little."""
    random = np.random.default_rng(0)
    steps = random.integers(0, 7, length)
    return (steps.cumsum() % V + MARKERS).astype(np.uint8)


def language_model(decoder: LanguageDecoderOptions, training: LanguageTrainingOptions) -> LanguageModel:
    model = LanguageModel(decoder, training)
    model.use_codec(TextCodec.build("character", ["".join(map(chr, range(32, 32 + V)))]))
    return model


class Training:
    """The steps of a fit: windows of the text, carried state, loss, gradients, clipping, optimiser."""

    def __init__(
        self, model: LanguageModel, streams: TrainingStreams, clip: tuple[float, str], half: bool
    ) -> None:
        self.model, self.streams, self.clip, self.half = model.train(), streams, clip, half
        self.optimizer = model.build_optimizer()
        self.number = 0

    def step(self) -> None:
        model, batch = self.model, self.streams.batch(0, self.number % len(self.streams))
        with torch.autocast("cpu", torch.bfloat16) if self.half else nullcontext():
            before = model.continued(model.carried, batch, self.number % len(self.streams) == 0)
            nats, units, model.carried = model.losses(batch, before)
        self.optimizer.zero_grad()
        (nats / units).backward()
        clip_gradients(self.optimizer, *self.clip)
        self.optimizer.step()
        self.number += 1


@pytest.mark.benchmark
def test_training_against_min_char_rnn_in_numpy() -> None:
    config = yaml.safe_load(CONFIG.read_text())["model"]
    decoder = LanguageDecoderOptions(**config["decoder"])
    assert decoder.hidden_size == HIDDEN_SIZE
    ids = text(400_000)
    data = (ids.astype(int) - MARKERS).tolist()
    listing = MinCharRNN(V, np.random.default_rng(0))
    model = language_model(decoder, LanguageTrainingOptions(**config["training"]))
    training = Training(model, TrainingStreams(ids, 32, SEQUENCE_LENGTH), (5.0, "value"), half=False)

    def written_out() -> None:
        for _ in range(20):
            listing.iterate(data)

    def ours() -> None:
        for _ in range(20):
            training.step()

    written_out(), ours()  # warm up
    times: dict[str, list[float]] = {"NumPy, one stream": [], "here, 32 streams": []}
    for _ in range(4 * REPEATS):  # taking turns, so that a busy machine slows both
        times["NumPy, one stream"].append(seconds(written_out) / (20 * SEQUENCE_LENGTH))
        times["here, 32 streams"].append(seconds(ours) / (20 * SEQUENCE_LENGTH * 32))
    medians = {name: statistics.median(values) for name, values in times.items()}
    plain = medians["NumPy, one stream"]
    show(
        f"min-char-rnn: hidden {HIDDEN_SIZE}, {SEQUENCE_LENGTH} steps, {V} characters, training",
        ("path", "characters a second", "ratio"),
        [(name, f"{1 / s:,.0f}", f"{plain / s:.1f}") for name, s in medians.items()],
    )
    assert plain / medians["here, 32 streams"] >= FLOOR_AGAINST_NUMPY


def products() -> list[tuple[int, int, int]]:
    """Returns rows, depth and columns of all products of a training step of the large model."""
    found = []
    for depth in (E, H):
        # W x of all time steps at once; its gradients
        found += [
            (STREAMS * WINDOW, depth, 4 * H),
            (STREAMS * WINDOW, 4 * H, depth),
            (4 * H, STREAMS * WINDOW, depth),
        ]
        # U h of each time step; its gradients
        found += (
            [(STREAMS, H, 4 * H)] * WINDOW + [(STREAMS, 4 * H, H)] * WINDOW + [(4 * H, STREAMS * WINDOW, H)]
        )
    units = V + MARKERS
    found += [(STREAMS * WINDOW, H, units), (STREAMS * WINDOW, units, H), (units, STREAMS * WINDOW, H)]
    return found


@pytest.mark.benchmark
def test_training_a_large_lstm_against_its_matrix_products_alone() -> None:
    kind = fast_dtype(torch.device("cpu"))
    half = kind == torch.bfloat16
    operations = sum(2 * rows * depth * columns for rows, depth, columns in products())
    operands: dict[tuple[int, int, int], tuple[Tensor, Tensor]] = {
        (m, k, n): (torch.randn(m, k).to(kind), torch.randn(k, n).to(kind)) for m, k, n in products()
    }

    def peak() -> None:
        for shape in products():
            torch.mm(*operands[shape])

    options = LanguageDecoderOptions(cell="lstm", layers=LAYERS, embedding_size=E, hidden_size=H)
    model = language_model(options, LanguageTrainingOptions())
    training = Training(model, TrainingStreams(text(1_000_000), STREAMS, WINDOW), (1.0, "norm"), half)

    peak(), training.step()  # warm up
    alone, whole = [], []
    for _ in range(REPEATS):  # taking turns, so that a busy machine slows both
        alone.append(seconds(peak))
        whole.append(seconds(training.step))
    products_alone, step = statistics.median(alone), statistics.median(whole)
    show(
        f"{LAYERS}-layer LSTM {H}, {STREAMS} x {WINDOW} characters, {kind}",
        ("what", "seconds", "billion operations a second", "share"),
        [
            (
                "its matrix products alone",
                f"{products_alone:.2f}",
                f"{operations / products_alone / 1e9:.0f}",
                "100 %",
            ),
            (
                f"training ({STREAMS * WINDOW / step:,.0f} characters a second)",
                f"{step:.2f}",
                f"{operations / step / 1e9:.0f}",
                f"{100 * products_alone / step:.0f} %",
            ),
        ],
    )
    assert products_alone / step >= PROMISED_OF_PEAK


@pytest.mark.benchmark
def test_sampling_from_a_large_lstm() -> None:
    options = LanguageDecoderOptions(cell="lstm", layers=LAYERS, embedding_size=E, hidden_size=H)
    model = language_model(options, LanguageTrainingOptions()).eval()
    found = {}
    for prompts in (1, 32):
        for name, choice in {"all": {}, "top_p 0.95": {"top_p": 0.95}}.items():
            decoding = DecodingOptions("sample", temperature=0.8, **choice)
            stream = continuations(model, Prompt([MARKERS], False), decoding, 10**6, prompts)
            list(islice(stream, 50))  # warms up
            times = [seconds(lambda stream=stream: list(islice(stream, 100))) for _ in range(REPEATS)]
            found[prompts, name] = 100 * prompts / statistics.median(times)
    show(
        f"Sampling from a {LAYERS}-layer LSTM {H}, float32, drawn and decoded",
        ("prompts", "drawn from", "characters a second"),
        [(str(prompts), name, f"{rate:,.0f}") for (prompts, name), rate in found.items()],
    )
    for (prompts, name), rate in found.items():
        assert rate >= (PROMISED_ALONE if prompts == 1 else PROMISED_TOGETHER), (prompts, name)
