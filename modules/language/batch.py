"""What the text pipeline's data hand to its model."""

from typing import NamedTuple

from jaxtyping import Bool, Int64
from torch import Tensor


class TextBatch(NamedTuple):
    """One window of B parallel streams of text; the next batch goes on where this one ends.

    Attributes:
        tokens: Ids of what is read (B, T). `<bos>` stands before every document; `<pad>` fills up the rows of
            streams that have ended.
        targets: Ids of what comes next (B, T); `<pad>` where nothing is to be predicted: after the end of a
            document, and where the model only reads in before the part that is scored.
        resets: Whether a stream begins with this batch (B,): its state has to be set to zero first.
    """

    tokens: Int64[Tensor, "B T"]
    targets: Int64[Tensor, "B T"]
    resets: Bool[Tensor, " B"]
