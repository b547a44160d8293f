"""What a language model's probabilities amount to: perplexity, and bits per character at any level.

Bits per character are -log2 P(text) divided by the number of its characters, so that characters, words and
bytes can be compared. P has to be that of the very text: a model that reads `<unk>` has not yet said which
word stood there. So the text also costs what it takes to spell the unknown units (`Spelling`).
"""

import math
from collections import Counter
from collections.abc import Mapping

from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary

# Unicode's code points but for the surrogates, which no text holds
_ALL_CHARACTERS = 0x110000 - 0x800


def perplexity(nats: float, units: int) -> float:
    """Returns exp of the mean -log p of a unit: how many equally likely ones it would be; NaN of none.

    Args:
        nats: Sum of -log p, natural logarithm.
        units: Number of predicted units.
    """
    return math.exp(min(nats / units, 50.0)) if units else math.nan


def bits_per_character(nats: float, characters: int, unknown_bits: float = 0.0) -> float:
    """Returns the bits that a text costs, divided by its characters; NaN where it has none.

    Args:
        nats: Sum of -log p over the text's units, natural logarithm.
        characters: Number of the text's characters, whatever the units are.
        unknown_bits: What spelling its unknown units costs beside their `<unk>`: `Spelling.bits`.
    """
    return (nats / math.log(2) + unknown_bits) / characters if characters else math.nan


class Spelling:
    """What it costs to say which unknown unit an `<unk>` stands for; it follows from the vocabulary alone.

    At character level all code points that the vocabulary lacks are equally likely (about 20.1 bits). At word
    level a word is spelled letter by letter up to an end mark. Each letter has the share it has among the
    letters of the vocabulary's words, every known word counted once; one count is left for all letters that
    none of them has, which are equally likely. Bytes are never unknown.

    Args:
        codec: Level and vocabulary of the model.
    """

    def __init__(self, codec: TextCodec) -> None:
        self._level = codec.level
        words = codec.vocabulary.words[len(Vocabulary.MARKERS) :]
        if codec.level == "character":
            self._unseen_bits = math.log2(_ALL_CHARACTERS - len(words))
        elif codec.level == "word":
            letters = Counter(letter for word in words for letter in word)
            total = letters.total() + len(words) + 1  # letters, end marks, and one count for unseen letters
            self._letter_bits = {letter: math.log2(total / count) for letter, count in letters.items()}
            self._end_bits = math.log2(total / max(1, len(words)))
            self._unseen_bits = math.log2(total) + math.log2(_ALL_CHARACTERS - len(letters))

    def bits(self, unknown: Mapping[str, int]) -> float:
        """Returns the bits of all unknown units of a text.

        Args:
            unknown: How often each of them comes.
        """
        return math.fsum(count * self.unit_bits(unit) for unit, count in unknown.items())

    def unit_bits(self, unit: str) -> float:
        """Returns the bits of one unknown unit."""
        if self._level == "character":
            return self._unseen_bits
        letters = (self._letter_bits.get(letter, self._unseen_bits) for letter in unit)
        return math.fsum(letters) + self._end_bits
