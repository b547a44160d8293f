"""What an evaluation of a captioner gathers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from modules.captioning.collapse import Writing


@dataclass
class Evaluation:
    """What one pass over a split gathers, on one process and then from all of them.

    Attributes:
        rows: One dictionary an image: image, caption, score, references, and words and alpha where kept.
        loss: Sum of the plain teacher-forced cross entropy.
        words: Number of words it sums over.
        writing: How the captions are written, once all are there.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    loss: float = 0.0
    words: int = 0
    writing: Writing | None = None

    @property
    def mean_loss(self) -> float:
        """Plain cross entropy a word, in nats; NaN of no words."""
        return self.loss / self.words if self.words else math.nan

    @property
    def perplexity(self) -> float:
        """The exponential of the mean loss."""
        return math.exp(min(self.mean_loss, 50.0))
