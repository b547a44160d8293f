"""N-gram baselines against the formula by dictionaries, and bits that are honest at any level."""

import math
import random
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from modules.metrics.language import Spelling, bits_per_character, perplexity
from modules.metrics.ngrams import NGramModel
from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary

BOS = Vocabulary.BOS
TEXTS = ["the cat sat on the mat and the dog sat on the log.\n" * 3, "a catalogue of the mats and dogs"]


def encoded(codec: TextCodec, *texts: str) -> np.ndarray:
    return np.array([id for text in texts for id in [BOS, *codec.encode(text)]])


def by_dictionaries(order: int, train: list[list[int]], n_units: int):
    """Returns P(unit | context) by the formula, one n-gram at a time."""
    counts = [Counter() for _ in range(order + 1)]
    for document in train:
        padded = [BOS] * (order - 1) + document
        for at in range(order - 1, len(padded)):
            counts[order][tuple(padded[at - order + 1 : at + 1])] += 1
    for n in range(order - 1, 0, -1):
        counts[n].update(ngram[1:] for ngram in counts[n + 1])
    discounts = [None]
    for n in range(1, order + 1):
        times = Counter(counts[n].values())
        rest = times[1] / (times[1] + 2 * times[2]) if times[1] else 0.5
        found = []
        for k in (1, 2, 3):
            estimated = times[k] and times[k + 1]
            value = k - (k + 1) * rest * times[k + 1] / times[k] if estimated else rest * k
            found.append(min(max(value, 0.05 * k), 0.95 * k))
        discounts.append(found)
    followers = [defaultdict(dict) for _ in range(order + 1)]
    for n in range(1, order + 1):
        for ngram, count in counts[n].items():
            followers[n][ngram[:-1]][ngram[-1]] = count

    def probability(unit: int, context: tuple[int, ...], n: int = order) -> float:
        if n == 0:
            return 1 / n_units
        shorter = probability(unit, context[1:], n - 1)
        here = followers[n][context]
        if not here:
            return shorter
        discount = {word: discounts[n][min(count, 3) - 1] for word, count in here.items()}
        share = (here[unit] - discount[unit]) / sum(here.values()) if unit in here else 0.0
        return share + sum(discount.values()) / sum(here.values()) * shorter

    return probability


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("level", ["character", "word"])
def test_probabilities_are_those_of_the_formula(level, order):
    codec = TextCodec.build(level, TEXTS)
    train = [codec.encode(text) for text in TEXTS]
    probability = by_dictionaries(order, train, len(codec.vocabulary) - 3)
    model = NGramModel(order, len(codec.vocabulary)).fit(encoded(codec, *TEXTS))
    held_out = ["the dog on the cat\nzzz the", "and a log"]  # with what was never seen
    wanted = []
    for text in held_out:
        padded = [BOS] * (order - 1) + codec.encode(text)
        for at in range(order - 1, len(padded)):
            wanted.append(-math.log2(probability(padded[at], tuple(padded[at - order + 1 : at]))))
    assert Vocabulary.UNK in codec.encode(held_out[0])
    np.testing.assert_allclose(model.bits(encoded(codec, *held_out)), wanted, rtol=1e-12)


@pytest.mark.parametrize("level", ["character", "word", "byte"])
@pytest.mark.parametrize("context", ["", "the c", "the cat sat", "q zq ", "logs", "on the dogs"])
def test_probabilities_sum_to_one(level, context):
    codec = TextCodec.build(level, TEXTS)
    impossible = (0, 1, 2, 3) if level == "byte" else (0, 1, 2)
    model = NGramModel(5, len(codec.vocabulary), impossible).fit(encoded(codec, *TEXTS))
    before = codec.encode(context)
    units = [id for id in range(len(codec.vocabulary)) if id not in impossible]
    bits = model.bits(np.array([id for unit in units for id in [BOS, *before, unit]]))
    assert (2.0 ** -bits[len(before) :: len(before) + 1]).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_what_may_come_next_is_as_probable_as_where_it_came(order):
    codec = TextCodec.build("character", TEXTS)
    model = NGramModel(order, len(codec.vocabulary)).fit(encoded(codec, *TEXTS))
    text = [BOS] * (order - 1) + codec.encode("the dog zq")
    windows = [text[at : at + order - 1] for at in range(len(text) - order + 1)]
    p = model.next_probabilities(np.array(windows, np.int64).reshape(len(windows), order - 1))
    of_text = p[np.arange(len(windows)), text[order - 1 :]]
    np.testing.assert_allclose(-np.log2(of_text), model.bits(encoded(codec, "the dog zq")), rtol=1e-12)
    np.testing.assert_allclose(p[:, 3:].sum(1), 1, rtol=1e-12)


def test_texts_are_drawn_as_probable_as_they_are():
    codec = TextCodec.build("character", TEXTS)
    model = NGramModel(2, len(codec.vocabulary)).fit(encoded(codec, *TEXTS))
    drawn = model.write(codec.encode("t"), 1, 4000, 1.0, seed=0)[:, 0]
    p = model.next_probabilities(np.array([codec.encode("t")]))[0]
    shares = np.bincount(drawn, minlength=len(p)) / 4000
    assert shares[:3].sum() == 0
    np.testing.assert_allclose(shares[3:], p[3:], atol=0.03)
    assert shares.max() > 0.4  # h after t
    cold = model.write(codec.encode("t"), 5, 3, 0.01, seed=0)
    assert [codec.decode(row.tolist()) for row in cold] == ["he th"] * 3
    np.testing.assert_array_equal(model.write(codec.encode("t"), 5, 3, 1e-6, seed=0), cold)
    again, other = (model.write([], 30, 2, 1.0, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(again, model.write([], 30, 2, 1.0, seed=0))
    assert not np.array_equal(again, other)


def test_a_table_and_sorting_number_alike(monkeypatch):
    codec = TextCodec.build("character", TEXTS)
    tokens = encoded(codec, *TEXTS)
    by_table = NGramModel(5, len(codec.vocabulary)).fit(tokens).bits(tokens)
    monkeypatch.setattr("modules.metrics.ngrams._TABLE_SIZE", 0)
    np.testing.assert_array_equal(NGramModel(5, len(codec.vocabulary)).fit(tokens).bits(tokens), by_table)


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("at_once", [1, 3, 7, 1000])
def test_a_text_that_is_read_in_parts_has_the_bits_of_the_whole(order, at_once):
    codec = TextCodec.build("character", TEXTS)
    tokens = encoded(codec, *TEXTS, "", "a cat sat")
    model = NGramModel(order, len(codec.vocabulary)).fit(encoded(codec, *TEXTS))
    assert model.total_bits(tokens, at_once) == pytest.approx(model.bits(tokens).sum(), rel=1e-12)
    assert model.total_bits(tokens[:0]) == 0.0


def test_documents_know_nothing_of_each_other():
    codec = TextCodec.build("character", TEXTS)
    model = NGramModel(4, len(codec.vocabulary)).fit(encoded(codec, *TEXTS))
    apart = np.concatenate([model.bits(encoded(codec, text)) for text in ["the cat", "sat on"]])
    np.testing.assert_array_equal(model.bits(encoded(codec, "the cat", "sat on")), apart)
    with pytest.raises(ValueError, match="begin with the <bos>"):
        model.bits(np.array(codec.encode("the")))


def test_longer_contexts_help_and_the_unigram_knows_the_entropy():
    draw = random.Random(0)
    units = [4 + draw.choices(range(4), [8, 4, 2, 2])[0] for _ in range(20_000)]
    tokens = np.array([BOS, *units])
    unigram = NGramModel(1, 8).fit(tokens[:15_000]).bits(np.array([BOS, *tokens[15_000:]]))
    assert unigram.mean() == pytest.approx(1.75, abs=0.03)
    # a text in which every unit follows from the two before it
    text = [0, 1]
    for one, two in pairwise(range(3000)):
        text.append((text[one] * 3 + text[two] * 5 + 1) % 7)
    tokens = np.array([BOS, *(4 + unit for unit in text)])
    bits = [
        NGramModel(n, 11).fit(tokens[:2000]).bits(np.array([BOS, *tokens[2000:]])).mean() for n in (1, 2, 3)
    ]
    assert bits[0] > bits[1] > bits[2] and bits[2] < 0.1


def test_bits_per_character_count_all_that_a_text_costs():
    assert perplexity(10 * math.log(7), 10) == pytest.approx(7)
    assert bits_per_character(100 * math.log(2), 50) == pytest.approx(2)
    assert bits_per_character(100 * math.log(2), 50, unknown_bits=25.0) == pytest.approx(2.5)


def test_spelling_probabilities_sum_to_one():
    codec = TextCodec.build("word", ["ab ba b"])
    spelling = Spelling(codec)
    end = 2 ** -spelling.unit_bits("")
    letters = [2 ** -spelling.unit_bits(letter) / end for letter in "ab"]
    unseen = (0x110000 - 0x800 - 2) * 2 ** -spelling.unit_bits("犬") / end
    assert end + sum(letters) + unseen == pytest.approx(1)
    assert spelling.unit_bits("bbb") < spelling.unit_bits("aaa") < spelling.unit_bits("犬犬犬")
    assert spelling.bits({"ab": 2, "犬": 1}) == pytest.approx(
        2 * spelling.unit_bits("ab") + spelling.unit_bits("犬")
    )
    characters = Spelling(TextCodec.build("character", ["ab"]))
    assert characters.unit_bits("犬") == pytest.approx(math.log2(0x110000 - 0x800 - 2))
    assert Spelling(TextCodec.build("byte")).bits({}) == 0


def test_a_smaller_vocabulary_is_no_way_to_a_better_figure():
    """Without the spelling, a model of <unk> alone would need no bits at all."""
    draw = random.Random(0)
    names = ["".join(draw.choices("etaoinshr", k=draw.randint(2, 9))) for _ in range(300)]
    train, held_out = (" ".join(draw.choices(names, k=4000)) for _ in range(2))
    figures = {}
    for size in (6, 100, None):
        codec = TextCodec.build("word", [train], max_vocabulary=size)
        nats = NGramModel(1, len(codec.vocabulary)).fit(encoded(codec, train)).bits(encoded(codec, held_out))
        encoder = codec.stream_encoder()
        encoder.push(held_out)
        unknown_bits = Spelling(codec).bits(encoder.unknown)
        total = nats.sum() * math.log(2)
        figures[size] = bits_per_character(total, len(held_out), unknown_bits)
        bare = bits_per_character(total, len(held_out))
        assert (unknown_bits == 0) is (size is None) and bare <= figures[size]
    assert figures[None] < figures[100] < figures[6]


def test_what_is_scored_over_nothing_is_no_number():
    assert math.isnan(perplexity(0.0, 0)) and math.isnan(bits_per_character(0.0, 0))
