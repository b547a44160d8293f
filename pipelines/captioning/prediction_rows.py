"""The rows of `predict`: appended to part files as they come, taken over after a kill, written at the end."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.captions.pictures import ATTENTION_SUFFIX, Picture, PictureReader
from modules.caption_tokens import tokenize
from modules.captioning.batch import ImageBatch
from modules.captioning.writing import Caption, CaptionWriter
from modules.errors import InputError
from modules.images import UnreadableImage
from modules.whole_files import ESCAPED, write_whole
from pipelines.captioning.attention import encoder_view, write_attention
from pipelines.captioning.predictions import coco_image_id
from pipelines.captioning.subtitles import subtitles
from pipelines.output_files import drawn_path
from pipelines.running.part_rows import PartWriter

SUFFIXES = {"jsonl": ".jsonl", "csv": ".csv", "coco": ".json", "srt": ".srt", "vtt": ".vtt"}
SUBTITLES = ("srt", "vtt")
ONLY_JSONL = ("captions", "lacks", "words", "sentinel")  # lists, for which a csv has no room
UNDRAWN = "attention:"  # begins what is said of a picture of attention that is not there


class RowWriter(PartWriter):
    """Appends captions, and draws their attention where that was asked for.

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
        super().__init__(part, len(pictures), states, "captioning", "captions")
        self.pictures, self.reader = {picture.name: picture for picture in pictures}, PictureReader()
        self.attention, self.model = attention, model

    def rows(self, outputs: list[Caption], batch: ImageBatch) -> list[dict[str, Any]]:
        wrong = dict(batch.errors)
        rows: list[dict[str, Any]] = []
        for name, caption in zip(batch.names, outputs, strict=True):
            reasons = [wrong.pop(name)] if name in wrong else []
            if self.attention is not None and caption.alpha is not None:
                reasons += self._draw(name, caption, drawn_path(self.attention, name, ATTENTION_SUFFIX))
            rows.append(caption_row(self.model, name, caption, reasons))
        rows += [{"image": name, "error": reason} for name, reason in wrong.items()]
        for row in rows:
            if (time := self.pictures[row["image"]].time) is not None:
                row["time"] = time
        return rows

    def _draw(self, name: str, caption: Caption, path: Path) -> list[str]:
        """Returns why the attention's picture could not be written: one picture does not end the others."""
        assert caption.alpha is not None
        try:
            image = encoder_view(self.reader.read(self.pictures[name], 640)[0], self.model.resize)
            alpha, grid = caption.alpha.numpy(), self.model.encoder.grid
            sentinel = caption.sentinel if self.model.has_sentinel else None
            write_attention(path, image, caption.words, alpha, grid, caption.text, sentinel)
        except UnreadableImage as error:  # it was there when it was captioned
            return [f"{UNDRAWN} {error.reason}"]
        except OSError as error:
            return [f"{UNDRAWN} cannot be written ({error.strerror})"]
        return []


def caption_row(model: CaptionWriter, name: str, caption: Caption, reasons: Sequence[str]) -> dict[str, Any]:
    """Returns the row of a picture that has a caption.

    Args:
        model: That wrote it, as it was told to.
        name: Of the picture.
        caption: Of it.
        reasons: What is wrong with the picture nevertheless.
    """
    row: dict[str, Any] = {"image": name, "caption": caption.text, "score": round(caption.score, 4)}
    if model.unsure_below is not None and caption.score < model.unsure_below:
        row["unsure"] = True
    if lacking := set(tokenize(model.decoding.must_contain)) - set(caption.words):
        row["lacks"] = sorted(lacking)
    if model.captions > 1:
        row["captions"] = [caption.text, *caption.others]
    if model.has_sentinel and caption.alpha is not None:
        weights = [round(weight, 3) for weight in caption.sentinel]
        row |= {"words": caption.words, "sentinel": weights}
    if reasons:
        row["error"] = "; ".join(reasons)
    return row


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
        unsure = ["unsure"] if any("unsure" in row for row in rows) else []
        most = max((len(row.get("captions", ())) for row in rows), default=0)
        more = [f"caption_{number}" for number in range(2, most + 1)]
        writer = csv.DictWriter(text, ["image", *timed, "caption", *more, "score", *unsure, "error"])
        writer.writeheader()
        for row in rows:
            others = row.get("captions", [])[1:]
            told = {name: value for name, value in row.items() if name not in ONLY_JSONL}
            writer.writerow(told | dict(zip(more, others, strict=False)))
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
