"""Scheduled sampling on a chain whose every own word follows from the word read before."""

import math

import pytest
import torch

from modules.captioning.scheduled_sampling import own_share, with_own_words
from modules.decoding import DecoderState
from modules.vocabulary import Vocabulary

BOS, PAD = Vocabulary.BOS, Vocabulary.PAD
WORDS = 20


class NextNumber:
    """Says after each word, with certainty, the next one; after the begin mark 4 + the image's number."""

    def init_state(self, annotations):
        return DecoderState((annotations,), (annotations[:, 0, 0].long(),))

    def step(self, tokens, state):
        said = torch.where(tokens == BOS, 4 + state.recurrent[0], 4 + (tokens - 3) % (WORDS - 4))
        return torch.nn.functional.one_hot(said, WORDS) * 100.0, state, None


def draw(share, tokens, seed=0):
    images = torch.arange(2.0).view(2, 1, 1)
    index = torch.arange(len(tokens)) % 2
    return with_own_words(NextNumber(), images, tokens, index, share, torch.Generator().manual_seed(seed))


def captions(rows=4, length=7):
    tokens = torch.full((rows, length), 15)
    tokens[:, 0] = BOS
    tokens[0, 4:] = PAD
    return tokens


def test_no_share_leaves_people_s_words():
    assert draw(0.0, captions()).equal(captions())


def test_all_own_words_are_what_the_decoder_would_write_as_long_as_the_true_caption():
    found = draw(1.0, captions())
    for row, words in enumerate(found.tolist()):
        chain = [4 + row % 2 + place for place in range(6)]
        length = 3 if row == 0 else 6
        assert words == [BOS, *chain[:length], *[PAD] * (6 - length)]


def test_a_coin_decides_each_word_and_own_words_follow_what_was_read():
    tokens = captions(rows=400)
    found = draw(0.3, tokens)
    words = tokens[:, 1:] != PAD
    previous = found[:, :-1]
    image = torch.arange(400).view(-1, 1) % 2
    follows = torch.where(previous == BOS, 4 + image, 4 + (previous - 3) % (WORDS - 4))
    own = found[:, 1:] == follows
    true = found[:, 1:] == tokens[:, 1:]
    assert (own | true)[words].all()
    assert (own & ~true)[words].float().mean() == pytest.approx(0.3, abs=0.04)
    assert not draw(0.3, tokens, seed=1).equal(found) and draw(0.3, tokens).equal(found)


@pytest.mark.parametrize("schedule", ["inverse_sigmoid", "exponential", "linear"])
def test_the_share_rises_to_its_end(schedule):
    shares = [own_share(schedule, step / 100, 0.4) for step in range(101)]
    assert shares == sorted(shares) and shares[0] < 0.01 and shares[-1] == pytest.approx(0.4)
    assert own_share(schedule, 1.5, 0.4) == pytest.approx(0.4) and own_share(schedule, 0.7, 0.0) == 0


def test_the_shares_of_true_words_are_the_paper_s():
    steps, k = 1000, 100.0
    for step in (0, 250, 900):
        assert 1 - own_share("exponential", step / steps, 0.4) == pytest.approx((0.6 ** (1 / steps)) ** step)
        # k / (k + exp(i / k)) with i counted so that the end is reached with the last step
        i = step / steps * k * math.log(k * 0.4 / 0.6)
        assert 1 - own_share("inverse_sigmoid", step / steps, 0.4) == pytest.approx(k / (k + math.exp(i / k)))
