"""Reads the folder that `caption.py fit` leaves behind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from data_prep.input_files import read_jsonl
from modules.errors import InputError
from pipelines.reports.curves import Curve, read_curves
from pipelines.reports.run_files import existing_run, read_config, read_metrics

AGREEMENT = {"agreement": "agreement", "agreement_cider": "agreement and CIDEr-D"}  # as they are shown


@dataclass(frozen=True)
class WordAttention:
    """Where each word of a caption looked: `alpha` (T, L) over `grid` = (rows, columns), row-major.

    `resize` says which part of the picture the grid covers: squash (all of it), crop or pad.
    """

    words: list[str]
    alpha: Float[np.ndarray, "T L"]
    grid: tuple[int, int]
    resize: str


@dataclass(frozen=True)
class Prediction:
    """One line of predictions.jsonl; `file` and `agreement` are None where the line has none.

    `sentinel` has each word of a caption with the weight that it gave to no part of the picture, where known.
    """

    image: str
    caption: str
    references: list[str]
    file: Path | None
    attention: WordAttention | None
    sentinel: list[tuple[str, float]]
    agreement: float | None = None


@dataclass(frozen=True)
class CaptionRun:
    """What a run left behind; `config`, `metrics` and `curves` are empty where their files are missing."""

    folder: Path
    split: str
    predictions: list[Prediction]
    unreadable: list[str]  # images whose line holds an error in place of a caption
    config: dict[str, Any]
    metrics: dict[str, Any]
    curves: dict[str, Curve]


def read_run(folder: Path) -> CaptionRun:
    """The run in `folder`; raises InputError where it is none: only predictions.jsonl must be there."""
    path = folder / "predictions.jsonl"
    existing_run(folder)
    if not path.is_file():
        raise InputError(f"{folder}: no predictions.jsonl, so this is no finished run; fit or test writes it")
    predictions, unreadable, seen, split = [], [], set(), ""
    for number, row in read_jsonl(path):
        where = f"{path}:{number}"
        image = row.get("image")
        if not isinstance(image, str):
            raise InputError(f"{where}: no image name under 'image'; write the file again with test")
        if image in seen:
            raise InputError(f"{where}: image {image!r} occurs twice; write the file again with test")
        seen.add(image)
        split = split or str(row.get("split", ""))
        if "error" in row:
            unreadable.append(image)
        else:
            predictions.append(_prediction(row, where))
    if not predictions:
        raise InputError(f"{path}: no captions; write the file again with test")
    metrics = read_metrics(folder)
    return CaptionRun(
        folder=folder,
        split=str(metrics.get("split") or split or "test"),
        predictions=predictions,
        unreadable=unreadable,
        config=read_config(folder),
        metrics=metrics,
        curves=read_curves(folder),
    )


def _prediction(row: dict[str, Any], where: str) -> Prediction:
    caption, references = row.get("caption"), row.get("references")
    if not isinstance(caption, str):
        raise InputError(f"{where}: no text under 'caption'; write the file again with test")
    if not isinstance(references, list) or not references or not all(isinstance(r, str) for r in references):
        raise InputError(
            f"{where}: no list of texts under 'references'; predict writes none, fit and test do"
        )
    file, agreement = row.get("file"), row.get("agreement")
    return Prediction(
        image=row["image"],
        caption=caption,
        references=references,
        file=Path(file) if isinstance(file, str) and file else None,
        attention=_attention(row, where) if row.get("attention") else None,
        agreement=agreement if isinstance(agreement, float) else None,
        sentinel=_sentinel(row, where) if row.get("sentinel") else [],
    )


def _sentinel(row: dict[str, Any], where: str) -> list[tuple[str, float]]:
    try:
        pairs = zip(row["words"], row["sentinel"], strict=True)
        return [(str(word), float(weight)) for word, weight in pairs]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: words and sentinel do not fit each other ({error})") from error


def _attention(row: dict[str, Any], where: str) -> WordAttention:
    try:
        rows, columns = (int(size) for size in row["attention"]["grid"])
        alpha = np.asarray(row["attention"]["alpha"], dtype=np.float32)
        words = [str(word) for word in row["words"]]
        resize = row["attention"].get("resize", "squash")
        if resize not in ("squash", "crop", "pad"):
            raise ValueError(f"resize is {resize!r}")
        if alpha.shape != (len(words), rows * columns):
            raise ValueError(f"{len(words)} words on a {rows} x {columns} grid against shape {alpha.shape}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: words and attention do not fit each other ({error})") from error
    return WordAttention(words, alpha, (rows, columns), resize)
