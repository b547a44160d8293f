"""The words a captioner or language model knows, and their numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence


class Vocabulary:
    """A two-way table between words and ids; the first four ids are the markers.

    Args:
        words: all words by id, beginning with the four markers `Vocabulary.MARKERS`; `words` of one
            vocabulary rebuilds an equal one, which is how checkpoints keep it.
    """

    PAD, BOS, EOS, UNK = 0, 1, 2, 3
    MARKERS = ("<pad>", "<bos>", "<eos>", "<unk>")

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        if tuple(self.words[:4]) != self.MARKERS:
            raise ValueError(f"a vocabulary begins with {' '.join(self.MARKERS)}, not {self.words[:4]}")
        self._ids = {word: i for i, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            raise ValueError("a vocabulary holds each word once")

    @classmethod
    def build(
        cls, token_lists: Iterable[Sequence[str]], min_count: int = 1, max_size: int | None = None
    ) -> "Vocabulary":
        """Vocabulary of the words seen at least `min_count` times, the most frequent first, ties by alphabet.

        Args:
            token_lists: tokenized captions, of the training split only.
            min_count: rarer words become <unk>.
            max_size: most ids altogether, the four markers included; None for no limit.
        """
        return cls.of_counts(Counter(word for tokens in token_lists for word in tokens), min_count, max_size)

    @classmethod
    def of_counts(
        cls, counts: Mapping[str, int], min_count: int = 1, max_size: int | None = None
    ) -> "Vocabulary":
        """The same of words that are counted already.

        Args:
            counts: how often each word occurs in captions of the training split only.
            min_count: as in `build`.
            max_size: as in `build`.
        """
        if max_size is not None and max_size <= len(cls.MARKERS):
            raise ValueError(f"max_size {max_size} leaves no room beside the {len(cls.MARKERS)} markers")
        frequent = [word for word, count in counts.items() if count >= min_count and word not in cls.MARKERS]
        frequent.sort(key=lambda word: (-counts[word], word))
        return cls([*cls.MARKERS, *frequent][:max_size])

    def with_words_of(self, other: "Vocabulary") -> "Vocabulary":
        """Returns these words under their numbers, and behind them those that only the other has."""
        return Vocabulary([*self.words, *(word for word in other.words if word not in self)])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.words == other.words

    def __hash__(self) -> int:
        return hash(tuple(self.words))

    def encode(self, tokens: Sequence[str]) -> list[int]:
        """Ids of the words, unknown ones as UNK; no BOS and no EOS are added."""
        return [self._ids.get(word, self.UNK) for word in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Words of the ids up to the first EOS; PAD and BOS are skipped."""
        words = []
        for i in ids:
            if i == self.EOS:
                break
            if i not in (self.PAD, self.BOS):
                words.append(self.words[i])
        return words

    def coverage(self, token_lists: Iterable[Sequence[str]]) -> float:
        """Share of the running words that the vocabulary knows, 0..1; 1 for no words at all."""
        known = total = 0
        for tokens in token_lists:
            known += sum(word in self._ids for word in tokens)
            total += len(tokens)
        return known / total if total else 1.0
