"""Beam search in groups and with required words, against plain readings and exhaustive search."""

import numpy as np
import pytest
import torch

from modules.decoding import DecodingOptions
from modules.errors import InputError
from tests.modules.scripted import EOS, A, B, C, Table, enumerate_all, random_table

pytestmark = pytest.mark.usefixtures("one_thread")


def tokens_and_scores(hypotheses):
    return [(h.tokens, pytest.approx(h.score, rel=1e-5)) for h in hypotheses]


def all_groups_at_once(logits_of, image, groups, beams, diversity, steps):
    """Diverse beam search as the paper has it: a step of all groups, then the next; by sums of log p."""
    live = [[(0.0, ())] for _ in range(groups)]
    finished = [[] for _ in range(groups)]
    for _ in range(steps):
        said = np.zeros(7)
        for group in range(groups):
            if len(finished[group]) >= beams or not live[group]:
                continue
            extended = []
            for before, prefix in live[group]:
                logits = np.asarray(logits_of(image, prefix), dtype=np.float64)
                log_p = logits - np.log(np.exp(logits).sum())
                for word in (EOS, A, B, C) if prefix else (A, B, C):
                    total = before + log_p[word]
                    extended.append((total - diversity * said[word], total, (*prefix, word)))
            extended.sort(reverse=True)
            for _, total, words in extended[:beams]:
                if words[-1] == EOS and len(finished[group]) < beams:
                    finished[group].append((total, list(words[:-1])))
            live[group] = [(total, words) for _, total, words in extended if words[-1] != EOS][:beams]
            for _, prefix in live[group]:
                said[prefix[-1]] += 1
    return sorted((pair for group in finished for pair in group), reverse=True)


@pytest.mark.parametrize(
    ("groups", "beams", "diversity"), [(1, 4, 0.7), (2, 2, 0.7), (3, 1, 2.0), (4, 2, 0.1)]
)
def test_groups_search_as_in_the_paper(groups, beams, diversity):
    logits_of = random_table(words=3, seed=4)
    options = DecodingOptions(
        beam_size=groups * beams, beam_groups=groups, diversity=diversity, length_penalty=0.0, max_length=9
    )
    found = Table(logits_of, range(12)).beams(options)
    complete = 0
    for image, hypotheses in enumerate(found):
        if all(h.finished for h in hypotheses):
            complete += 1
            wanted = all_groups_at_once(logits_of, image, groups, beams, diversity, 9)
            assert [h.tokens for h in hypotheses] == [words for _, words in wanted]
            np.testing.assert_allclose(
                [h.score for h in hypotheses], [total for total, _ in wanted], rtol=1e-5
            )
    assert complete > 5


def test_a_cost_of_nothing_makes_equal_groups_and_a_high_one_different_ones():
    logits_of = random_table(words=3, seed=1)
    plain = Table(logits_of, range(6)).beams(DecodingOptions(beam_size=2, max_length=8))
    for diversity, distinct in ((0.0, 1), (50.0, 3)):
        options = DecodingOptions(beam_size=6, beam_groups=3, diversity=diversity, max_length=8)
        for own, hypotheses in zip(plain, Table(logits_of, range(6)).beams(options), strict=True):
            assert {tuple(h.tokens) for h in own} <= {tuple(h.tokens) for h in hypotheses}
            if diversity == 0:
                assert tokens_and_scores(hypotheses[::3]) == tokens_and_scores(own)
            assert len({h.tokens[0] for h in hypotheses}) >= distinct


@pytest.mark.parametrize("required", [(A,), (C, A), (A, B, C)])
def test_a_full_beam_finds_the_best_captions_with_the_required_words(required):
    options = DecodingOptions(beam_size=350, max_length=5, must_contain="checked by the captioner")
    logits_of = random_table(words=3)
    for image, hypotheses in enumerate(Table(logits_of, range(3)).beams(options, required=required)):
        every = enumerate_all(logits_of, image, [A, B, C], options)
        wanted = [(score, words) for score, words in every if set(required) <= set(words)]
        assert [h.tokens for h in hypotheses] == [words for _, words in wanted]
        np.testing.assert_allclose([h.score for h in hypotheses], [s for s, _ in wanted], rtol=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_required_words_are_met_whatever_the_beam_and_the_batch(beams):
    def logits_of(image, prefix):
        logits = np.array(random_table(words=3)(image, prefix))
        logits[C] -= 30  # nobody says so of oneself
        return logits

    options = DecodingOptions(beam_size=beams, max_length=9)
    together = Table(logits_of, range(8)).decode(options, required=(C, A), keep_alpha=True)
    assert sum(h.finished for h in together) > 4
    for image, hypothesis in enumerate(together):
        assert {A, C} <= set(hypothesis.tokens)
        (alone,) = Table(logits_of, [image]).decode(options, required=(C, A))
        assert alone.tokens == hypothesis.tokens and alone.score == pytest.approx(hypothesis.score, rel=1e-5)
        # attention is that of its own words: each row tells image, step and the word before
        before = [float(word) for word in [1, *hypothesis.tokens[:-1]]]
        rows = [[float(image), float(t), word] for t, word in enumerate(before)]
        torch.testing.assert_close(hypothesis.alpha, torch.tensor(rows))


def test_words_that_have_no_room_are_met_as_far_as_they_go():
    options = DecodingOptions(beam_size=2, max_length=2)
    for hypotheses in Table(random_table(words=3), range(4)).beams(options, required=(A, B, C)):
        assert not hypotheses[0].finished
        assert len(set(hypotheses[0].tokens)) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beam_size": 5, "beam_groups": 2}, r"beam_size is 5; it has to be a multiple of .*beam_groups, 2"),
        ({"beam_groups": 0}, "beam_groups is 0"),
        ({"diversity": -1.0}, "diversity is -1"),
        ({"method": "greedy", "must_contain": "dog"}, "must_contain needs --decoding.method beam"),
        (
            {"beam_size": 4, "beam_groups": 2, "must_contain": "dog"},
            "one group of beams; here are beam and 2",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        DecodingOptions(**options)
