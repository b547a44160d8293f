"""Self-critical training: rewards, baselines, the gradient's direction, and that the reward rises."""

import pytest
import torch
from pycocoevalcap.cider.cider_scorer import CiderScorer

from modules.captioning.batch import CaptionBatch
from modules.captioning.reinforcement import (
    CaptionReward,
    greedy_captions,
    leave_one_out,
    one_caption_each,
    sample_captions,
    self_critical_sum,
)
from modules.decoders.captions import DECODERS, DecoderOptions
from modules.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

EOS, PAD, BOS = Vocabulary.EOS, Vocabulary.PAD, Vocabulary.BOS
REFERENCES = {
    "a": [[4, 5, 6, EOS], [4, 5, 7, 8, EOS]],
    "b": [[9, 10, EOS], [9, 11, 10, EOS]],
    "c": [[4, 12, 13, EOS]],
}


def decoder_of(vocabulary: int = 14):
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_size": 16, "attention_size": 8, "dropout": 0.0}
    return DECODERS["show_attend_tell"](vocabulary, 6, DecoderOptions(**sizes))


def test_the_reward_is_cider_d_with_the_end_mark_counted():
    reward = CaptionReward(REFERENCES)
    hypotheses = {"a": [4, 5, 6, EOS], "b": [9, 11], "c": [4, 12, 13, EOS]}
    scorer = CiderScorer(n=4, sigma=6.0)
    for image, references in REFERENCES.items():
        scorer += (" ".join(map(str, hypotheses[image])), [" ".join(map(str, r)) for r in references])
    _, expected = scorer.compute_score()
    assert [reward(image, ids) for image, ids in hypotheses.items()] == pytest.approx(
        list(expected), abs=1e-6
    )
    assert reward("a", [4, 5, 6, EOS]) > reward("a", [4, 5, 6])


def test_the_baseline_is_the_mean_of_the_other_samples():
    torch.manual_seed(0)
    rewards = torch.rand(3, 4)
    others = [[rewards[n, [t for t in range(4) if t != s]].mean() for s in range(4)] for n in range(3)]
    torch.testing.assert_close(leave_one_out(rewards), rewards - torch.tensor(others))


def test_samples_of_an_image_stand_together_end_and_repeat_for_a_seed():
    decoder = decoder_of()
    annotations = torch.rand(3, 5, 6)
    captions, tokens = sample_captions(decoder, annotations, 4, 7, seed=1)
    assert len(captions) == len(tokens) == 12
    for caption, row in zip(captions, tokens.tolist(), strict=True):
        assert row == [BOS, *caption] + [PAD] * (len(row) - 1 - len(caption))
        assert (caption[-1] == EOS) == (EOS in caption)
        assert len(caption) <= 8
        assert not {PAD, BOS, Vocabulary.UNK} & set(caption)
    again, _ = sample_captions(decoder, annotations, 4, 7, seed=1)
    other, _ = sample_captions(decoder, annotations, 4, 7, seed=2)
    assert captions == again != other


def test_the_gradient_follows_the_advantage():
    decoder = decoder_of()
    annotations = torch.rand(1, 5, 6)
    tokens = torch.tensor([[BOS, 4, 5, EOS], [BOS, 6, EOS, PAD]])
    loss, words = self_critical_sum(decoder, annotations, tokens, torch.tensor([[1.0, -1.0]]))
    assert int(words) == 5
    log_p = decoder(annotations.expand(2, -1, -1), tokens[:, :-1])[0].log_softmax(-1)
    picked = log_p.gather(2, tokens[:, 1:, None]).squeeze(2) * (tokens[:, 1:] != PAD)
    torch.testing.assert_close(loss, -(picked[0].sum() - picked[1].sum()))


def test_greedy_captions_are_the_most_probable_words_with_end_marks():
    decoder = decoder_of()
    annotations = torch.rand(3, 5, 6)
    captions = greedy_captions(decoder, annotations, 7)
    for caption, image in zip(captions, annotations, strict=True):
        tokens = torch.tensor([[BOS, *caption]])
        logits = decoder(image.unsqueeze(0), tokens[:, :-1])[0][0]
        logits[:, [PAD, BOS, Vocabulary.UNK]] = -torch.inf
        logits[0, EOS] = -torch.inf  # no caption is empty
        assert logits.argmax(-1).tolist() == caption
        assert EOS not in caption[:-1] and (caption[-1] == EOS or len(caption) == 7)


@pytest.mark.parametrize("baseline", ["samples", "greedy"])
def test_the_reward_rises(baseline):
    decoder, reward = decoder_of(), CaptionReward(REFERENCES)
    annotations = torch.eye(6)[:3].unsqueeze(1).expand(3, 5, 6)
    optimizer = torch.optim.Adam(decoder.parameters(), 0.01)
    names = [name for name in REFERENCES for _ in range(8)]
    means = []
    for step in range(120):
        captions, tokens = sample_captions(decoder, annotations, 8, 6, seed=step)
        rewards = reward.each(names, captions).view(3, 8)
        greedy = reward.each(list(REFERENCES), greedy_captions(decoder, annotations, 6)).unsqueeze(1)
        advantages = leave_one_out(rewards) if baseline == "samples" else rewards - greedy
        loss, words = self_critical_sum(decoder, annotations, tokens, advantages)
        optimizer.zero_grad()
        (loss / words).backward()
        optimizer.step()
        means.append(float(rewards.mean()))
    assert sum(means[-20:]) > 3 * sum(means[:20])


def test_bleu_4_joins_the_reward_with_its_weight():
    plain, mixed = CaptionReward(REFERENCES), CaptionReward(REFERENCES, bleu4=2.0)
    perfect = [4, 5, 7, 8, EOS]  # one of the references: its BLEU-4 is 1
    assert mixed("a", perfect) == pytest.approx(plain("a", perfect) + 2.0, abs=1e-6)
    assert mixed("a", [4, 12, EOS]) == pytest.approx(plain("a", [4, 12, EOS]), abs=1e-3)


def test_one_caption_of_each_image_is_drawn_evenly_with_its_weight_and_without_others_padding():
    image_index = torch.tensor([0, 0, 0, 1, 2, 2])
    words = [[4], [5], [6, 6], [7], [8], [9, 9, 9]]
    tokens = torch.tensor([[BOS, *said, EOS] + [PAD] * (3 - len(said)) for said in words])
    weights = torch.tensor([0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    batch = CaptionBatch(torch.rand(3, 5, 6), image_index, tokens, list("abc"), [], weights)
    drawn = [one_caption_each(batch, seed) for seed in range(600)]
    for one in drawn:
        assert one.image_index.tolist() == [0, 1, 2]
        assert one.weights is not None
        assert one.weights.tolist() == pytest.approx([0.1 * int(row[1]) for row in one.tokens])
        assert (one.tokens[:, -1] != PAD).any()
    first = torch.stack([one.tokens[:, 1] for one in drawn])
    assert [int((first[:, 0] == word).sum()) for word in (4, 5, 6)] == pytest.approx([200] * 3, abs=45)
    assert int((first[:, 2] == 8).sum()) == pytest.approx(300, abs=50)
    assert one_caption_each(batch, 3).tokens.tolist() == one_caption_each(batch, 3).tokens.tolist()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_what_was_drawn_without_gradients_leaves_them_to_every_parameter(precision):
    """Autocast keeps weights in half precision: those kept while captions are drawn know no gradient."""
    decoder, annotations = decoder_of(), torch.rand(3, 5, 6)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        _, tokens = sample_captions(decoder, annotations, 2, 6, seed=0)
        loss, _ = self_critical_sum(decoder, annotations, tokens, torch.tensor([[1.0, -1.0]] * 3))
    loss.backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
