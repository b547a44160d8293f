"""Decoding over a scripted table of probabilities, against hand calculation and exhaustive search."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from modules.decoding import DecoderState, DecodingOptions, decode
from modules.decoding.hypotheses import without_gaps
from modules.errors import InputError
from modules.vocabulary import Vocabulary
from tests.modules.scripted import (
    BOS,
    EOS,
    METHODS,
    PAD,
    UNK,
    A,
    B,
    C,
    Table,
    enumerate_all,
    random_table,
    repeats,
    scripted,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize(
    "limits",
    [{}, {"min_length": 2}, {"no_repeat_ngram": 1}, {"no_repeat_ngram": 2}, {"allow_unknown": True}],
    ids=lambda limits: next(iter(limits), "free"),
)
def test_a_full_beam_is_exhaustive_search(length_penalty, limits):
    limits = {"min_length": 0, **limits}
    options = DecodingOptions(beam_size=350, max_length=4, length_penalty=length_penalty, **limits)
    logits_of = random_table(words=3)
    words = [A, B, C, UNK] if options.allow_unknown else [A, B, C]
    for image, hypotheses in enumerate(Table(logits_of, range(3)).beams(options)):
        wanted = enumerate_all(logits_of, image, words, options)
        assert [h.tokens for h in hypotheses] == [caption for _, caption in wanted]
        np.testing.assert_allclose([h.score for h in hypotheses], [s for s, _ in wanted], rtol=1e-5)
        assert all(h.finished for h in hypotheses)


@pytest.mark.parametrize("limits", [{}, {"min_length": 4}, {"no_repeat_ngram": 2}, {"length_penalty": 0.0}])
def test_a_beam_of_one_is_greedy(limits):
    logits_of = random_table(words=4)
    lone, greedy = (
        Table(logits_of, range(40)).decode(DecodingOptions(method, beam_size=1, max_length=8, **limits))
        for method in ("beam", "greedy")
    )
    assert [h.tokens for h in lone] == [h.tokens for h in greedy]
    assert [h.finished for h in lone] == [h.finished for h in greedy]
    np.testing.assert_allclose([h.score for h in lone], [h.score for h in greedy], rtol=1e-6)
    assert len({len(h.tokens) for h in greedy}) > 2 or limits  # the table asks for more than one length


def test_hypotheses_and_scores_by_hand():
    first = {(): (0.0, 0.9, 0.1), (A,): (0.4, 0.48, 0.12), (B,): (0.9, 0.05, 0.05)}
    first |= {(A, A): (0.3, 0.6, 0.1), (A, B): (0.7, 0.2, 0.1)}
    second = {(): (0.1, 0.5, 0.4), (A,): (0.2, 0.1, 0.7), (B,): (0.7, 0.2, 0.1)}
    second |= {(A, B): (0.9, 0.06, 0.04), (B, A): (0.5, 0.3, 0.2)}
    # 1: <a> <b> | <a a> .432, "a" .36 ends, <a b> .108, "b" .09 is no more among two | <a a a> .2592,
    #    "a a" .1296 ends; two have ended
    # 2: the empty caption, .1, is third | <a b> .35, "b" .28 ends, "a" .1 is third, <b a> .08 | "a b" .315
    #    ends; two have ended, "b a" .04 comes too late
    # 3: <a> <b> | "a" .3 ends, <b a> .2, <a a> .18: two live on beside what ended | "a a" .171 ends
    third = {(): (0.0, 0.6, 0.4), (A,): (0.5, 0.3, 0.2), (B,): (0.1, 0.5, 0.4)}
    third |= {(A, A): (0.95, 0.03, 0.02), (B, A): (0.3, 0.6, 0.1)}
    wanted = [[([A], 0.36), ([A, A], 0.1296)], [([A, B], 0.315), ([B], 0.28)], [([A], 0.3), ([A, A], 0.171)]]
    for length_penalty in (0.0, 1.0):
        options = DecodingOptions(beam_size=2, min_length=0, max_length=5, length_penalty=length_penalty)
        found = Table(scripted(first, second, third), [0, 1, 2]).beams(options)
        for hypotheses, pairs in zip(found, wanted, strict=True):
            scored = [(math.log(p) / (len(words) + 1) ** length_penalty, words) for words, p in pairs]
            scored.sort(reverse=True)
            assert [h.tokens for h in hypotheses] == [words for _, words in scored]
            assert [h.score for h in hypotheses] == pytest.approx([score for score, _ in scored], rel=1e-5)
            assert all(h.finished for h in hypotheses)


def test_length_penalty_weighs_long_against_short():
    table = {(): (0.5, 0.5, 0.0), (A,): (0.3, 0.7, 0.0), (A, A): (0.95, 0.05, 0.0)}  # "" .5, "a a" .3325
    for length_penalty, words in [(0.0, []), (1.0, [A, A])]:
        options = DecodingOptions(beam_size=5, min_length=0, max_length=4, length_penalty=length_penalty)
        (best,) = Table(scripted(table), [0]).decode(options)
        assert best.tokens == words


def test_an_image_that_ends_nothing_gives_its_best_unfinished_beam():
    def logits_of(image: int, prefix: tuple[int, ...]) -> Sequence[float]:
        logits = np.asarray(random_table()(image, prefix))
        logits[EOS] = -1e9 if image == 0 else logits[EOS]
        return logits

    options = DecodingOptions(beam_size=3, max_length=6)
    endless, ordinary = Table(logits_of, [0, 1]).beams(options)
    assert len(endless) == 3
    for hypothesis in endless:
        assert not hypothesis.finished and len(hypothesis.tokens) == 6
        total = sum(
            torch.tensor(logits_of(0, tuple(hypothesis.tokens[:t]))).log_softmax(0)[word].item()
            for t, word in enumerate(hypothesis.tokens)
        )
        assert hypothesis.score == pytest.approx(total / 6, rel=1e-4)
    assert endless == sorted(endless, key=lambda h: -h.score)
    assert all(h.finished for h in ordinary)  # where something ended, beams that did not are not offered
    for method in ("greedy", "sample"):
        (hypothesis,) = Table(logits_of, [0]).decode(DecodingOptions(method, max_length=6))
        assert not hypothesis.finished and len(hypothesis.tokens) == 6


@pytest.mark.parametrize("method", METHODS)
def test_a_caption_whose_every_word_is_forbidden_ends(method):
    options = DecodingOptions(method, min_length=5, max_length=8, no_repeat_ngram=1)
    for words in range(3):
        for hypothesis in Table(random_table(words), range(4)).decode(options):
            assert sorted(hypothesis.tokens) == list(range(4, 4 + words))
            assert hypothesis.finished and math.isfinite(hypothesis.score)


@pytest.mark.parametrize("method", METHODS)
def test_lengths_lie_between_the_limits(method):
    for shortest, longest in [(0, 1), (0, 9), (3, 5), (6, 6)]:
        options = DecodingOptions(method, beam_size=4, min_length=shortest, max_length=longest)
        table = Table(random_table(spread=1.0), range(30))
        lengths = [len(h.tokens) for h in table.decode(options)]
        assert shortest <= min(lengths) and max(lengths) <= longest
        assert len(table.asked) <= longest
        if (shortest, longest) == (0, 9):  # the limits are what keeps the others
            assert min(lengths) < 3 and max(lengths) > 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_no_ngram_repeats(n, method):
    def logits_of(image: int, prefix: tuple[int, ...]) -> Sequence[float]:
        logits = np.array(random_table(words=5)(image, ()))  # the same after every prefix: loops are likely
        logits[EOS] = -3
        return logits

    options = DecodingOptions(method, beam_size=3, max_length=12, no_repeat_ngram=n)
    captions = [h.tokens for h in Table(logits_of, range(12)).decode(options)]
    if n == 0:
        assert all(any(repeats(caption, m) for caption in captions) for m in (1, 2, 3))
    else:
        assert not any(repeats(caption, n) for caption in captions)
        assert max(map(len, captions)) > n  # there was room for one


@pytest.mark.parametrize("method", METHODS)
def test_unknown_words_are_banned_unless_allowed(method):
    def logits_of(image: int, prefix: tuple[int, ...]) -> Sequence[float]:
        return [9.0, 9.0, 0.0, 8.0, 1.0, 1.0]  # <pad> and <bos> would come first

    for allowed in (False, True):
        options = DecodingOptions(method, beam_size=2, max_length=5, allow_unknown=allowed)
        words = {w for h in Table(logits_of, range(10)).decode(options) for w in h.tokens}
        assert words <= {UNK, A, B} and (UNK in words) == allowed


@pytest.mark.parametrize("method", METHODS)
def test_extreme_logits_give_finite_scores(method):
    def logits_of(image: int, prefix: tuple[int, ...]) -> Sequence[float]:
        return [-math.inf, 1e4, 3.0 - len(prefix), -math.inf, -1e4, 3.0, -math.inf]

    options = DecodingOptions(method, beam_size=4, max_length=6, min_length=2)
    for hypothesis in Table(logits_of, range(5)).decode(options):
        assert set(hypothesis.tokens) == {B} and math.isfinite(hypothesis.score)


@pytest.mark.parametrize("beam_size", [3, 6, 20])
def test_a_vocabulary_smaller_than_the_beams(beam_size):
    options = DecodingOptions(beam_size=beam_size, max_length=3, length_penalty=0.0, min_length=0)
    logits_of = random_table(words=1)
    for image, hypotheses in enumerate(Table(logits_of, range(4)).beams(options)):
        # one word, so nothing but its number can differ
        assert [h.tokens for h in hypotheses] == [
            caption for _, caption in enumerate_all(logits_of, image, [A], options)
        ]


@pytest.mark.parametrize(
    ("method", "beams", "wanted"),
    [("greedy", 1, [(4, 4), (4, 4), (3, 3), (1, 1)]), ("beam", 3, [(4, 4), (12, 4), (9, 3), (3, 1)])],
)
def test_finished_images_leave_the_batch_and_the_loop_ends(method, beams, wanted):
    ends = [2, 1, 2, 3]

    def logits_of(image: int, prefix: tuple[int, ...]) -> Sequence[float]:
        return [0.0, 0.0, 9.0 if len(prefix) >= ends[image] else -9.0, 0.0, 0.3, 0.2, 0.1]

    table = Table(logits_of, range(4))
    hypotheses = table.decode(DecodingOptions(method, beam_size=beams, max_length=50))
    assert [len(h.tokens) for h in hypotheses] == ends
    assert table.asked == wanted  # rows and images of each call
    assert table.first == [BOS] * 4


@pytest.mark.parametrize("method", METHODS)
def test_a_caption_does_not_depend_on_its_batch(method):
    options = DecodingOptions(method, beam_size=4, max_length=9, no_repeat_ngram=2, seed=3)
    logits_of = random_table(words=6)
    together = Table(logits_of, range(32)).decode(options, seeds=range(100, 132), keep_alpha=True)
    assert len({tuple(h.tokens) for h in together}) > 20
    assert len({len(h.tokens) for h in together}) > 3
    order = np.random.default_rng(0).permutation(32).tolist()
    shuffled = Table(logits_of, order).decode(options, seeds=[100 + i for i in order], keep_alpha=True)
    for place, image in enumerate(order):
        (alone,) = Table(logits_of, [image]).decode(options, seeds=[100 + image], keep_alpha=True)
        for other in (together[image], shuffled[place]):
            assert (other.tokens, other.finished) == (alone.tokens, alone.finished)
            assert other.score == pytest.approx(alone.score, rel=1e-6)
            assert torch.equal(other.alpha, alone.alpha)


@pytest.mark.parametrize("method", METHODS)
def test_attention_follows_its_hypothesis(method):
    def logits_of(image: int, prefix: tuple[int, ...]) -> Sequence[float]:
        logits = random_table(words=5)(image, prefix)
        return [*logits[:EOS], -1e9 if image % 2 else logits[EOS], *logits[UNK:]]

    options = DecodingOptions(method, beam_size=4, max_length=6)
    results = Table(logits_of, range(20)).decode(options, keep_alpha=True)
    assert {h.finished for h in results} == {True, False}
    for image, hypothesis in enumerate(results):
        before = [BOS, *hypothesis.tokens[:-1]]
        assert hypothesis.alpha.tolist() == [[image, t, word] for t, word in enumerate(before)]
    assert all(h.alpha is None for h in Table(random_table(), range(3)).decode(options))


@pytest.mark.parametrize("method", METHODS)
def test_what_an_image_has_stays_with_it_and_with_its_caller(method):
    images = 24
    annotations = torch.arange(images, dtype=torch.float32).view(images, 1, 1).repeat(1, 3, 2)
    kept = annotations.clone()
    # an image reads no number but its own: it decides when the image ends
    ends = {image: image % 5 + 1 for image in range(images)}

    def step(tokens, state):
        (memory,), (steps,) = state
        own = memory[:, 0, 0].repeat_interleave(len(tokens) // len(memory))  # (N,)
        rows = [
            [
                -99.0 if token == EOS and t < ends[int(image)] else 99.0 * (token == EOS) + token
                for token in range(9)
            ]
            for image, t in zip(own.tolist(), steps[:, 0].tolist(), strict=True)
        ]
        return torch.tensor(rows), DecoderState(state.memory, (steps + 1,)), None

    state = DecoderState((annotations,), (torch.zeros(images, 1),))
    found = decode(step, state, DecodingOptions(method, beam_size=3, max_length=9), images=images)
    assert [len(h.tokens) for h in found] == list(ends.values())
    torch.testing.assert_close(annotations, kept)


@pytest.mark.parametrize("kept", [[0], [3], [0, 1, 2], [1, 3], [0, 2, 5, 6], [4, 5, 6, 7], list(range(8))])
def test_rows_without_gaps_move_as_few_as_can_be(kept):
    order = without_gaps(torch.tensor(kept))
    assert sorted(order.tolist()) == kept
    assert [place for place, row in enumerate(order.tolist()) if row < len(kept)] == [
        row for row in kept if row < len(kept)
    ]


def test_nothing_is_kept_for_a_backward_pass():
    weight = torch.ones(6, requires_grad=True)

    def step(tokens, state):
        return weight * torch.arange(6.0).expand(len(tokens), 6), state, weight.expand(len(tokens), 6)

    for method in METHODS:
        state = DecoderState((), (torch.zeros(2, 1),))
        for h in decode(step, state, DecodingOptions(method, max_length=3), images=2, keep_alpha=True):
            assert h.alpha is None or not h.alpha.requires_grad


@pytest.mark.parametrize(
    ("option", "value", "cause"),
    [
        ("beam_size", 0, "from 1 to 1,000"),
        ("max_length", 0, "at least 1"),
        ("min_length", -1, "from 0 to max_length"),
        ("min_length", 31, "from 0 to max_length"),
        ("no_repeat_ngram", -1, "0 or more"),
        ("temperature", 0.0, "above 0"),
        ("top_k", -1, "0 or more"),
        ("top_p", 0.0, "above 0 and at most 1"),
        ("top_p", 1.5, "above 0 and at most 1"),
    ],
)
def test_an_option_out_of_range_is_named(option, value, cause):
    with pytest.raises(InputError) as error:
        DecodingOptions(**{option: value})
    assert str(error.value).startswith(f"decoding.{option} is {value}; ")
    assert cause in str(error.value) and "\n" not in str(error.value)


def test_the_marks_are_the_vocabularys():
    assert (PAD, BOS, EOS, UNK) == (Vocabulary.PAD, Vocabulary.BOS, Vocabulary.EOS, Vocabulary.UNK)
