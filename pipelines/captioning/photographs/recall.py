"""How often a captioner finds a photograph's own sentence among all, and a sentence's own photograph.

As Hodosh, Young and Hockenmaier (2013) measure it: one sentence a photograph, the share of those whose own
one is among the best 1, 5 or 10, and the median of its ranks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich.table import Table
from torch import Tensor

from data_prep.input_files import list_files
from data_prep.progress import tracked
from modules.errors import InputError
from pipelines.captioning.photographs.judging import Photographs
from pipelines.captioning.predictions import read_references, resolver

AMONG = (1, 5, 10)
FOUND = {"sentences": "its sentence", "photographs": "its photograph"}
RANKED = {"agreement": "agreement", "log_p": "log P a word", "chance": "chance"}
_AT_ONCE = 8  # photographs, between two looks at the clock


def measure_recall(images: Path, references: Path, ckpt_path: Path | None, device: str) -> dict[str, Any]:
    """Returns recall both ways by agreement, and of controls; of each photograph its first sentence is taken.

    Args:
        images: Folder; its photographs without a sentence are left out.
        references: File of sentences, in any form that `score` reads.
        ckpt_path: Checkpoint of the captioner; None for the ready-made one.
        device: As `--device` names it.
    """
    known = read_references(references)
    resolve = resolver(known)
    named = {path: resolve(path.relative_to(images).as_posix()) for path in list_files(images)}
    sentences = {path: known.captions[name][0] for path, name in named.items() if name is not None}
    if len(sentences) < 2:
        raise InputError(
            f"{references}: has sentences of {len(sentences)} of the {len(named)} files in {images}; "
            "recall needs two photographs or more"
        )
    photographs = Photographs(ckpt_path, device)
    texts = [sentences[path] for path in photographs.read(list(sentences))]
    batches = [batch for _, read in photographs.batches() for batch in read.split(_AT_ONCE)]
    parts = tracked(batches, "photographs and sentences")
    g = torch.cat([photographs.judge.of_all(part, texts) for part in parts])  # (N, N)
    log_p = g + photographs.judge.of_mean(texts)
    count = len(texts)
    chance = {str(k): min(1.0, k / count) for k in AMONG} | {"median_rank": (count + 1) / 2}
    return {
        "count": count,
        # for one sentence the mean image's log P is the same whatever the photograph
        "sentences": {"agreement": recall(g), "log_p": recall(log_p), "chance": chance},
        "photographs": {"agreement": recall(g.T), "chance": chance},
    }


def recall(scores: Float[Tensor, "N N"]) -> dict[str, float]:
    """Returns recall at 1, 5 and 10 of the diagonal in its row, and its median rank; equals go before."""
    ranks = (scores >= scores.diagonal().unsqueeze(1)).sum(1)
    shares = {str(k): (ranks <= k).double().mean().item() for k in AMONG}
    return shares | {"median_rank": ranks.float().quantile(0.5).item()}


def recall_table(found: dict[str, Any]) -> Table:
    """Returns what `measure_recall` found as a table."""
    table = Table(title=f"Recall among {found['count']:,}")
    for column in ("found", "by", *(f"at {k}" for k in AMONG), "median rank"):
        table.add_column(column, justify="left" if column in ("found", "by") else "right")
    for what, label in FOUND.items():
        for way, values in found[what].items():
            shares = [f"{values[str(k)]:.3f}" for k in AMONG]
            table.add_row(label, RANKED[way], *shares, f"{values['median_rank']:g}")
        table.add_section()
    return table
