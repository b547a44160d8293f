"""Sampling: a prepared decoder with large matrices in 8 bits, and in float32, against plain steps.

python -m pytest tests/benchmarks/test_sampling_speed.py -m benchmark -s
"""

from itertools import islice

import pytest
import torch

from modules.decoders.language import LanguageDecoderOptions
from modules.decoders.language_steps import multiplies_int8
from modules.decoding import DecodingOptions, sample_stream
from modules.language.continuation import MARKERS, Prompt, continuations
from modules.language.language_model import LanguageModel
from modules.text_codec import TextCodec
from tests.benchmarks.ratio_table import show
from tests.benchmarks.turns import medians

V = 96  # printable characters
CHARACTERS, REPEATS = 100, 9
DECODING = DecodingOptions("sample", temperature=0.8)
PROMISED = 2.0


def language_model(width: int) -> LanguageModel:
    model = LanguageModel(
        LanguageDecoderOptions(layers=2, embedding_size=128, hidden_size=width, connection="residual")
    )
    model.use_codec(TextCodec.build("character", ["".join(map(chr, range(32, 32 + V)))]))
    return model.eval()


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.benchmark
@pytest.mark.skipif(not multiplies_int8(torch.zeros(1)), reason="this processor has no kernel for 8 bits")
@pytest.mark.parametrize("width", [192, 256, 512, 1024])
def test_sampling_from_one_prompt(width: int, threads: int) -> None:
    model = language_model(width)
    decoder, begun = model.decoder, torch.tensor([4])
    plainly = sample_stream(decoder.step, decoder.init_state(1), begun, DECODING, banned=MARKERS)
    streams = {"plain steps": plainly}
    for weights in ("float32", "auto"):
        streams[weights] = continuations(model, Prompt([4], False), DECODING, 10**6, 1, weights)
    runs = {name: lambda stream=stream: list(islice(stream, CHARACTERS)) for name, stream in streams.items()}
    for run in runs.values():  # warms up
        run()
    found = medians(runs, REPEATS)
    plain = found["plain steps"]
    show(
        f"Sampling from one prompt, 2-layer LSTM {width}, threads: {threads}",
        ("weights", "characters a second", "ratio"),
        [(name, f"{CHARACTERS / s:,.0f}", f"{plain / s:.2f}") for name, s in found.items()],
    )
    if width >= 512:
        assert plain / found["auto"] >= PROMISED
