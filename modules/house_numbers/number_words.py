"""A number as a painter hears it: annotations of its digits, as those of a caption's words."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from modules.house_numbers.batch import CLASSES
from modules.recurrent import RecurrentStack


class NumberEncoder(nn.Module):
    """Digits read from both ends by an LSTM, so that each knows its neighbours and its place.

    It is what alignDRAW does with the words of a caption (Mansimov et al. 2016, sec. 3.1).

    Args:
        embedding_size: Width E of a digit's embedding and of each direction's hidden state.
    """

    def __init__(self, embedding_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, embedding_size)
        self.stack = RecurrentStack("lstm", embedding_size, embedding_size, bidirectional=True)
        self.output_size = self.stack.output_size

    def forward(self, digits: Int[Tensor, "B M"]) -> Float[Tensor, "B M D"]:
        """Returns an annotation of every place, those behind the last digit too."""
        outputs, _ = self.stack(self.embedding(digits))
        return outputs
