"""Language models on a GPU: fits whose steps are CUDA graphs against those without.

python -m pytest tests/benchmarks/test_graphed_step_speed.py -m benchmark -s
"""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from torch.utils.data import DataLoader

from data_prep.text.streams import TrainingStreams
from modules.decoders.language import LanguageDecoderOptions
from modules.language.language_model import LanguageModel
from modules.language.options import LanguageTrainingOptions
from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary
from tests.benchmarks.ratio_table import show

MIN_CHAR_RNN = Path(__file__).resolve().parents[2] / "configs" / "text" / "min_char_rnn.yaml"
V, STEPS, WARM = 96, 300, 20
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


def milliseconds(
    decoder: dict[str, Any], training: dict[str, Any], streams: int, length: int, precision: Any, graphs: bool
) -> float:
    model = LanguageModel(
        LanguageDecoderOptions(**decoder), LanguageTrainingOptions(**training, cuda_graphs=graphs)
    )
    model.use_codec(TextCodec.build("character", ["".join(map(chr, range(32, 32 + V)))]))
    ids = (np.random.default_rng(0).integers(0, V, 10**6) + len(Vocabulary.MARKERS)).astype(np.uint8)
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
    )
    parts = TrainingStreams(ids, streams, length)
    trainer.fit(
        model, DataLoader([parts.batch(0, n) for n in range(min(STEPS, len(parts)))], batch_size=None)
    )  # type: ignore[arg-type]
    return clock.milliseconds


@pytest.mark.benchmark
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.filterwarnings("ignore:.*no `val_dataloader`.*", "ignore:RNN module weights are not part.*")
def test_a_graph_against_kernels_started_one_by_one() -> None:
    config = yaml.safe_load(MIN_CHAR_RNN.read_text())["model"]
    cases: dict[str, tuple[dict[str, Any], dict[str, Any], int, int, Any]] = {
        "min-char-rnn, 25 characters": (config["decoder"], config["training"], 1, 25, "32-true"),
        "2-layer LSTM 512, 128 x 64 characters": ({}, {}, 128, 64, "bf16-mixed"),
        "3-layer LSTM 512, dropout 0.5, 100 x 100 characters": (KARPATHY, {}, 100, 100, "bf16-mixed"),
    }
    found = {name: [milliseconds(*case, graphs) for graphs in (False, True)] for name, case in cases.items()}
    show(
        f"A step of a fit on {torch.cuda.get_device_name()}, ms",
        ("model", "plain", "graph", "ratio"),
        [(name, f"{a:.2f}", f"{b:.2f}", f"{a / b:.1f}") for name, (a, b) in found.items()],
    )
    assert all(graphed < plain for plain, graphed in found.values())
