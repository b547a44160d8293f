"""What grows with the photographs of a captioner's training: memory, time to begin, time of a step.

A folder takes COCO's layout with as many photographs and 4.88 captions of each, and a cache filled with
annotations of 224 px: 10 GB for 123,000. Photographs are one JPEG with a number behind its end, annotations
256 drawn ones repeated: nothing is decoded or encoded here, and training reads them as it would others.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from PIL import Image

from data_prep.captions.datamodule import CaptionDataModule
from data_prep.captions.features import FeatureCache
from modules.captioning.captioner import Captioner
from modules.captioning.options import CaptioningTrainingOptions
from modules.captioning.preprocessing import EvalTransform
from modules.decoders.captions import DecoderOptions
from modules.encoders.image import EncoderOptions
from tests.benchmarks.ratio_table import show

STEPS, BATCH = 12, 64
VALIDATION = 40  # every so many-th photograph validates, as in COCO
DISTINCT = 256
WORDS = 9_000


def captioner() -> Captioner:
    """The captioner of configs/caption/flickr8k.yaml without mirror images and consensus."""
    encoder = EncoderOptions("efficientnet_lite2", stage=[3, 4], image_size=224)
    decoder = DecoderOptions(
        cell="lstm", embedding_size=300, hidden_size=512, attention_size=256, tied=True, dropout=0.5
    )
    return Captioner(encoder, decoder, CaptioningTrainingOptions(learning_rate=2e-3))


def sentences(random: np.random.Generator) -> Iterator[str]:
    """Yields captions of 7 to 15 words, of which few are frequent."""
    words = ["".join(random.choice(list("aeiourstlnmdpk"), 2 + number % 7)) for number in range(WORDS)]
    frequency = 1 / np.arange(1, WORDS + 1)
    while True:
        for row in random.choice(WORDS, (10_000, 15), p=frequency / frequency.sum()):
            yield " ".join(words[number] for number in row[: 7 + int(row[0]) % 9]) + "."


def write_photographs(folder: Path, count: int) -> list[Path]:
    """Writes COCO's layout with as many photographs; returns them."""
    random = np.random.default_rng(0)
    buffer = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(buffer, "JPEG")
    said = sentences(random)
    paths: list[Path] = []
    for split in ("train", "val"):
        numbers = [n for n in range(count) if (n % VALIDATION == 0) == (split == "val")]
        images = [{"id": n, "file_name": f"{n:012}.jpg"} for n in numbers]
        captions = [
            {"image_id": n, "id": 5 * n + place, "caption": next(said)}
            for n in numbers
            for place in range(5 if n % 8 else 4)
        ]
        for name in ("annotations", f"{split}2017"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        text = json.dumps({"images": images, "annotations": captions})
        (folder / "annotations" / f"captions_{split}2017.json").write_text(text)
        for image in images:
            paths.append(folder / f"{split}2017" / str(image["file_name"]))
            paths[-1].write_bytes(buffer.getvalue() + f"{image['id']:09}".encode())
    return paths


def fill_cache(root: Path, paths: list[Path]) -> None:
    """Fills the cache as if each photograph had been encoded."""
    encoder = captioner().encoder
    cache = FeatureCache.open(encoder, EvalTransform(224), root=root)
    drawn = np.random.default_rng(0).standard_normal((DISTINCT, *cache.store.shape)).clip(0)
    block = drawn.astype(cache.store.dtype).tobytes()
    with cache.store.writing(cache.meta), cache.store.appending(len(paths)) as data:
        for first in range(0, len(paths), DISTINCT):
            part = paths[first : first + DISTINCT]
            data.write(block[: len(part) * cache.store.row_bytes])
            lines = [{"sha256": f"{first + place:064x}", "row": first + place} for place in range(len(part))]
            cache.store.commit(data, lines)
    with (cache.folder / "files.jsonl").open("w") as files:
        for row, path in enumerate(paths):
            status = path.stat()
            known = {"path": str(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
            files.write(json.dumps({**known, "sha256": f"{row:064x}"}) + "\n")


def memory_mb(kind: str) -> float:
    """Returns resident memory of this process: RssAnon is its own, RssFile that of mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024


class Clock(pl.Callback):
    """Writes down when each step of training begins and ends."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self.begun: list[float] = []
        self.ended: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.epochs.append(time.perf_counter())

    def on_train_batch_start(self, *_: object) -> None:
        self.begun.append(time.perf_counter())

    def on_train_batch_end(self, *_: object) -> None:
        self.ended.append(time.perf_counter())


def train(folder: Path) -> dict[str, float]:
    """Trains some steps of two epochs in this process; returns what it took, in seconds and megabytes."""
    model, clock = captioner(), Clock()
    before = memory_mb("RssAnon")
    started = time.perf_counter()
    data = CaptionDataModule(folder, batch_size=BATCH, min_count=5, cache=folder / "cache")
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        limit_train_batches=STEPS,
        limit_val_batches=0,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        gradient_clip_val=5.0,
    )
    data.read()
    read = time.perf_counter()
    model.use_data(data)
    trainer.fit(model, datamodule=data)
    # a step begins when the one before has ended: fetching its batch is a part of it
    ends = [end for step, end in enumerate(clock.ended) if step % STEPS]
    starts = [end for step, end in enumerate(clock.ended) if step % STEPS != STEPS - 1]
    return {
        "photographs": len(data.splits["train"]) + len(data.splits["val"]),
        "read": read - started,
        "first step": clock.begun[0] - started,
        "next epoch": clock.begun[STEPS] - clock.epochs[1],
        "step ms": 1000 * float(np.median(np.subtract(ends, starts))),
        "own MB": memory_mb("RssAnon") - before,
        "mapped MB": memory_mb("RssFile"),
    }


def measure(folder: Path, count: int) -> dict[str, float]:
    """Writes photographs and their cache, trains on them in a fresh process, and removes them."""
    place = folder / str(count)
    fill_cache(place / "cache", write_photographs(place, count))
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.caption_growth", str(place)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    shutil.rmtree(place)
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def table(rows: list[dict[str, float]]) -> None:
    """Prints what was measured."""
    show(
        f"Training a captioner on cached annotations of 224 px, {BATCH} captions a step",
        tuple(rows[0]),
        [
            tuple(f"{value:,.0f}" if value >= 100 else f"{value:.2f}" for value in row.values())
            for row in rows
        ],
    )


if __name__ == "__main__":
    print(json.dumps(train(Path(sys.argv[1]))))
