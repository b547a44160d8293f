"""Captions for every image of a folder or archive: batched, resumable, on any number of processes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Container, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch

from data_prep.captions.onnx_encoders import hasten
from data_prep.captions.pictures import Picture, PictureReader, list_pictures
from data_prep.left_out import SHOWN, warn_of, write_list
from modules.captioning.batch import ImageBatch
from modules.captioning.captioner import Captioner
from modules.captioning.ensemble import CaptionerEnsemble
from modules.captioning.preprocessing import EvalTransform
from modules.captioning.pretrained import PRETRAINED
from modules.decoders.graphed_step import none_on, note
from modules.decoding import DecodingOptions
from modules.decoding.hypotheses import MOST_BEAMS
from modules.encoders.eight_bits import multiplies_eight_bits
from modules.encoders.image import ImageEncoder
from modules.errors import InputError, check_at_least, tell
from modules.images import UnreadableImage
from modules.precision import fast_dtype
from pipelines.captioning.photographs.caption_index import remember_photographs
from pipelines.captioning.prediction_rows import (
    SUBTITLES,
    SUFFIXES,
    UNDRAWN,
    RowWriter,
    write_rows,
)
from pipelines.output_files import (
    check_output,
    make_folder,
    no_folders_in_vain,
    written_by_command,
    written_by_one,
)
from pipelines.running.part_rows import file_state, predicted_rows

FormatName = Literal["jsonl", "csv", "coco", "srt", "vtt", "parquet"]
# a GPU's time goes into starting one small step after another: an H100 is 2.6 times as fast with 256
CPU_BATCH_SIZE, GPU_BATCH_SIZE = 32, 256
# the options that --help begins with
FIRST = (
    *("images", "ckpt_path", "output", "format", "attention", "overwrite", "mirrored"),
    *("decoding.beam_size", "batch_size", "device"),
)


@dataclass
class PredictionOptions:
    """Caption every image of a folder and its sub-folders, or of whatever else holds images.

    Args:
        images: Folders, walked recursively, where every visible file gets one row; image files; text files
            with a path a line; zip and tar archives; videos. With --engine ray also addresses (s3://BUCKET/DIR).
        every: Seconds between the captioned frames of a video.
        ckpt_path: Checkpoint of a captioner, such as RUN/checkpoints/best.ckpt; by default the ready-made
            one, which was trained on Flickr8k. Several write one caption together: the next word has the
            mean of their probabilities.
        output: File of the captions; by default captions.jsonl, or captions with the format's suffix. With
            --engine ray a folder of shards, or the address of one.
        format: jsonl, csv, coco, or srt and vtt, subtitles of a video; by default that of the output's suffix
            (.csv, .json for coco, .srt, .vtt, else jsonl). With --engine ray jsonl or parquet.
        captions: Different captions of each image, by beam search; the best is its caption.
        attention: Folder for one picture per image with the attention of each word.
        batch_size: Images in a batch of one process; by default 256 on a GPU, 32 elsewhere.
        num_workers: Processes that decode images; by default one fewer than there are cores, at most 8.
        overwrite: Replace the output where it exists.
        mirrored: Caption an image together with its mirror image: better, and half as fast; by default as the
            captioner was trained (model.encoder.mirrored).
        reduced_precision: Encode in 8 bits and write in bfloat16, where the processor has instructions for
            it: twice as fast. A third of the captions are others, no worse by CIDEr-D.
        cuda_graphs: Record the step of a word on an NVIDIA GPU once and start all its kernels by one call. It
            was never run on a GPU.
        engine: local is this machine, with as many processes as --trainer.devices. ray is Ray Data, on a
            cluster of any size.
        ray_address: Cluster of --engine ray, such as auto for the one that this machine belongs to; by
            default this machine alone.
        ray_actors: Captioners of --engine ray; by default one a GPU of the cluster, or three a four cores.
        decoding: How words are chosen. An option that is not given keeps the checkpoint's value.
    """

    images: list[Path | str]
    every: float = 1.0
    ckpt_path: list[Path] | None = None
    output: str | None = None
    format: FormatName | None = None
    captions: int = 1
    attention: Path | None = None
    batch_size: int | None = None
    num_workers: int | None = None
    overwrite: bool = False
    mirrored: bool | None = None
    reduced_precision: bool = False
    cuda_graphs: bool = False
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    ray_actors: int | None = None
    decoding: DecodingOptions = field(default_factory=DecodingOptions)


class PictureBatches:
    """Takes numbers of pictures and returns a `ImageBatch`; a cut JPEG is among its images and its errors."""

    def __init__(self, pictures: Sequence[Picture], transform: EvalTransform) -> None:
        self.pictures, self.transform, self.reader = list(pictures), transform, PictureReader()

    def __getitem__(self, numbers: list[int]) -> ImageBatch:
        images, names, errors = [], [], []
        for picture in (self.pictures[number] for number in numbers):
            try:
                image, wrong = self.reader.read(picture, self.transform.minimum_size)
                images.append(self.transform(image))
                names.append(picture.name)
                if wrong:
                    errors.append((picture.name, f"{wrong}; captioned as far as it goes"))
            except UnreadableImage as error:
                errors.append((picture.name, error.reason))
        size = self.transform.size
        pixels = torch.stack(images) if images else torch.empty(0, 3, size, size, dtype=torch.uint8)
        return ImageBatch(pixels, names, errors)

    def __len__(self) -> int:
        return len(self.pictures)


def caption_pictures(
    options: PredictionOptions, model: Captioner | CaptionerEnsemble, trainer: pl.Trainer
) -> None:
    """Captions all pictures into one file, in their order.

    Rows are written as they come to `OUTPUT.part-IDENTITY-RANK`; the output appears when all are there. A run
    that was killed goes on where it stopped if checkpoint, decoding and images are the same. What could not
    be read, and a file that has changed since, is captioned anew.
    """
    check_at_least(0, num_workers=options.num_workers)
    instruct(model, options)
    format: str = options.format or "jsonl"
    output = Path(options.output or f"captions{SUFFIXES[format]}")
    if options.format is None:
        format = next((name for name in SUFFIXES if SUFFIXES[name] == output.suffix.lower()), "jsonl")
    read = [path for path in map(Path, options.images) if not path.is_dir()]
    with no_folders_in_vain(output.parent, options.attention):
        check_output(output, "output", options.overwrite, [*read, *(options.ckpt_path or [PRETRAINED])])
        pictures = _pictures(options, output)
        if format in SUBTITLES and (len(options.images) > 1 or pictures[0].time is None):
            raise InputError(f"{output}: subtitles are of one video; --images names {options.images[0]}")
        if options.attention is not None:
            make_folder(options.attention, "attention")
        # one of several processes holds the output for all
        with written_by_one(output, "output") if trainer.is_global_zero else nullcontext():
            _caption(pictures, options, output, format, model, trainer)


def instruct(model: Captioner | CaptionerEnsemble, options: PredictionOptions) -> None:
    """Tells a model how it is to write captions; InputError where it cannot."""
    check_at_least(1, batch_size=options.batch_size)
    check_at_least(1, captions=options.captions)
    if options.captions > MOST_BEAMS:
        raise InputError(f"captions is {options.captions}; it has to be at most {MOST_BEAMS:,}")
    model.required(options.decoding)
    if options.attention is not None and not model.attends:
        raise InputError(
            "attention: these captions have none to draw; a show_and_tell decoder looks nowhere, and models "
            "that write together need one grid"
        )
    if options.captions > 1 and options.decoding.method != "beam":
        raise InputError(
            f"captions is {options.captions}: several of an image come from beam search; the method is "
            f"{options.decoding.method} (--decoding.method beam)"
        )
    if options.decoding != model.decoding or options.mirrored not in (None, model.mirrored):
        model.unsure_below = None  # scores of another decoding do not compare
    model.decoding, model.keep_attention = options.decoding, options.attention is not None
    model.captions, model.reduced_precision = options.captions, options.reduced_precision
    if options.mirrored is not None:
        model.mirrored = options.mirrored


def _caption(
    pictures: Sequence[Picture],
    options: PredictionOptions,
    output: Path,
    format: str,
    model: Captioner | CaptionerEnsemble,
    trainer: pl.Trainer,
) -> None:
    part = output.with_name(f"{output.name}.part-{_identity(options, trainer.precision)}")
    file_of = cache(file_state)  # asked once an archive or video
    states = {picture.name: file_of(picture.file) for picture in pictures}
    transform = EvalTransform(model.encoder.image_size, model.resize)
    device, batch_size = trainer.strategy.root_device, options.batch_size
    if batch_size is None:
        batch_size = CPU_BATCH_SIZE if device.type == "cpu" else GPU_BATCH_SIZE

    def prepare(done: Container[str]) -> tuple[PictureBatches, RowWriter]:
        left = [picture for picture in pictures if picture.name not in done]
        for encoder in model.modules():
            if isinstance(encoder, ImageEncoder):
                hasten(encoder, len(left), device, eight_bits=options.reduced_precision)
        return PictureBatches(left, transform), RowWriter(part, left, options.attention, model, states)

    if options.reduced_precision and trainer.is_global_zero:
        warn_where_nothing_is_reduced(device)
    if options.cuda_graphs and device.type == "cuda":
        model.write_by_graphs()
    elif options.cuda_graphs and trainer.is_global_zero:
        note(none_on(device, "captions are written"))
    begun = time.monotonic()
    workers = options.num_workers
    with predicted_rows(states, part, model, trainer, prepare, batch_size, workers) as rows:
        if rows is None:
            return
        write_rows(output, rows, format, options.every)
        remember_photographs(output, _folder_of(options.images))
    captioned = sum("caption" in row for row in rows)
    undrawn = sum(UNDRAWN in row.get("error", "") for row in rows)
    seconds = time.monotonic() - begun
    print(f"{captioned:,} captions, {len(rows) - captioned:,} unreadable files, {seconds:.0f} s")
    print(f"captions in {output}")
    if lacking := [row["image"] for row in rows if "lacks" in row]:  # not every format can say it in its rows
        said = f"{len(lacking):,} captions lack a word of {options.decoding.must_contain!r}"
        tell(f"warning: {said}, the first is of {lacking[0]}")
    _name_wrong(output, format, [f"{row['image']}: {row['error']}" for row in rows if "error" in row])
    if options.attention is not None:
        missing = f", {undrawn:,} pictures could not be written: see the rows' errors" if undrawn else ""
        print(f"attention in {options.attention}{missing}")


def warn_where_nothing_is_reduced(device: torch.device) -> None:
    """Says on stderr that reduced precision changes nothing, if so it is."""
    if not multiplies_eight_bits(device) and fast_dtype(device) != torch.bfloat16:
        tell("warning: reduced_precision: this processor has no instructions for it")


def _name_wrong(output: Path, format: str, wrong: Sequence[str]) -> None:
    """Names the first files with which something is wrong on stderr, and says where all of them are."""
    place = f"have an error in {output}"
    if len(wrong) > SHOWN and format not in ("jsonl", "csv"):  # the others have no room for errors
        listing = output.with_name(f"{output.name}.unreadable.txt")
        write_list(listing, wrong)
        place = f"are listed in {listing}"
    warn_of(wrong, f"more; all {place}")


def _pictures(options: PredictionOptions, output: Path) -> list[Picture]:
    """Returns what to caption, less what this command itself wrote where that lies among it."""
    drawn = None if options.attention is None else options.attention.resolve()
    inputs = [Path(place) for place in options.images]
    folders = [path.resolve() for path in inputs if path.is_dir()]
    if drawn in folders:
        raise InputError(f"{drawn}: holds the images; choose another folder for --attention")
    is_own = written_by_command(output)
    found = [picture for picture in list_pictures(inputs, options.every) if not is_own(picture.file)]
    if not found:
        raise InputError(f"{options.images[0]}: no files but those that this command wrote")
    return found


def _folder_of(images: Sequence[Path | str]) -> Path:
    """Returns the folder from which the names in the rows lead to photographs."""
    first = Path(images[0])
    return Path() if len(images) > 1 else first if first.is_dir() else first.parent


def _identity(options: PredictionOptions, precision: str) -> str:
    """Returns what a row depends on, as a short hash: rows of other settings are never taken over."""
    digest = hashlib.sha256()
    for checkpoint in options.ckpt_path or [PRETRAINED]:
        digest.update(checkpoint.read_bytes())
    settings = (
        [str(Path(place).resolve()) for place in options.images],
        asdict(options.decoding),
        options.captions,
        options.mirrored,
        options.reduced_precision,
        str(options.attention),
        precision,
    )
    digest.update(repr(settings).encode())
    return digest.hexdigest()[:8]
