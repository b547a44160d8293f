"""Language models, batches and fits for the tests of steps that are CUDA graphs."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from modules.decoders.language import LanguageDecoderOptions
from modules.language.batch import TextBatch
from modules.language.language_model import LanguageModel
from modules.language.options import LanguageTrainingOptions
from modules.text_codec import TextCodec

SMALL = LanguageDecoderOptions(layers=2, embedding_size=6, hidden_size=8)
TEXT = "the cat sat on the mat, the dog lay under the fig tree. " * 2


def model(decoder: dict[str, Any] | None = None, **training: Any) -> LanguageModel:
    made = LanguageModel(replace(SMALL, **decoder or {}), LanguageTrainingOptions(**training))
    made.use_codec(TextCodec.build("character", [TEXT]))
    return made


def batches(made: LanguageModel, streams: int = 3, length: int = 7) -> list[TextBatch]:
    ids = torch.tensor(made.codec.encode(TEXT))
    each = (len(ids) - 1) // streams // length * length  # whole windows alone
    given, wanted = ids[: each * streams].view(streams, -1), ids[1 : each * streams + 1].view(streams, -1)
    return [
        TextBatch(given[:, at : at + length], wanted[:, at : at + length], torch.full((streams,), at == 0))
        for at in range(0, each, length)
    ]


class Watch(pl.Callback):
    """Keeps the loss of every step, and counts steps that were replayed."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.counting: set[Any] = set()
        self.replayed = 0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))
        for shapes, recorded in pl_module.graphed.recorded.items() if pl_module.graphed else ():
            if shapes not in self.counting:
                counted = partial(self._count, recorded.replay)
                pl_module.graphed.recorded[shapes] = recorded._replace(replay=counted)
                self.counting.add(shapes)

    def _count(self, replay: Callable[[], None]) -> None:
        self.replayed += 1
        replay()


def fit(
    made: LanguageModel,
    parts: list[TextBatch],
    device: str = "cpu",
    ckpt_path: Path | None = None,
    **options: Any,
) -> Watch:
    watch = Watch()
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        enable_model_summary=False,
        callbacks=[watch, *options.pop("callbacks", [])],
        **{"max_epochs": 2, "gradient_clip_val": 1.0} | silent | options,
    )
    trainer.fit(made, DataLoader(parts, batch_size=None), ckpt_path=ckpt_path)  # type: ignore[arg-type]
    return watch
