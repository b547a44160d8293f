"""An n-gram model with interpolated modified Kneser-Ney smoothing: the baseline of a language model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Integer, Shaped

from modules.vocabulary import Vocabulary

# n-grams that could be there at most for them to be numbered by a table instead of by sorting
_TABLE_SIZE = 1 << 26
_AT_ONCE = 1 << 22  # units: 200 MB of numbers


@dataclass
class _Order:
    """The n-grams of one length and what they contribute.

    Attributes:
        keys: context number * vocabulary + unit of each different n-gram, ascending.
        shares: (count - discount) / count of the context, of each n-gram.
        left: What each context leaves to the shorter n-grams.
    """

    keys: Int[np.ndarray, " ngrams"]
    shares: Float[np.ndarray, " ngrams"]
    left: Float[np.ndarray, " contexts"]


class NGramModel:
    """P(unit | the n - 1 before it), from counts (Chen and Goodman 1999, section 3).

    P_n(w | c) = max(count(c w) - D(count), 0) / count(c) + gamma(c) P_{n-1}(w | c less its first unit).
    P_0 is uniform over all units. Shorter n-grams are counted by the different units they follow. D has three
    values, for counts 1, 2 and more. A document begins after `<bos>`.

    Args:
        order: n; 1 gives the unigram model.
        vocabulary_size: Number of ids, the markers included.
        impossible: Ids that never come, so that no probability is spent on them.
    """

    def __init__(
        self,
        order: int,
        vocabulary_size: int,
        impossible: Sequence[int] = (Vocabulary.PAD, Vocabulary.BOS, Vocabulary.EOS),
    ) -> None:
        self.order, self.vocabulary_size = order, vocabulary_size
        self.impossible = tuple(impossible)
        self.uniform = 1.0 / (vocabulary_size - len(impossible))
        self._orders: list[_Order] = []

    def fit(self, tokens: Integer[np.ndarray, " tokens"]) -> "NGramModel":
        """Counts the n-grams of documents, each after its `<bos>`; returns the model itself."""
        units = self._padded(tokens)
        is_unit = units != Vocabulary.BOS
        contexts = np.zeros(len(units), np.int64)  # number of the context before each unit
        keys: list[np.ndarray] = []  # of every order
        numbers: list[np.ndarray] = []  # of the n-gram that ends at each unit
        for _ in range(self.order):
            bound = (int(contexts.max()) + 1) * self.vocabulary_size
            of_order, number = _distinct(contexts * self.vocabulary_size + units, bound)
            keys.append(of_order)
            numbers.append(number)
            contexts = _before(number)
        self._orders = []
        counted = np.flatnonzero(is_unit)  # positions whose n-gram counts
        for n in range(self.order, 0, -1):
            counts = np.bincount(numbers[n - 1][counted], minlength=len(keys[n - 1]))
            n_contexts = len(keys[n - 2]) if n > 1 else 1
            self._orders.insert(0, self._smoothed(keys[n - 1], counts, n_contexts))
            # one position of each different n-gram: what the next shorter ones are counted by
            last = np.zeros(len(keys[n - 1]), np.int64)
            last[numbers[n - 1]] = np.arange(len(units))
            counted = last[is_unit[last]]
        return self

    def bits(self, tokens: Integer[np.ndarray, " tokens"]) -> Float[np.ndarray, " units"]:
        """Returns -log2 P of every unit of documents, each after its `<bos>`, which itself has none."""
        return self._bits(self._padded(tokens))

    def total_bits(self, tokens: Integer[np.ndarray, " tokens"], at_once: int = _AT_ONCE) -> float:
        """Returns their sum, for which a text of any length needs no more memory.

        Args:
            tokens: As of `bits`, or none.
            at_once: Units that are looked up together.
        """
        total = 0.0
        for start in range(0, len(tokens), at_once):
            # the units before are what these are predicted from
            begin = max(0, start - self.order + 1)
            known = int((tokens[begin:start] != Vocabulary.BOS).sum())
            total += float(self._bits(self._repeated(tokens[begin : start + at_once]))[known:].sum())
        return total

    def _bits(self, units: Integer[np.ndarray, " padded"]) -> Float[np.ndarray, " units"]:
        probability = np.full(len(units), self.uniform)
        contexts = np.zeros(len(units), np.int64)  # -1 where the context was never seen
        for order in self._orders:
            number = self._numbers(order, contexts, units)
            probability = _interpolated(order, probability, contexts, number)
            contexts = _before(number)
        return -np.log2(probability[units != Vocabulary.BOS])

    def next_probabilities(self, before: Int[np.ndarray, "texts n_less_1"]) -> Float[np.ndarray, "texts V"]:
        """Returns P of every unit after the n - 1 before it; that of an impossible one is too large.

        Args:
            before: Ids, `<bos>` where a document has not begun.
        """
        every = np.arange(self.vocabulary_size)
        probability = np.full((len(before), len(every)), self.uniform)
        numbers = np.zeros(before.shape, np.int64)  # of the n-gram that ends at each unit, here of none
        context = np.zeros((len(before), 1), np.int64)
        for order in self._orders:
            number = self._numbers(order, context, every)
            probability = _interpolated(order, probability, context, number)
            if before.shape[1] == 0:
                break
            ended = self._numbers(order, numbers, before)
            context = ended[:, -1:]
            # what ends one place before; before the first nothing is known
            numbers = np.concatenate([np.full((len(before), 1), -1), ended[:, :-1]], axis=1)
        return probability

    def _numbers(self, order: _Order, contexts: np.ndarray, units: np.ndarray) -> np.ndarray:
        """Returns the numbers of the n-grams that units end after contexts, -1 if never seen."""
        keys = contexts * self.vocabulary_size + units
        number = np.searchsorted(order.keys, keys)
        number[number == len(order.keys)] = 0
        return np.where((order.keys[number] == keys) & (contexts >= 0), number, -1)

    def write(
        self, begin: Sequence[int], length: int, texts: int, temperature: float, seed: int
    ) -> Int[np.ndarray, "texts length"]:
        """Returns texts drawn unit by unit.

        Args:
            begin: Ids that they stand after.
            length: Units of each.
            texts: How many.
            temperature: Logarithms of probabilities are divided by it.
            seed: Of the random numbers.
        """
        random = np.random.default_rng(seed)
        window = [Vocabulary.BOS] * (self.order - 1) + list(begin)
        written = np.empty((texts, len(window) + length), np.int64)
        written[:, : len(window)] = window
        for at in range(len(window), len(window) + length):
            p = self.next_probabilities(written[:, at - self.order + 1 : at])
            p[:, list(self.impossible)] = 0.0
            # of the largest, lest all powers be 0
            p = np.cumsum((p / p.max(axis=1, keepdims=True)) ** (1 / temperature), axis=1)
            # the first unit whose share reaches a number between 0 and the sum of all
            written[:, at] = (p < random.random((texts, 1)) * p[:, -1:]).sum(1)
        return written[:, len(window) :]

    def _padded(self, tokens: np.ndarray) -> np.ndarray:
        """Returns ids with n - 1 <bos> before each document, so that no context reaches into another."""
        tokens = np.asarray(tokens)
        if not len(tokens) or tokens[0] != Vocabulary.BOS:
            raise ValueError("tokens begin with the <bos> of a document")
        return self._repeated(tokens)

    def _repeated(self, tokens: np.ndarray) -> np.ndarray:
        times = np.where(tokens == Vocabulary.BOS, max(1, self.order - 1), 1)
        return np.repeat(tokens, times).astype(np.int64)

    def _smoothed(self, keys: np.ndarray, counts: np.ndarray, n_contexts: int) -> _Order:
        contexts = keys // self.vocabulary_size
        discount = np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3)]  # of each n-gram
        totals = np.bincount(contexts, counts, minlength=n_contexts)
        discounted = np.bincount(contexts, discount, minlength=n_contexts)
        # a context that nothing follows leaves everything
        left = np.divide(discounted, totals, out=np.ones(n_contexts), where=totals > 0)
        shares = (counts - discount) / np.maximum(totals, 1)[contexts]
        return _Order(keys, shares, left)


def _interpolated(
    order: _Order, shorter: np.ndarray, contexts: np.ndarray, numbers: np.ndarray
) -> np.ndarray:
    """Returns P of units by one order more, from P by the shorter ones and the numbers of their n-grams."""
    probability = shorter * np.where(contexts >= 0, order.left[contexts], 1.0)
    return probability + np.where(numbers >= 0, order.shares[numbers], 0.0)


def _discounts(counts: Integer[np.ndarray, " ngrams"]) -> Iterator[float]:
    """Yields D1, D2 and D3+, by how many n-grams come once, twice, three and four times."""
    times = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(float)
    rest = times[0] / (times[0] + 2 * times[1]) if times[0] else 0.5
    for count in (1, 2, 3):
        if times[count - 1] and times[count]:
            found = count - (count + 1) * rest * times[count] / times[count - 1]
        else:  # too few to estimate it
            found = rest * count
        yield float(np.clip(found, 0.05 * count, 0.95 * count))


def _distinct(
    keys: Int[np.ndarray, " units"], bound: int
) -> tuple[Int[np.ndarray, " distinct"], Int[np.ndarray, " units"]]:
    """Returns the different keys in order, and which of them each key is; all are below the bound."""
    if bound > _TABLE_SIZE:
        distinct, number = np.unique(keys, return_inverse=True)
        return distinct, number
    is_there = np.zeros(bound, bool)
    is_there[keys] = True
    distinct = np.flatnonzero(is_there)
    table = np.empty(bound, np.int32)
    table[distinct] = np.arange(len(distinct), dtype=np.int32)
    return distinct, table[keys].astype(np.int64)


def _before(numbers: Shaped[np.ndarray, " units"]) -> Shaped[np.ndarray, " units"]:
    """Returns what stands one place before; 0 at the beginning, which is a <bos> and is not predicted."""
    return np.concatenate([np.zeros(1, numbers.dtype), numbers[:-1]])
