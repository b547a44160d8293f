"""Hard attention: what teaches where to look, against NumPy, enumeration and a task with a known answer."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from modules.decoders.captions import DECODERS, DecoderOptions
from modules.decoders.hard_attention import DECAY, Draw, LocationLoss
from modules.losses import cross_entropy_sum
from modules.vocabulary import Vocabulary
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("one_thread")

BOS, EOS, PAD = Vocabulary.BOS, Vocabulary.EOS, Vocabulary.PAD


def decoder_of(vocabulary: int, width: int, scale: float = 1.0):
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_size": 16, "attention_size": 16, "dropout": 0.0}
    decoder = DECODERS["show_attend_tell"](vocabulary, width, DecoderOptions(hard=True, **sizes))
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(scale)
    return decoder


class Scripted(Draw):
    """Looks where it is told to: places (B, T)."""

    def __init__(self, places: torch.Tensor) -> None:
        super().__init__(len(places), expected=0.0)
        self.places = places

    def locations(self, alpha):
        return F.one_hot(self.places[:, len(self.weights)], alpha.shape[1]).to(alpha.dtype)


def log_p(draw: Draw) -> torch.Tensor:
    """Returns log p(s) of each row."""
    weights, alpha = torch.stack(draw.weights, 1), torch.stack(draw.alpha, 1)
    return (weights * alpha).sum(-1).log().sum(1)


def test_the_estimate_is_the_gradient_of_the_bound_on_the_mean_over_all_draws():
    L, T, V = 3, 3, 9
    decoder = decoder_of(V, 5, scale=2.0).double()
    annotations = torch.randn(1, L, 5, dtype=torch.float64)
    places = torch.tensor(list(product(range(L), repeat=T)))
    tokens = torch.tensor([[BOS, 5, 7, EOS]]).expand(len(places), -1)
    image = torch.zeros(len(places), dtype=torch.long)
    draw, loss = Scripted(places), LocationLoss(reinforce=1.0, entropy=0.0)
    loss.baseline.fill_(-3.7)  # any, as long as no draw changes it
    logits, _ = decoder(annotations, tokens[:, :-1], image, draw)
    share = log_p(draw).exp()
    assert share.sum().item() == pytest.approx(1) and share.max() < 0.6
    said = -F.cross_entropy(logits.mT, tokens[:, 1:], reduction="none").sum(1)
    parameters = tuple(decoder.parameters())
    wanted = torch.autograd.grad((share * said).sum(), parameters, retain_graph=True)

    weights = share.detach()
    of_words = cross_entropy_sum(logits, tokens[:, 1:], weights=weights)
    estimate = torch.autograd.grad(of_words + loss.eval()(draw, logits, tokens[:, 1:], weights), parameters)
    for (name, _), mine, exact in zip(decoder.named_parameters(), estimate, wanted, strict=True):
        torch.testing.assert_close(-mine, exact, rtol=1e-4, atol=1e-6, msg=name)  # alpha is float32
        assert "attention" not in name or exact.abs().max() > 1e-3


def test_the_loss_is_that_of_the_paper_read_in_numpy():
    B, L, T, V = 4, 5, 4, 11
    decoder, annotations = decoder_of(V, 6, scale=2.0), torch.randn(B, L, 6)
    targets = torch.randint(4, V, (B, T))
    targets[1, 2:], targets[3, 1:] = PAD, PAD
    draw, loss = Draw(B), LocationLoss(reinforce=0.7, entropy=0.2).train()
    draw.is_expected[:] = torch.tensor([[False], [False], [True], [False]])
    loss.baseline.fill_(-2.5)
    given = torch.cat([torch.full((B, 1), BOS), targets[:, :-1]], 1)
    logits, weights = decoder(annotations, given, None, draw)
    value = loss(draw, logits, targets).item()

    said, alpha, s = logits.detach().double().numpy(), torch.stack(draw.alpha, 1).double(), weights.double()
    alpha, s = alpha.detach().numpy(), s.detach().numpy()
    np.testing.assert_allclose(s[2], alpha[2])
    total, of_captions = 0.0, []
    for b in range(B):
        words = [t for t in range(T) if targets[b, t] != PAD]
        log_p_y = sum(said[b, t, targets[b, t]] - np.log(np.exp(said[b, t]).sum()) for t in words)
        entropy = -sum((alpha[b, t] * np.log(alpha[b, t])).sum() for t in words)
        total += 0.2 * entropy
        of_captions.append(log_p_y)
        if b != 2:
            assert (s[b].max(1) == 1).all() and (s[b].sum(1) == 1).all()
            total += 0.7 * (log_p_y + 2.5) * sum(np.log(alpha[b, t, s[b, t].argmax()]) for t in words)
    assert value == pytest.approx(-total, rel=1e-6)
    assert loss.baseline.item() == pytest.approx(DECAY * -2.5 + (1 - DECAY) * np.mean(of_captions), rel=1e-6)


def test_a_location_is_drawn_as_often_as_it_is_probable():
    alpha = torch.tensor([0.5, 0.0, 0.3, 0.2]).expand(20_000, 4)
    torch.manual_seed(0)
    draw = Draw(len(alpha), expected=0.25)
    weights = draw(alpha)
    assert draw.is_expected.float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert weights[draw.is_expected.squeeze(1)].equal(alpha[draw.is_expected.squeeze(1)])
    drawn = weights[~draw.is_expected.squeeze(1)]
    torch.testing.assert_close(drawn.mean(0), alpha[0], rtol=0, atol=0.015)
    assert drawn[:, 1].sum() == 0


@pytest.mark.parametrize("reinforce", [1.0, 0.0])
def test_it_learns_to_look_where_the_word_is_by_trial_alone(reinforce):
    """One location is marked and holds the word; without the term of the draw nothing says so."""
    V, L, B = 5, 4, 48
    decoder, loss = decoder_of(4 + V, V + 1), LocationLoss(reinforce)
    optimizer = torch.optim.Adam(decoder.parameters(), 0.03)

    def drawn_task():
        words, place = torch.randint(0, V, (B, L)), torch.randint(0, L, (B, 1))
        annotations = torch.cat([F.one_hot(words, V), F.one_hot(place.expand(B, 1), L).mT], -1).float()
        return annotations, torch.cat([torch.full((B, 1), BOS), 4 + words.gather(1, place)], 1), place

    with unchecked():
        for _ in range(60):
            annotations, tokens, _ = drawn_task()
            draw = Draw(B, expected=0.0)
            logits, _ = decoder(annotations, tokens[:, :-1], None, draw)
            of_words = cross_entropy_sum(logits, tokens[:, 1:])
            optimizer.zero_grad()
            ((of_words + loss(draw, logits, tokens[:, 1:])) / B).backward()
            optimizer.step()
    annotations, tokens, place = drawn_task()
    with torch.no_grad():
        logits, looked = decoder.eval()(annotations, tokens[:, :-1])
    found = (looked[:, 0].argmax(1) == place.squeeze(1)).float().mean()
    right = (logits[:, 0].argmax(1) == tokens[:, 1]).float().mean()
    assert looked.unique().tolist() == [0, 1]
    assert (found > 0.95 and right > 0.9) if reinforce else found < 0.5
