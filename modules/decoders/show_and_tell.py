"""Show and Tell: the image is the first word that an RNN reads."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from modules.decoders.caption_decoder import CaptionDecoder, DecoderOptions
from modules.decoding import DecoderState
from modules.recurrent import RecurrentStack


class ShowAndTellDecoder(CaptionDecoder):
    """An RNN whose first input is the image's pooled feature (Vinyals et al. 2015, eq. 10-12).

    Args:
        vocabulary_size: Number of words V.
        annotation_size: Width D of an annotation vector.
        options: Sizes and kinds.
    """

    def __init__(self, vocabulary_size: int, annotation_size: int, options: DecoderOptions) -> None:
        super().__init__(vocabulary_size, annotation_size, options)
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        self.image = nn.Linear(annotation_size, options.embedding_size)
        self.rnn = RecurrentStack(
            options.cell, options.embedding_size, options.hidden_size, options.layers, options.dropout
        )
        self._score_words_from(options.hidden_size)

    def init_state(self, annotations: Float[Tensor, "B L D"]) -> DecoderState:
        """Returns the state after the image was read, before the first word."""
        image = self.image(annotations.mean(1))  # (B, E)
        _, state = self.rnn.step(self.rnn.cells[0].project_input(image), self.rnn.init_state(len(image)))
        return DecoderState((), state)

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, None]:
        """Returns logits of the next word, the next state, and no attention."""
        x = self.rnn.cells[0].project_input(self.dropout(self.embedding(tokens)))
        h, recurrent = self.rnn.step(x, state.recurrent)
        return self.output(self.dropout(h)), DecoderState((), recurrent), None

    def forward(
        self,
        annotations: Float[Tensor, "N L D"],
        tokens: Int[Tensor, "B T"],
        image_index: Int[Tensor, " B"] | None = None,
    ) -> tuple[Float[Tensor, "B T V"], None]:
        """Returns the logits of the word after each given one.

        Args:
            annotations: Of N images.
            tokens: B captions, beginning with the begin mark.
            image_index: The image each caption belongs to; by default one caption an image.
        """
        state = self.init_state(annotations)
        if image_index is not None:
            state = state.select(image_index)
        x = self.dropout(self.embedding(tokens))  # (B, T, E)
        h, _ = self.rnn(x, tuple(tensor.to(x.dtype) for tensor in state.recurrent))  # (B, T, H)
        return self.output(self.dropout(h)), None
