"""g by its definition, and what a checkpoint keeps to judge with."""

import math

import pytest
import torch

from modules.captioning import agreement
from modules.captioning.agreement import Agreement, Judge, log_probs, measure_agreement
from modules.captioning.captioner import Captioner
from modules.captioning.pretrained import write_weights
from modules.errors import InputError
from modules.vocabulary import Vocabulary
from tests.modules.captioning.test_captioner import VOCABULARY, captioner

SENTENCES = ["a dog runs", "the cat sits on the red ball", "a zebra"]


@pytest.fixture
def model():
    return captioner().eval()


@pytest.fixture
def annotations(model):
    return torch.rand(3, 4, model.encoder.annotation_size, generator=torch.Generator().manual_seed(1))


def by_hand(model, annotations, sentence):
    """Returns log P(sentence | image) by teacher forcing of this sentence alone, and its words."""
    ids = [Vocabulary.BOS, *VOCABULARY.encode(sentence.split()), Vocabulary.EOS]
    with torch.no_grad():
        logits, _ = model.decoder(annotations[None], torch.tensor([ids[:-1]]))
    log_p = logits[0].log_softmax(-1)
    return sum(log_p[t, word].item() for t, word in enumerate(ids[1:])), len(ids) - 1


def test_g_is_what_the_image_adds_to_a_word(model, annotations):
    mean = annotations.mean(0)
    judge = Judge(model.decoder, VOCABULARY, mean)
    expected = []
    for image in annotations:
        expected.append([])
        for sentence in SENTENCES:
            (own, words), (of_mean, _) = by_hand(model, image, sentence), by_hand(model, mean, sentence)
            expected[-1].append((own - of_mean) / words)
    torch.testing.assert_close(
        judge.of_all(annotations, SENTENCES), torch.tensor(expected), atol=1e-5, rtol=1e-4
    )
    pairs = judge.of_pairs(annotations, SENTENCES)
    assert pairs == pytest.approx([expected[n][n] for n in range(3)], abs=1e-5)
    # an image that is the mean image adds nothing
    assert judge.of_pairs(mean[None], ["a dog"]) == pytest.approx([0.0], abs=1e-6)


def test_sentences_that_begin_alike_have_the_probabilities_of_each_alone(model, annotations, monkeypatch):
    monkeypatch.setattr(agreement, "_ROWS", 16)  # of three images two at a time
    sentences = [
        "a dog",
        "a dog runs",
        "",
        "the cat sits",
        "a cat",
        "the cat",
        "a dog runs on the grass",
        "a dog",
    ]
    judge = Judge(model.decoder, VOCABULARY, annotations.mean(0))
    expected = torch.tensor([[by_hand(model, image, text) for text in sentences] for image in annotations])
    log_p = judge.of_all(annotations, sentences) + judge.of_mean(sentences)
    torch.testing.assert_close(log_p, expected[..., 0] / expected[..., 1], atol=1e-5, rtol=1e-4)
    assert torch.equal(log_p[:, 0], log_p[:, 7])


def test_a_sentence_of_no_word_has_a_probability(model, annotations):
    tokens = torch.tensor([[[Vocabulary.BOS, Vocabulary.EOS]]] * 3)
    assert (log_probs(model.decoder, annotations, tokens) < 0).all()
    assert all(
        map(math.isfinite, Judge(model.decoder, VOCABULARY, annotations[0]).of_pairs(annotations, [""] * 3))
    )


def test_the_constants_standardise_training_captions(model, annotations):
    captions = [["a dog runs", "a dog"], ["the cat sits", "a cat sits on grass"], ["a red ball", "the ball"]]
    kept = measure_agreement(model.decoder, VOCABULARY, lambda numbers: annotations[numbers], captions)
    torch.testing.assert_close(kept.mean_image, annotations.mean(0), atol=1e-3, rtol=1e-3)
    judge = Judge(model.decoder, VOCABULARY, kept.mean_image)
    own = judge.of_pairs(annotations, [of_image[0] for of_image in captions])
    foreign = judge.of_pairs(annotations, [captions[n][0] for n in (1, 2, 0)])
    g = torch.tensor(own + foreign)
    assert kept.g == pytest.approx((g.mean().item(), g.std(correction=0).item()), abs=2e-3)
    assert kept.with_cider(kept.g[0], math.expm1(kept.log_cider[0])) == pytest.approx(0)
    assert kept.with_cider(sum(kept.g), math.expm1(sum(kept.log_cider))) == pytest.approx(3)


@pytest.mark.parametrize("file", ["a.ckpt", "a.safetensors"])
def test_a_checkpoint_keeps_it(model, file, tmp_path):
    torch.manual_seed(0)
    model.agreement = Agreement(torch.rand(4, model.encoder.annotation_size), (0.1, 0.2), (0.3, 0.4))
    if file == "a.ckpt":
        stored = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
        model.on_save_checkpoint(stored)
        torch.save(stored, tmp_path / file)
    else:
        pytest.importorskip("safetensors")
        from modules.captioning import pretrained

        with pytest.MonkeyPatch.context() as patch:  # an encoder without a package
            patch.setattr(pretrained, "ImageEncoder", lambda **options: torch.nn.Module())
            write_weights(model, tmp_path / file)
    again = Captioner.load(tmp_path / file).agreement
    torch.testing.assert_close(again.mean_image, model.agreement.mean_image, atol=1e-3, rtol=1e-3)
    assert (again.g, again.log_cider) == ((0.1, 0.2), (0.3, 0.4))


def test_a_checkpoint_without_a_mean_image_names_the_remedy(model, tmp_path):
    with pytest.raises(InputError, match=r"old\.ckpt: has no mean image .* fit --ckpt_path RUN"):
        model.judge(tmp_path / "old.ckpt")
