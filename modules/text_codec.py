"""Text to numbers and back: by characters, by words or by UTF-8 bytes.

Ids 0..3 are the markers of `Vocabulary` at every level. At byte level the other 256 are all there is; the
units of the other two come from a training text.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt32

from modules.vocabulary import Vocabulary
from modules.word_tokens import WordJoiner, WordSplitter

Level = Literal["character", "word", "byte"]
_MARKERS = len(Vocabulary.MARKERS)
_CODE_POINTS = 0x110000
_BYTES = [f"<{byte:02x}>" for byte in range(256)]
# what an unknown character or word is shown as
_UNKNOWN = {"character": "\ufffd", "word": "<unk>", "byte": ""}


def normalised(text: str) -> str:
    r"""Returns a text as all readers of files give it: without byte order mark, every line end as \n."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


class TextCodec:
    """A two-way table between texts and sequences of ids.

    `decode(encode(text))` is the text again wherever all of its units are known, blanks and line breaks
    included: how words keep theirs stands in `modules/word_tokens.py`.

    Args:
        level: What a token is: a character (any Unicode code point), a word, or a byte of UTF-8.
        vocabulary: The units and their ids.
    """

    def __init__(self, level: Level, vocabulary: Vocabulary) -> None:
        if level == "byte" and vocabulary.words[_MARKERS:] != _BYTES:
            raise ValueError("the byte level has the 256 bytes and no others")
        self.level, self.vocabulary = level, vocabulary
        self._table: np.ndarray | None = None  # code point -> id

    @classmethod
    def build(
        cls,
        level: Level,
        documents: Iterable[str | Iterable[str]] = (),
        min_count: int = 1,
        max_vocabulary: int | None = None,
    ) -> TextCodec:
        """Returns the codec of the units seen at least `min_count` times, the most frequent first.

        Args:
            level: What a token is.
            documents: Training texts, each as a whole or in pieces that end after a line break or a blank;
                the byte level needs none.
            min_count: Rarer characters or words become <unk>.
            max_vocabulary: Most ids altogether, the four markers included; None for no limit.
        """
        if level == "byte":
            return cls(level, Vocabulary([*Vocabulary.MARKERS, *_BYTES]))
        count = _count_characters if level == "character" else _count_words
        counts = count([document] if isinstance(document, str) else document for document in documents)
        units = [unit for unit, count in counts.items() if count >= min_count]
        units.sort(key=lambda unit: (-counts[unit], unit))
        return cls(level, Vocabulary([*Vocabulary.MARKERS, *units][:max_vocabulary]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextCodec) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.level, self.vocabulary))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values from which `from_dict` makes an equal codec: for checkpoints."""
        return {"level": self.level, "words": list(self.vocabulary.words)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TextCodec:
        """Returns the codec that `to_dict` described."""
        return cls(plain["level"], Vocabulary(plain["words"]))

    def with_units_of(self, other: TextCodec) -> TextCodec:
        """Returns these units under their ids, and behind them those that only the other has."""
        return TextCodec(self.level, self.vocabulary.with_words_of(other.vocabulary))

    # ---- one text

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text, unknown units as UNK; no BOS and no EOS are added."""
        encoder = self.stream_encoder()
        return [*encoder.push(text).tolist(), *encoder.flush().tolist()]

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of ids; PAD, BOS and EOS add nothing, what is no whole UTF-8 adds U+FFFD."""
        decoder = self.stream_decoder()
        return "".join(decoder.push(id) for id in ids) + decoder.flush()

    def units(self, text: str) -> list[str]:
        """Returns the tokens of a text as strings, the unknown ones as they are written."""
        if self.level == "character":
            return list(text)
        if self.level == "byte":
            return [_BYTES[byte] for byte in _utf8(text)]
        splitter = WordSplitter()
        return splitter.push(text) + splitter.flush()

    def pieces(self, text: str) -> list[str]:
        """Returns what each token adds to the text, one piece a token; together they are the text.

        A word comes with the blank before it; of the bytes of a character the last one has it whole.
        """
        if self.level == "character":
            return list(text)
        if self.level == "word":
            joiner = WordJoiner()
            return [joiner.push(unit) for unit in self.units(text)]
        return [piece for character in text for piece in [""] * (len(_utf8(character)) - 1) + [character]]

    def unknown(self, text: str) -> list[str]:
        """Returns the different unknown units of a text, in the order of their first coming."""
        if self.level == "byte":
            return []
        return [unit for unit in dict.fromkeys(self.units(text)) if unit not in self.vocabulary]

    # ---- texts that come piece by piece

    def stream_encoder(self) -> StreamEncoder:
        """Returns an encoder of a text that comes in pieces."""
        return StreamEncoder(self)

    def stream_decoder(self) -> StreamDecoder:
        """Returns a decoder of ids that come one by one; what was read before can be pushed into it first."""
        return StreamDecoder(self)

    def table(self) -> UInt32[np.ndarray, " code_points"]:
        """Returns the id of every Unicode code point at character level, UNK for the unknown ones."""
        if self._table is None:
            self._table = np.full(_CODE_POINTS, Vocabulary.UNK, np.uint32)
            characters = self.vocabulary.words[_MARKERS:]
            self._table[_code_points("".join(characters))] = np.arange(_MARKERS, len(self.vocabulary))
        return self._table

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None}


class StreamEncoder:
    """Encodes a text that comes in pieces, which should end after a line break or a blank.

    Attributes:
        unknown: How often each unknown unit has come; whoever reads it may empty it.
    """

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self._splitter = WordSplitter()
        self.unknown: Counter[str] = Counter()

    def push(self, text: str) -> UInt32[np.ndarray, " tokens"]:
        """Returns the ids of a piece; at word level blanks at its end may come with the next."""
        if self._codec.level == "byte":
            return np.frombuffer(_utf8(text), np.uint8).astype(np.uint32) + np.uint32(_MARKERS)
        if self._codec.level == "word":
            return self._look_up(self._splitter.push(text))
        points = _code_points(text)
        ids = self._codec.table()[points]
        missing = points[ids == Vocabulary.UNK]
        self.unknown.update(map(chr, missing.tolist()))
        return ids

    def flush(self) -> UInt32[np.ndarray, " tokens"]:
        """Returns the ids that were kept back at the end of the text."""
        return self._look_up(self._splitter.flush())

    def _look_up(self, words: Sequence[str]) -> np.ndarray:
        ids = self._codec.vocabulary.encode(words)
        self.unknown.update(word for word, id in zip(words, ids, strict=True) if id == Vocabulary.UNK)
        return np.array(ids, np.uint32)


class StreamDecoder:
    """Decodes ids one by one; the bytes of a character are held back until it is complete."""

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self._joiner = WordJoiner()
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, id: int) -> str:
        """Returns what an id adds to the text."""
        level = self._codec.level
        if id == Vocabulary.UNK:
            unit = _UNKNOWN[level]
        elif id < _MARKERS:
            return ""
        elif level == "byte":
            return self._utf8.decode(bytes([id - _MARKERS]))
        else:
            unit = self._codec.vocabulary.words[id]
        return self._joiner.push(unit) if level == "word" else unit

    def flush(self) -> str:
        """Returns U+FFFD where the text ends within a character, else nothing."""
        return self._utf8.decode(b"", final=True)


def _utf8(text: str) -> bytes:
    # half a character, which a command line can hold, is encoded as it is
    return text.encode("utf-8", "surrogatepass")


def _code_points(text: str) -> UInt32[np.ndarray, " characters"]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _count_characters(documents: Iterable[Iterable[str]]) -> dict[str, int]:
    counts = np.zeros(_CODE_POINTS, np.int64)
    for pieces in documents:
        for piece in pieces:
            own = np.bincount(_code_points(piece))  # up to its last code point: texts may be many and short
            counts[: len(own)] += own
    return {chr(point): int(counts[point]) for point in np.flatnonzero(counts)}


def _count_words(documents: Iterable[Iterable[str]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for pieces in documents:
        splitter = WordSplitter()
        for piece in pieces:
            counts.update(splitter.push(piece))
        counts.update(splitter.flush())
    return counts
