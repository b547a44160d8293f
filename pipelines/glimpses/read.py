"""The `read` command: the number on every picture of a folder, batched and resumable, with its glimpses."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch

from data_prep.house_numbers.formats.folder import TABLE
from data_prep.input_files import list_undrawn
from data_prep.left_out import warn_of
from modules.errors import InputError, check_at_least
from modules.house_numbers.batch import NumberBatch
from modules.house_numbers.number_reader import NumberRead, NumberReader
from modules.house_numbers.preprocessing import NumberPictures
from modules.images import UnreadableImage, read_as_shown
from modules.whole_files import ESCAPED, write_whole
from pipelines.devices import chosen_device
from pipelines.front_door import silence_libraries
from pipelines.glimpses.trace import Trace, labels_of, write_trace
from pipelines.output_files import drawn_path, make_folder, no_folders_in_vain, outputs, written_by_command
from pipelines.running.part_rows import PartWriter, file_state, predicted_rows

COLUMNS = ("image", "number", "probability", "unsure", "digits", "glimpses", "error")
SUFFIXES = (".trace.png", ".trace.gif")
UNDRAWN = "trace:"  # begins what is said of a trace that is not there
BATCH_SIZE = 64


@dataclass
class ReadOptions:
    """Read the number on every picture of a folder and its sub-folders.

    Args:
        images: Folder, walked recursively; every visible file gets one row.
        ckpt_path: Checkpoint of a reader, such as RUN/checkpoints/best.ckpt.
        output: File of the numbers.
        format: csv or jsonl; by default that of the output's suffix (.jsonl, else csv).
        trace: Folder for two files a picture, NAME.trace.png and NAME.trace.gif: window after window on it.
        threshold: A number of less probability is marked unsure.
        batch_size: Pictures in a batch.
        num_workers: Processes that decode pictures; by default one fewer than there are cores, at most 8.
        overwrite: Replace the output where it exists.
        device: Where it runs: auto, cpu, cuda, cuda:N or mps.
    """

    images: Path
    ckpt_path: Path
    output: Path = Path("read.csv")
    format: Literal["csv", "jsonl"] | None = None
    trace: Path | None = None
    threshold: float = 0.5
    batch_size: int = BATCH_SIZE
    num_workers: int | None = None
    overwrite: bool = False
    device: str = "auto"


class FolderPictures:
    """Takes numbers of files and returns a `NumberBatch`; a cut JPEG is among its pictures and its errors."""

    def __init__(self, root: Path, names: Sequence[str], pictures: NumberPictures) -> None:
        self.root, self.names, self.pictures = root, list(names), pictures

    def __getitem__(self, numbers: list[int]) -> NumberBatch:
        squares, names, errors = [], [], []
        for name in (self.names[number] for number in numbers):
            try:
                image, wrong = read_as_shown(self.root / name, self.pictures.size)
                squares.append(self.pictures(image))
                names.append(name)
                if wrong:
                    errors.append((name, f"{wrong}; read as far as it goes"))
            except UnreadableImage as error:
                errors.append((name, error.reason))
        size = self.pictures.size
        stacked = np.stack(squares) if squares else np.empty((0, size, size, 3), np.uint8)
        images = torch.from_numpy(stacked).permute(0, 3, 1, 2)
        return NumberBatch(images, torch.empty(len(squares), 0), names, errors)

    def __len__(self) -> int:
        return len(self.names)


class NumberWriter(PartWriter):
    """Appends what was read, and draws the glimpses where that was asked for.

    Args:
        part: Beginning of the part file's name.
        total: Pictures.
        states: Of every file what tells that it has changed since.
        options: Of the command.
        model: Knows its windows.
    """

    def __init__(
        self,
        part: Path,
        total: int,
        states: Mapping[str, list[int]],
        options: ReadOptions,
        model: NumberReader,
    ) -> None:
        super().__init__(part, total, states, "reading", "numbers")
        self.options, self.model = options, model

    def rows(self, outputs: list[NumberRead], batch: NumberBatch) -> list[dict[str, Any]]:
        wrong = dict(batch.errors)
        rows: list[dict[str, Any]] = []
        for name, read, square in zip(batch.names, outputs, batch.images, strict=True):
            # what is unsure is so by the probability that is written
            read = read._replace(probability=round(read.probability, 4))
            rows.append(
                {
                    "image": name,
                    "number": read.number,
                    "probability": read.probability,
                    "unsure": read.probability < self.options.threshold,
                    "digits": [round(p, 4) for p in read.digits],
                    "glimpses": [[round(x, 4), round(y, 4)] for x, y in read.places],
                }
            )
            reasons = [wrong.pop(name)] if name in wrong else []
            if self.options.trace is not None:
                picture = square.permute(1, 2, 0).cpu().numpy()
                reasons += self._draw(
                    drawn_path(self.options.trace, name, SUFFIXES[0]).with_suffix(""), picture, read
                )
            rows[-1] |= {"error": "; ".join(reasons)} if reasons else {}
        return rows + [{"image": name, "error": reason} for name, reason in wrong.items()]

    def _draw(self, path: Path, picture: np.ndarray, read: NumberRead) -> list[str]:
        """Returns why a trace could not be written: one picture does not end the others."""
        reader = self.model.reader_options
        labels = labels_of(read.number, read.digits, reader.glimpses, reader.backward) if read.places else []
        unsure = ", unsure" if read.probability < self.options.threshold else ""
        headline = f"{read.number}, {100 * read.probability:.0f} %{unsure}"
        try:
            write_trace(path, Trace(picture, read.places, reader.sides, labels, headline))
        except OSError as error:
            return [f"{UNDRAWN} cannot be written ({error.strerror})"]
        return []


def read(options: ReadOptions) -> None:
    """Reads all files of a folder into one file, in the order of their names.

    Rows are written as they come to `OUTPUT.part-IDENTITY-0`; the output appears when all are there. A run
    that was killed goes on where it stopped if checkpoint, options and folder are the same.
    """
    silence_libraries()  # once more: Lightning chooses its own level when it is imported
    check_at_least(1, batch_size=options.batch_size)
    check_at_least(0, num_workers=options.num_workers)
    if not 0 <= options.threshold <= 1:
        raise InputError(f"threshold is {options.threshold}; it has to be from 0 to 1")
    # numbers.csv beside pictures says what they show: no reading may take its place
    labels = options.images / TABLE
    kept = [options.ckpt_path, *([labels] if labels.exists() else [])]
    output = outputs({"output": options.output}, options.overwrite, kept)
    with output, no_folders_in_vain(options.trace):
        device = chosen_device(options.device)
        model = NumberReader.load(options.ckpt_path)
        if options.trace is not None and model.reader_options.kind == "cnn":
            raise InputError(
                f"{options.ckpt_path}: is the control, which takes no glimpses; --trace shows glimpses"
            )
        names = _names(options)
        if options.trace is not None:
            make_folder(options.trace, "trace")
        trainer = pl.Trainer(
            accelerator=device.type,
            devices=1 if device.index is None else [device.index],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        _read(names, options, model, trainer)


def _read(names: Sequence[str], options: ReadOptions, model: NumberReader, trainer: pl.Trainer) -> None:
    part = options.output.with_name(f"{options.output.name}.part-{_identity(options)}")
    states = {name: file_state(options.images / name) for name in names}

    def prepare(done: Container[str]) -> tuple[FolderPictures, NumberWriter]:
        left = [name for name in names if name not in done]
        writer = NumberWriter(part, len(left), states, options, model)
        return FolderPictures(options.images, left, model.pictures), writer

    begun = time.monotonic()
    with predicted_rows(
        states, part, model, trainer, prepare, options.batch_size, options.num_workers
    ) as rows:
        assert rows is not None  # there is one process
        _write(options, rows)
    found = [row for row in rows if "number" in row]
    unsure = sum(row["unsure"] for row in found)
    seconds = time.monotonic() - begun
    unreadable = len(rows) - len(found)
    print(f"{len(found):,} numbers, {unsure:,} unsure, {unreadable:,} unreadable files, {seconds:.0f} s")
    print(f"numbers in {options.output}")
    wrong = [f"{row['image']}: {row['error']}" for row in rows if "error" in row]
    warn_of(wrong, f"more; all have an error in {options.output}")
    if options.trace is not None:
        print(f"traces in {options.trace}")


def _names(options: ReadOptions) -> list[str]:
    """Returns the files to read, less what this command itself wrote where that lies among them."""
    drawn = options.trace
    if drawn is not None and drawn.resolve() == options.images.resolve():
        raise InputError(f"{drawn.resolve()}: holds the images; choose another folder for --trace")
    is_own = written_by_command(options.output)
    files = (path for path in list_undrawn(options.images, *SUFFIXES) if not is_own(path))
    names = [path.relative_to(options.images).as_posix() for path in files]
    if not names:
        raise InputError(f"{options.images}: no files but those that this command wrote")
    return names


def _write(options: ReadOptions, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the numbers, whole or not at all; in a csv digits and glimpses are parted by spaces."""
    text = io.StringIO(newline="")
    if (options.format or options.output.suffix.lower().lstrip(".")) == "jsonl":
        text.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        for row in rows:
            cells = dict(row)
            if "number" in row:
                cells["unsure"] = "yes" if row["unsure"] else "no"
                cells["digits"] = " ".join(str(p) for p in row["digits"])
                cells["glimpses"] = " ".join(f"{x}:{y}" for x, y in row["glimpses"])
            writer.writerow(cells)
    try:
        write_whole(options.output, text.getvalue().encode(errors=ESCAPED))
    except OSError as error:
        raise InputError(f"{options.output}: cannot be written ({error.strerror})") from error


def _identity(options: ReadOptions) -> str:
    """Returns what a row depends on, as a short hash: rows of other settings are never taken over."""
    digest = hashlib.sha256(options.ckpt_path.read_bytes())
    settings = (str(options.images.resolve()), options.threshold, str(options.trace))
    digest.update(repr(settings).encode())
    return digest.hexdigest()[:8]
