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


class LabelledBatch(NamedTuple):
    """Texts and their classes.

    Attributes:
        tokens: Ids of each text after `<bos>` (B, T), filled up with `<pad>`.
        lengths: Ids of each, the `<bos>` included (B,).
        labels: Number of the class of each (B,); -1 for none.
    """

    tokens: Int64[Tensor, "B T"]
    lengths: Int64[Tensor, " B"]
    labels: Int64[Tensor, " B"]


class AuthorBatch(NamedTuple):
    """One window of B parallel streams of text, each of one author; a `TextBatch` that knows whose they are.

    Attributes:
        tokens: As in `TextBatch` (B, T).
        targets: As there (B, T).
        resets: As there (B,).
        authors: Number of the author of each stream (B,).
    """

    tokens: Int64[Tensor, "B T"]
    targets: Int64[Tensor, "B T"]
    resets: Bool[Tensor, " B"]
    authors: Int64[Tensor, " B"]
