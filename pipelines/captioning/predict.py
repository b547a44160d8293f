"""Captions for every image of a folder: batched, resumable, on any number of processes."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningArgumentParser

from data_prep.batching import BatchLoader, ShareSampler, decoding_workers
from data_prep.input_files import list_files
from data_prep.left_out import SHOWN, write_list
from modules.captioning.batch import ImageBatch
from modules.captioning.captioner import Captioner
from modules.captioning.ensemble import CaptionerEnsemble
from modules.captioning.preprocessing import EvalTransform
from modules.captioning.pretrained import PRETRAINED
from modules.decoding import DecodingOptions
from modules.errors import InputError, check_at_least
from modules.images import UnreadableImage
from pipelines.captioning.prediction_rows import (
    ATTENTION_SUFFIX,
    UNDRAWN,
    RowWriter,
    file_state,
    finished,
    part_files,
    rows_of,
    write_rows,
)
from pipelines.devices import TRAINER_HELP
from pipelines.output_files import check_output, written_by_one

FormatName = Literal["jsonl", "csv", "coco"]
# a GPU's time goes into starting one small step after another: an H100 is 2.6 times as fast with 256
CPU_BATCH_SIZE, GPU_BATCH_SIZE = 32, 256
# the options that --help begins with
FIRST = (
    *("images", "ckpt_path", "output", "format", "attention", "overwrite", "mirrored"),
    *("decoding.beam_size", "batch_size", "device"),
)


@dataclass
class PredictionOptions:
    """Caption every image of a folder and its sub-folders.

    Args:
        images: Folder, walked recursively; every visible file gets one row.
        ckpt_path: Checkpoint of a captioner, such as RUN/checkpoints/best.ckpt; by default the ready-made
            one, which was trained on Flickr8k. Several write one caption together: the next word has the
            mean of their probabilities.
        output: File of the captions.
        format: jsonl, csv or coco; by default that of the output's suffix (.csv, .json for coco, else jsonl).
        attention: Folder for one picture per image with the attention of each word.
        batch_size: Images in a batch of one process; by default 256 on a GPU, 32 elsewhere.
        num_workers: Processes that decode images; by default one fewer than there are cores, at most 8.
        overwrite: Replace the output where it exists.
        mirrored: Caption an image together with its mirror image: better, and half as fast; by default as the
            captioner was trained (model.encoder.mirrored).
        decoding: How words are chosen. An option that is not given keeps the checkpoint's value.
    """

    images: Path
    ckpt_path: list[Path] | None = None
    output: Path = Path("captions.jsonl")
    format: FormatName | None = None
    attention: Path | None = None
    batch_size: int | None = None
    num_workers: int | None = None
    overwrite: bool = False
    mirrored: bool | None = None
    decoding: DecodingOptions = field(default_factory=DecodingOptions)


class FolderImages:
    """Takes numbers of files and returns a `ImageBatch`; a cut JPEG is among its images and its errors."""

    def __init__(self, root: Path, names: Sequence[str], transform: EvalTransform) -> None:
        self.root, self.names, self.transform = root, list(names), transform

    def __getitem__(self, numbers: list[int]) -> ImageBatch:
        images, names, errors = [], [], []
        for name in (self.names[number] for number in numbers):
            try:
                square, wrong = self.transform.read(self.root / name)
                images.append(square)
                names.append(name)
                if wrong:
                    errors.append((name, f"{wrong}; captioned as far as it goes"))
            except UnreadableImage as error:
                errors.append((name, error.reason))
        size = self.transform.size
        pixels = torch.stack(images) if images else torch.empty(0, 3, size, size, dtype=torch.uint8)
        return ImageBatch(pixels, names, errors)

    def __len__(self) -> int:
        return len(self.names)


def trainer_arguments(parser: LightningArgumentParser) -> None:
    """Adds Lightning's own options (`--trainer.devices 2`, ...) with what inference needs as defaults."""
    parser.add_argument("--device", type=str | None, default=None, help=TRAINER_HELP)
    parser.add_lightning_class_args(pl.Trainer, "trainer")
    parser.set_defaults(
        {
            "trainer.logger": False,
            "trainer.enable_checkpointing": False,
            "trainer.enable_progress_bar": False,
            "trainer.enable_model_summary": False,
            "trainer.use_distributed_sampler": False,
        }
    )


def caption_folder(
    options: PredictionOptions, model: Captioner | CaptionerEnsemble, trainer: pl.Trainer
) -> None:
    """Captions all files of a folder into one file, in the order of their names.

    Rows are written as they come to `OUTPUT.part-RANK`; the output appears when all are there. A run that was
    killed goes on where it stopped if checkpoint, decoding and folder are the same. What could not be read,
    and a file that has changed since, is captioned anew.
    """
    check_at_least(1, batch_size=options.batch_size)
    check_at_least(0, num_workers=options.num_workers)
    check_output(options.output, "output", options.overwrite, options.ckpt_path or [PRETRAINED])
    model.decoding, model.keep_attention = options.decoding, options.attention is not None
    if options.mirrored is not None:
        model.mirrored = options.mirrored
    names = _names(options)
    if options.attention is not None:
        try:
            options.attention.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{options.attention}: cannot be made ({error.strerror})") from error
    # one of several processes holds the output for all
    with written_by_one(options.output, "output") if trainer.is_global_zero else nullcontext():
        _caption(names, options, model, trainer)


def _caption(
    names: Sequence[str],
    options: PredictionOptions,
    model: Captioner | CaptionerEnsemble,
    trainer: pl.Trainer,
) -> None:
    part = options.output.with_name(f"{options.output.name}.part-{_identity(options, trainer.precision)}")
    states = {name: file_state(options.images / name) for name in names}
    done = finished(part, states)
    left = [name for name in names if name not in done]
    if trainer.is_global_zero and done:
        print(f"going on after {len(done):,} of {len(names):,} files")
    # the files of a killed run are read before this one adds to them
    trainer.strategy.barrier()

    transform = EvalTransform(model.encoder.image_size, model.resize)
    batch_size = options.batch_size
    if batch_size is None:
        batch_size = CPU_BATCH_SIZE if trainer.strategy.root_device.type == "cpu" else GPU_BATCH_SIZE
    sampler = ShareSampler(len(left), batch_size, rank=trainer.global_rank, world_size=trainer.world_size)
    workers = decoding_workers() if options.num_workers is None else options.num_workers
    loader = BatchLoader(FolderImages(options.images, left, transform), sampler, workers=workers)
    writer = RowWriter(part, len(left), options.images, options.attention, model, states)
    trainer.callbacks.append(writer)  # type: ignore[attr-defined]
    begun = time.monotonic()
    if left:  # a run may have been killed after its last caption
        trainer.predict(model, loader, return_predictions=False)
    trainer.strategy.barrier()
    if not trainer.is_global_zero:
        return
    written = {row["image"]: row for row in rows_of(part)}
    rows = [{key: value for key, value in written[name].items() if key != "file"} for name in names]
    write_rows(options.output, rows, _format(options))
    for file in part_files(part):
        file.unlink()
    captioned = sum("caption" in row for row in rows)
    undrawn = sum(UNDRAWN in row.get("error", "") for row in rows)
    seconds = time.monotonic() - begun
    print(f"{captioned:,} captions, {len(rows) - captioned:,} unreadable files, {seconds:.0f} s")
    print(f"captions in {options.output}")
    _name_wrong(options, [f"{row['image']}: {row['error']}" for row in rows if "error" in row])
    if options.attention is not None:
        missing = f", {undrawn:,} pictures could not be written: see the rows' errors" if undrawn else ""
        print(f"attention in {options.attention}{missing}")


def _name_wrong(options: PredictionOptions, wrong: Sequence[str]) -> None:
    """Names the first files with which something is wrong on stderr, and says where all of them are."""
    for line in wrong[:SHOWN]:
        print(f"warning: {line}", file=sys.stderr)
    if len(wrong) > SHOWN:
        place = f"have an error in {options.output}"
        if _format(options) == "coco":  # which has no room for errors
            listing = options.output.with_name(f"{options.output.name}.unreadable.txt")
            write_list(listing, wrong)
            place = f"are listed in {listing}"
        print(f"warning: {len(wrong) - SHOWN:,} more; all {place}", file=sys.stderr)


def _format(options: PredictionOptions) -> str:
    return options.format or {".csv": "csv", ".json": "coco"}.get(options.output.suffix.lower(), "jsonl")


def _names(options: PredictionOptions) -> list[str]:
    """Returns the files to caption, less what this command itself wrote where that lies among them."""
    resolve = cache(Path.resolve)  # asked once a folder, not once a file
    images, own = resolve(options.images), resolve(options.output)
    pictures = None if options.attention is None else resolve(options.attention)
    if pictures == images:
        raise InputError(f"{pictures}: holds the images; choose another folder for --attention")
    names = []
    for path in list_files(options.images):
        folder = resolve(path.parent)
        written = folder == own.parent and (
            path.name == own.name or path.name.startswith(f"{own.name}.part-")
        )
        if pictures is not None and images in pictures.parents and path.name.endswith(ATTENTION_SUFFIX):
            written = written or folder.is_relative_to(pictures)
        if not written:
            names.append(path.relative_to(options.images).as_posix())
    if not names:
        raise InputError(f"{options.images}: no files but those that this command wrote")
    return names


def _identity(options: PredictionOptions, precision: str) -> str:
    """Returns what a row depends on, as a short hash: rows of other settings are never taken over."""
    digest = hashlib.sha256()
    for checkpoint in options.ckpt_path or [PRETRAINED]:
        digest.update(checkpoint.read_bytes())
    settings = (
        str(options.images.resolve()),
        asdict(options.decoding),
        options.mirrored,
        str(options.attention),
        precision,
    )
    digest.update(repr(settings).encode())
    return digest.hexdigest()[:8]
