"""The rows of `predict`: appended to part files as they come, taken over after a kill, written at the end."""

from __future__ import annotations

import csv
import glob
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from data_prep.captions.pictures import Picture, PictureReader
from data_prep.progress import counting_bar
from modules.captioning.batch import ImageBatch
from modules.captioning.writing import Caption, CaptionWriter
from modules.errors import InputError
from modules.images import UnreadableImage
from modules.whole_files import write_whole
from pipelines.captioning.attention import encoder_view, write_attention
from pipelines.captioning.predictions import coco_image_id
from pipelines.captioning.subtitles import subtitles
from pipelines.output_files import LONGEST_NAME

# a file name that is no UTF-8 is written with JSON's own escapes: \udcff for the byte ff
ESCAPED = "backslashreplace"
ATTENTION_SUFFIX = ".attention.jpg"
SUFFIXES = {"jsonl": ".jsonl", "csv": ".csv", "coco": ".json", "srt": ".srt", "vtt": ".vtt"}
SUBTITLES = ("srt", "vtt")
UNDRAWN = "attention:"  # begins what is said of a picture of attention that is not there


class RowWriter(Callback):
    """Appends the rows of every batch to this process's part file, and shows progress.

    Args:
        part: Beginning of the name of every process's file.
        pictures: Of all processes.
        attention: Folder of the pictures of attention, where there are to be any.
        model: Knows grid and preprocessing of the attention.
        states: Of every file what tells that it has changed since.
    """

    def __init__(
        self,
        part: Path,
        pictures: Sequence[Picture],
        attention: Path | None,
        model: CaptionWriter,
        states: Mapping[str, list[int]],
    ) -> None:
        self.part, self.total, self.model = part, len(pictures), model
        self.pictures, self.reader = {picture.name: picture for picture in pictures}, PictureReader()
        self.attention = attention
        self.states = states
        self.file: TextIO | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        try:
            self.file = self.part.with_name(f"{self.part.name}-{trainer.global_rank}").open(
                "a", encoding="utf-8", errors=ESCAPED
            )
            if self.file.tell():
                self.file.write("\n")  # a kill may have cut the last line short
                self.file.flush()
        except OSError as error:
            raise cannot_go_on(self.part, error) from error
        self.bar = counting_bar("images", trainer.is_global_zero)
        # the other processes are as fast as this one
        self.task = self.bar.add_task("captioning", total=self.total)
        self.bar.start()

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: ImageBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert self.file is not None
        captions: list[Caption] = outputs
        wrong = dict(batch.errors)
        rows: list[dict[str, Any]] = []
        for name, caption in zip(batch.names, captions, strict=True):
            rows.append({"image": name, "caption": caption.text, "score": round(caption.score, 4)})
            reasons = [wrong.pop(name)] if name in wrong else []
            if self.attention is not None and caption.alpha is not None:
                reasons += self._draw(name, caption, attention_path(self.attention, name))
            rows[-1] |= {"error": "; ".join(reasons)} if reasons else {}
        rows += [{"image": name, "error": reason} for name, reason in wrong.items()]
        for row in rows:
            if (time := self.pictures[row["image"]].time) is not None:
                row["time"] = time
        states = (self.states[row["image"]] for row in rows)
        try:
            self.file.writelines(
                json.dumps(row | {"file": state}, ensure_ascii=False) + "\n"
                for row, state in zip(rows, states, strict=True)
            )
            self.file.flush()
        except OSError as error:
            raise cannot_go_on(self.part, error) from error
        left = self.total - self.bar.tasks[self.task].completed
        self.bar.advance(self.task, min(left, len(rows) * trainer.world_size))

    def _draw(self, name: str, caption: Caption, path: Path) -> list[str]:
        """Returns why the attention's picture could not be written: one picture does not end the others."""
        assert caption.alpha is not None
        try:
            image = encoder_view(self.reader.read(self.pictures[name], 640)[0], self.model.resize)
            write_attention(
                path, image, caption.words, caption.alpha.numpy(), self.model.encoder.grid, caption.text
            )
        except UnreadableImage as error:  # it was there when it was captioned
            return [f"{UNDRAWN} {error.reason}"]
        except OSError as error:
            return [f"{UNDRAWN} cannot be written ({error.strerror})"]
        return []

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self.file is not None
        self.bar.stop()
        try:
            self.file.close()
        except OSError as error:
            raise cannot_go_on(self.part, error) from error

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if self.file is not None:
            self.bar.stop()
            with suppress(OSError):  # what could not be written is the exception already
                self.file.close()


def attention_path(folder: Path, name: str) -> Path:
    """Returns where an image's attention is drawn: NAME.attention.jpg, a name that is too long shortened.

    Args:
        folder: Of all of them.
        name: Of the image in its row.
    """
    # a name may be a path anywhere; what is drawn stays in the folder
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    path = folder.joinpath(*parts[:-1], f"{parts[-1]}{ATTENTION_SUFFIX}")
    # with the dots and the process number of the file that is written first
    room = LONGEST_NAME - len(ATTENTION_SUFFIX) - 12
    encoded = os.fsencode(path.name.removesuffix(ATTENTION_SUFFIX))
    if len(encoded) <= room:
        return path
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    # a letter that the cut halves is dropped
    kept = encoded[: room - len(digest) - 1].decode(errors="ignore")
    return path.with_name(f"{kept}-{digest}{ATTENTION_SUFFIX}")


def cannot_go_on(part: Path, error: OSError) -> InputError:
    """Returns what ends a run that cannot write its rows."""
    return InputError(
        f"{part.parent}: captions cannot be written ({error.strerror}); what is there is kept: make room or "
        "choose another --output, and give the command again to go on"
    )


def file_state(path: Path) -> list[int]:
    """Returns size and time of change (ns): a row is of this very file."""
    try:
        status = path.stat()
    except OSError:  # it went while the folder was listed: reading it says so
        return [0, 0]
    return [status.st_size, status.st_mtime_ns]


def finished(part: Path, states: Mapping[str, list[int]]) -> set[str]:
    """Returns the files that need not be read again: captioned without an error, and unchanged since."""
    last = {row["image"]: row for row in rows_of(part)}
    return {
        name
        for name, row in last.items()
        if "error" not in row and name in states and row.get("file") == states[name]
    }


def part_files(part: Path) -> list[Path]:
    """Returns the part files of all processes."""
    return sorted(part.parent.glob(f"{glob.escape(part.name)}-*"))


def rows_of(part: Path) -> list[dict[str, Any]]:
    """Returns the rows of all processes; a line that a kill cut short counts as never written."""
    rows = []
    for file in part_files(part):
        for line in file.read_bytes().split(b"\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get("image"), str):
                rows.append(row)
    return rows


def write_rows(output: Path, rows: Sequence[dict[str, Any]], format: str, every: float = 1.0) -> None:
    """Writes the captions, whole or not at all; COCO results and subtitles have no room for errors.

    Args:
        output: The file.
        rows: Of all images.
        format: One of `SUFFIXES`.
        every: Seconds that the last of a video's captions is shown in subtitles.
    """
    text = io.StringIO(newline="")
    if format == "jsonl":
        text.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    elif format == "csv":
        timed = ["time"] if any("time" in row for row in rows) else []
        writer = csv.DictWriter(text, ["image", *timed, "caption", "score", "error"])
        writer.writeheader()
        writer.writerows(rows)
    elif format in SUBTITLES:
        text.write(subtitles(rows, every, format))
    else:
        captioned = [row for row in rows if "caption" in row]
        numbers = [coco_image_id(row["image"]) for row in captioned]
        results = [
            {"image_id": row["image"] if number is None else number, "caption": row["caption"]}
            for row, number in zip(captioned, numbers, strict=True)
        ]
        json.dump(results, text, ensure_ascii=False)
    try:
        write_whole(output, text.getvalue().encode(errors=ESCAPED))
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from error
