"""Language models and a captioner on a GPU: steps of fits and of writing as CUDA graphs, and without.

python -m pytest tests/benchmarks/test_graphed_step_speed.py -m benchmark -s
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from torch.utils.data import DataLoader

from data_prep.text.streams import TrainingStreams
from modules.captioning.batch import CaptionBatch
from modules.captioning.captioner import Captioner
from modules.captioning.options import CaptioningTrainingOptions
from modules.decoders.captions import DecoderOptions
from modules.decoders.language import LanguageDecoderOptions
from modules.encoders.image import EncoderOptions
from modules.language.language_model import LanguageModel
from modules.language.options import LanguageTrainingOptions
from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary
from tests.benchmarks.ratio_table import show

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
V, STEPS, WARM, CAPTIONS = 96, 300, 20, 64
KARPATHY = {"layers": 3, "hidden_size": 512, "embedding_size": 0, "dropout": 0.5}


class Clock(pl.Callback):
    """Keeps the time at which every step ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *args: Any) -> None:
        torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    @property
    def milliseconds(self) -> float:
        """Median time of a step, those at the beginning left out."""
        return 1000 * statistics.median(np.diff(self.ends[WARM:]))


def milliseconds(model: pl.LightningModule, batches: Sequence[Any], precision: Any) -> float:
    clock = Clock()
    trainer = pl.Trainer(
        accelerator="gpu",
        devices=1,
        precision=precision,
        max_steps=STEPS,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=5.0,
    )
    trainer.fit(model, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return clock.milliseconds


def language_model(
    decoder: dict[str, Any], training: dict[str, Any], streams: int, length: int, precision: Any, graphs: bool
) -> float:
    model = LanguageModel(
        LanguageDecoderOptions(**decoder), LanguageTrainingOptions(**training, cuda_graphs=graphs)
    )
    model.use_codec(TextCodec.build("character", ["".join(map(chr, range(32, 32 + V)))]))
    ids = (np.random.default_rng(0).integers(0, V, 10**6) + len(Vocabulary.MARKERS)).astype(np.uint8)
    parts = TrainingStreams(ids, streams, length)
    return milliseconds(model, [parts.batch(0, n) for n in range(min(STEPS, len(parts)))], precision)


def captioner(graphs: bool) -> float:
    """Returns the milliseconds of a step on 64 captions of 8 to 16 words of as many images, from a cache."""
    config = yaml.safe_load((CONFIGS / "caption" / "flickr8k.yaml").read_text())["model"]
    model = Captioner(
        EncoderOptions(**config["encoder"]),
        DecoderOptions(**config["decoder"]),
        CaptioningTrainingOptions(**config["training"], cuda_graphs=graphs),
    )
    model.use_vocabulary(Vocabulary.build([f"word{number}"] for number in range(2_600)))
    random = torch.Generator().manual_seed(0)
    shape = (CAPTIONS, model.encoder.locations, model.encoder.annotation_size)
    annotations = torch.rand(shape, generator=random).half()
    batches = []
    for step in range(STEPS):
        tokens = torch.randint(4, 2_600, (CAPTIONS, 10 + step % 9), generator=random)
        tokens[:, 0], tokens[:, -1] = Vocabulary.BOS, Vocabulary.EOS
        names, said = [""] * CAPTIONS, [[""]] * CAPTIONS
        weights = torch.ones(CAPTIONS)
        batches.append(CaptionBatch(annotations, torch.arange(CAPTIONS), tokens, names, said, weights))
    return milliseconds(model, batches, "bf16-mixed")


@pytest.mark.benchmark
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.filterwarnings("ignore:.*no `val_dataloader`.*", "ignore:RNN module weights are not part.*")
def test_a_graph_against_kernels_started_one_by_one() -> None:
    config = yaml.safe_load((CONFIGS / "text" / "min_char_rnn.yaml").read_text())["model"]
    cases: dict[str, Callable[[bool], float]] = {
        "min-char-rnn, 25 characters": partial(
            language_model, config["decoder"], config["training"], 1, 25, "32-true"
        ),
        "2-layer LSTM 512, 128 x 64 characters": partial(language_model, {}, {}, 128, 64, "bf16-mixed"),
        "3-layer LSTM 512, dropout 0.5, 100 x 100 characters": partial(
            language_model, KARPATHY, {}, 100, 100, "bf16-mixed"
        ),
        "captioner of flickr8k.yaml, 64 captions": captioner,
    }
    found = {name: [case(graphs) for graphs in (False, True)] for name, case in cases.items()}
    show(
        f"A step of a fit on {torch.cuda.get_device_name()}, ms",
        ("model", "plain", "graph", "ratio"),
        [(name, f"{a:.2f}", f"{b:.2f}", f"{a / b:.1f}") for name, (a, b) in found.items()],
    )
    assert all(graphed < plain for plain, graphed in found.values())


def seconds_of_captions(graphs: bool) -> float:
    """Returns the seconds in which the ready-made captioner writes captions of 256 annotated images."""
    model = Captioner.pretrained().cuda()
    shape = (256, 2, model.encoder.locations, model.encoder.annotation_size)
    views = torch.rand(shape, generator=torch.Generator().manual_seed(0)).cuda()
    if graphs:
        model.write_by_graphs()
    took = []
    for _ in range(6):
        begun = time.perf_counter()
        model.caption(views, [""] * len(views))
        took.append(time.perf_counter() - begun)
    return statistics.median(took[2:])  # by then all is recorded


@pytest.mark.benchmark
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_captions_by_graphs_against_kernels_started_one_by_one() -> None:
    plain, graphed = seconds_of_captions(False), seconds_of_captions(True)
    rows = [("beam search, 256 images", f"{plain:.2f}", f"{graphed:.2f}", f"{plain / graphed:.1f}")]
    show(f"Writing on {torch.cuda.get_device_name()}, s", ("what", "plain", "graph", "ratio"), rows)
    assert graphed < plain
