"""How probable a language model finds every unit of a text, read once from its beginning to its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from modules.decoders.fixed_window import FixedWindowDecoder
from modules.decoders.language import LanguageDecoder
from modules.metrics.language import Spelling, bits_per_character, perplexity
from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary
from modules.word_tokens import WordJoiner, WordSplitter

CHUNK = 512  # units in one forward pass, which bounds the memory that their logits take


class Surprise(NamedTuple):
    """What the model said of T units, on the CPU.

    Attributes:
        log_probs: Of each unit given all before it, in nats; NaN where the model gives units like it none.
        expected: The unit that it found most probable in that place.
        expected_log_probs: And how probable.
    """

    log_probs: Float[Tensor, " T"]
    expected: Int[Tensor, " T"]
    expected_log_probs: Float[Tensor, " T"]


def opening(codec: TextCodec) -> int:
    """The unit that a text is read after: a line break, or `<bos>` where the codec has no line break.

    A model has seen far fewer beginnings of documents than of lines, and knows the latter better.
    """
    (line_break,) = codec.encode("\n")
    return Vocabulary.BOS if line_break == Vocabulary.UNK else line_break


class SurpriseReader:
    """Reads one text in pieces of any length, the state carried from piece to piece.

    `log P(x_1 .. x_T | x_0) = sum_t log softmax(y_{t-1})[x_t]`.

    Args:
        decoder: In evaluation mode, on any device.
        begin: The unit x_0 that the text stands after, `opening` of the codec.
        chunk: Units in one forward pass; the result does not depend on it.

    Attributes:
        following: Logits of the unit after all that was read (V,).
        state: The decoder's after that.
    """

    def __init__(self, decoder: LanguageDecoder | FixedWindowDecoder, begin: int, chunk: int = CHUNK) -> None:
        self.decoder, self.chunk = decoder, chunk
        state = decoder.init_state(1)
        with torch.inference_mode():
            before = torch.tensor([begin], device=decoder.output.never.device)
            logits, self.state, _ = decoder.step(before, state)
        self.following = logits[0]

    def read(self, tokens: Sequence[int]) -> Surprise:
        """Returns what was expected of the next units of the text."""
        parts = [self._read(tokens[at : at + self.chunk]) for at in range(0, len(tokens), self.chunk)]
        if not parts:
            return Surprise(torch.empty(0), torch.empty(0, dtype=torch.long), torch.empty(0))
        return Surprise(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _read(self, tokens: Sequence[int]) -> Surprise:
        given = torch.tensor([tokens], device=self.following.device)  # (1, T)
        with torch.inference_mode():
            logits, self.state = self.decoder(given, self.state)  # (1, T, V): what follows each unit
            before = torch.cat([self.following.unsqueeze(0), logits[0, :-1]])  # (T, V)
            self.following = logits[0, -1]
            log_probs = before.float().log_softmax(dim=1)
            of_given = log_probs.gather(1, given.T).squeeze(1)
            best, expected = log_probs.max(dim=1)
            of_given = of_given.masked_fill(self.decoder.output.never[given[0]], math.nan)
        return Surprise(of_given.cpu(), expected.cpu(), best.cpu())


class Unit(NamedTuple):
    """One unit of a text and what the model said of it.

    Attributes:
        text: What it adds to the text; a word with the blank before it, nothing for all bytes of a character
            but the last.
        log_prob: Given all before it, in nats; NaN where the model gives units like it none.
        bits: What the unit costs: -log2 of its probability and what spelling an unknown one takes; 0 where it
            has no probability.
        expected: The unit that the model found most probable in that place.
        expected_log_prob: And how probable.
    """

    text: str
    log_prob: float
    bits: float
    expected: str
    expected_log_prob: float


@dataclass
class TextScore:
    """Sums over a text. Units that the model gives no probability are in `units` and `characters` alone.

    Attributes:
        units: Characters, words or bytes.
        characters: Of the whole text.
        unknown: Units that the model has never seen; it reads them as one and the same.
        scored_units: Those that have a probability.
        scored_characters: Theirs.
        log_prob: Sum of theirs, in nats.
        unknown_bits: What spelling the unknown ones of them costs beside their `<unk>`.
    """

    units: int = 0
    characters: int = 0
    unknown: int = 0
    scored_units: int = 0
    scored_characters: int = 0
    log_prob: float = 0.0
    unknown_bits: float = 0.0

    @property
    def perplexity(self) -> float:
        """Of a unit."""
        return perplexity(-self.log_prob, self.scored_units)

    @property
    def bits_per_char(self) -> float:
        """Of the scored characters, the spelling of unknown units included."""
        return bits_per_character(-self.log_prob, self.scored_characters, self.unknown_bits)

    def uniform_bits_per_char(self, possible: int) -> float:
        """The same, were so many units equally probable everywhere."""
        nats = self.scored_units * math.log(possible)
        return bits_per_character(nats, self.scored_characters, self.unknown_bits)


class TextReader:
    """Reads a text and keeps its score; pieces of it should end after a line break or a blank.

    Args:
        codec: Text to numbers.
        decoder: In evaluation mode, on any device.
        chunk: Units in one forward pass; the result does not depend on it.
        reader: What reads the ids, if not a `SurpriseReader` of this decoder.
    """

    def __init__(
        self,
        codec: TextCodec,
        decoder: LanguageDecoder | FixedWindowDecoder,
        chunk: int = CHUNK,
        reader: SurpriseReader | None = None,
    ) -> None:
        self.codec = codec
        self.score = TextScore()
        self._spelling = Spelling(codec)
        self._reader = reader or SurpriseReader(decoder, opening(codec), chunk)
        self._splitter, self._joiner = WordSplitter(), WordJoiner()

    def push(self, text: str) -> list[Unit]:
        """Returns the units of a piece; at word level blanks at its end may come with the next."""
        self.score.characters += len(text)
        if self.codec.level == "word":
            return self._read_words(self._splitter.push(text))
        return self._read(self.codec.encode(text), self.codec.pieces(text))

    def flush(self) -> list[Unit]:
        """Returns the units that were kept back at the end of the text."""
        return self._read_words(self._splitter.flush())

    def _read_words(self, words: list[str]) -> list[Unit]:
        return self._read(self.codec.vocabulary.encode(words), [self._joiner.push(word) for word in words])

    def _read(self, tokens: list[int], texts: list[str]) -> list[Unit]:
        shown, units = self.codec.vocabulary.words, []
        for token, text, log_prob, expected, best in zip(
            tokens, texts, *(column.tolist() for column in self._reader.read(tokens)), strict=True
        ):
            self.score.units += 1
            self.score.unknown += token == Vocabulary.UNK
            bits = 0.0
            if not math.isnan(log_prob):
                # a word's own blank is not part of its spelling
                spelt = self._spelling.unit_bits(text.removeprefix(" ")) if token == Vocabulary.UNK else 0.0
                bits = spelt - log_prob / math.log(2)
                self.score.scored_units += 1
                self.score.scored_characters += len(text)
                self.score.log_prob += log_prob
                self.score.unknown_bits += spelt
            units.append(Unit(text, log_prob, bits, shown[expected], best))
        return units
