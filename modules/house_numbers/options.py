"""Options of the reader of house numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from modules.cells import CellName
from modules.errors import InputError, check_ranges
from modules.training import ScheduleOptions

MOST_PIXELS = 8192  # along a side of a picture that is enlarged for the smallest window


@dataclass
class ReaderOptions:
    """How a number is read.

    Args:
        kind: How it learns where to look: window (the gradient goes through the glimpse) or reinforce (places
            are tried, and those that earn more become likelier). The controls are centre, which looks at the
            middle alone, and cnn, which reads all at one look and has as many parameters.
        reading: How a window is read: bilinear samples between pixels, filterbank weighs them by Gaussians.
        points: Points along each side of a window.
        scales: Windows of a glimpse, each twice as wide as the one before.
        window: Side of the smallest window as a share of the picture's.
        glimpses: Glimpses for each digit.
        cell: Of the two recurrent layers.
        hidden_size: Width of everything that is no convolution.
        dropout: Probability of dropping a unit before the digits.
        backward: A second reader goes from right to left, and both decide.
    """

    kind: Literal["window", "reinforce", "centre", "cnn"] = "window"
    reading: Literal["bilinear", "filterbank"] = "bilinear"
    points: int = 16
    scales: int = 2
    window: float = 0.25
    glimpses: int = 1
    cell: CellName = "lstm"
    hidden_size: int = 192
    dropout: float = 0.0
    backward: bool = False

    @property
    def sides(self) -> list[float]:
        """Sides of a glimpse's windows as shares of the picture's."""
        return [self.window * 2**scale for scale in range(self.scales)]

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "model.reader",
            positive=("scales", "window", "glimpses", "hidden_size"),
            below_one=("dropout",),
        )
        if self.points < 8 or self.points % 4:
            raise InputError(f"model.reader.points is {self.points}; it has to be 8, 12, 16 or more by fours")
        if self.window > 1:
            raise InputError(f"model.reader.window is {self.window}; it is a share, above 0 and at most 1")
        # a window has as many points as the picture shrunk or enlarged for it has pixels there
        if self.points / self.window > MOST_PIXELS:
            raise InputError(
                f"model.reader.window is {self.window}; its {self.points} points would need a picture "
                f"enlarged to more than {MOST_PIXELS} pixels"
            )
        # compared as logarithms: 2**scales may be beyond what a float holds
        most = math.floor(math.log2(self.points / self.window)) + 1
        if self.scales > most:
            raise InputError(
                f"model.reader.scales is {self.scales}; a window of {self.window} can have at most {most}, "
                "or the picture would be less than a pixel in the widest"
            )


@dataclass
class ReadingTrainingOptions(ScheduleOptions):
    """How the weights are found.

    Args:
        learning_rate: Largest learning rate (AdamW).
        looking: Learning rate of the attention that decides where to look, and of the move beside it, as a
            share of all others': windows that move faster than digits are learnt leave the picture.
        noise: Standard deviation of the places that are tried, where the reader is reinforced; the picture
            reaches from -1 to 1.
        reinforce_weight: Weight of the reward's term beside the digits' cross entropy.
        baseline_weight: Weight of the squared error of the expected reward.
        controls: Train the controls as long as the reader, and show their scores beside its own.
    """

    learning_rate: float = 3e-3
    looking: float = 0.1
    noise: float = 0.1
    reinforce_weight: float = 0.1
    baseline_weight: float = 0.1
    controls: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(
            self,
            "model.training",
            positive=("noise", "looking"),
            not_negative=("reinforce_weight", "baseline_weight"),
        )
