"""How well captions fit their photographs, as `score --images` says it: per photograph, mean and interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from modules.captioning.agreement import Agreement
from modules.errors import printable
from pipelines.captioning.photographs.judging import Photographs, photographs_of
from pipelines.captioning.runs import AGREEMENT

Summary = tuple[dict[str, float], dict[str, tuple[float, float]], dict[str, dict[str, float]]]
WORST = 3  # captions that are shown
_SAMPLES = 1000  # of the bootstrap


@dataclass(frozen=True)
class Judged:
    """What a captioner says of captions.

    Attributes:
        means: Over the photographs, by score.
        intervals: Of 95 %, by score.
        per_image: Scores of each photograph.
        captions: Of each photograph.
        judge: Name of the captioner that judged.
        is_writer: Whether it seems to have written the captions itself.
    """

    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    per_image: dict[str, dict[str, float]]
    captions: Mapping[str, str]
    judge: str
    is_writer: bool

    def table(self) -> Table:
        """Returns means with their intervals."""
        table = Table(title="Agreement with the photographs")
        for column in ("", "mean", "95 % interval"):
            table.add_column(column, justify="right" if column else "left")
        for name, mean in self.means.items():
            low, high = self.intervals[name]
            table.add_row(AGREEMENT[name], f"[bold]{mean:.3f}[/bold]", f"{low:.3f} - {high:.3f}")
        table.add_section()
        table.add_row("photographs", f"{len(self.per_image):,}", "")
        return table

    def remarks(self) -> list[str]:
        """Returns the captions that fit least, and what a reader of the scores should know."""
        worst = sorted(self.per_image, key=lambda image: self.per_image[image]["agreement"])[:WORST]
        rows = [f"{self.per_image[i]['agreement']:+.2f}  {i}: {self.captions[i]}" for i in worst]
        said = [
            "fits least:",
            *map(printable, rows),
            f"Agreement is judged by {self.judge}: nats a word that a caption gains from its photograph; "
            "0 is a caption that would fit any.",
        ]
        if self.is_writer:
            said.append(
                "The judge wrote these captions itself, and flatters them: compare systems by another judge "
                "(--ckpt_path)."
            )
        return said


def judge_captions(
    captions: Mapping[str, str],
    images: Path,
    source: Path,
    ckpt_path: Path | None,
    device: str,
    cider: Mapping[str, float],
) -> Judged:
    """Returns how well each caption fits its photograph.

    Args:
        captions: Of images by their names.
        images: Folder of the photographs.
        source: The captions' file, for a complaint.
        ckpt_path: Checkpoint of the captioner that judges; None for the ready-made one.
        device: As `--device` names it.
        cider: CIDEr-D of the captions, where there are references.
    """
    files = photographs_of(list(captions), images, source)
    photographs = Photographs(ckpt_path, device)
    readable = set(photographs.read(list(files.values())))
    names = [name for name, path in files.items() if path in readable]
    g = photographs.agreement([captions[name] for name in names])
    kept = photographs.model.agreement
    assert kept is not None
    return Judged(
        *summarised(dict(zip(names, g, strict=True)), kept, cider),
        captions,
        "the ready-made captioner" if ckpt_path is None else str(ckpt_path),
        photographs.wrote({files[name]: captions[name] for name in names}),
    )


def summarised(g: Mapping[str, float], kept: Agreement, cider: Mapping[str, float]) -> Summary:
    """Returns means and intervals by score, and the scores of each photograph.

    Args:
        g: Of each photograph and its caption.
        kept: What the judge keeps.
        cider: CIDEr-D of the captions, where there are references.
    """
    scores = {"agreement": np.array(list(g.values()))}
    if cider:
        scores["agreement_cider"] = np.array([kept.with_cider(g[name], cider[name]) for name in g])
    return (
        {name: float(values.mean()) for name, values in scores.items()},
        {name: _interval(values) for name, values in scores.items()},
        {image: {name: float(scores[name][n]) for name in scores} for n, image in enumerate(g)},
    )


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % percentile interval of the mean when the photographs are drawn again."""
    random = np.random.default_rng(0)
    means = [values[random.integers(len(values), size=len(values))].mean() for _ in range(_SAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
