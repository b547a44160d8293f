"""Several decoders that write one caption: the mean of their probabilities."""

import pytest
import torch

from modules.decoders.captions import DECODERS, DecoderOptions
from modules.decoders.ensemble import EnsembleDecoder
from modules.decoding import DecodingOptions, decode
from modules.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

B, L, D, V = 4, 6, 10, 40


def decoder_of(kind, seed, cell="lstm"):
    """Returns a decoder whose captions depend on the image more than at the start."""
    torch.manual_seed(seed)
    options = DecoderOptions(kind=kind, cell=cell, embedding_size=7, hidden_size=24, attention_size=9)
    decoder = DECODERS[kind](V, D, options).eval()
    for parameter in decoder.parameters():
        parameter.data.mul_(3)
    return decoder


def annotations_of(images=B):
    return torch.randn(images, L, D, generator=torch.Generator().manual_seed(1))


def captions(decoder, annotations):
    state = decoder.init_state(annotations)
    images = annotations[0].shape[0] if isinstance(annotations, list) else annotations.shape[0]
    found = decode(decoder.step, state, DecodingOptions(beam_size=3, max_length=7), images=images)
    return [hypothesis.tokens for hypothesis in found]


@torch.no_grad()
def test_a_word_has_the_mean_probability_of_members_of_any_kind():
    members = [decoder_of("show_and_tell", 0, "gru"), *(decoder_of(kind, 1) for kind in DECODERS)]
    together, annotations = EnsembleDecoder(members), annotations_of()
    state = together.init_state([annotations] * len(members))
    singly = [member.init_state(annotations) for member in members]
    for word in (Vocabulary.BOS, 5, 9):
        tokens = torch.full((B,), word)
        log_probs, state, alpha = together.step(tokens, state)
        found = [member.step(tokens, one) for member, one in zip(members, singly, strict=True)]
        singly = [after for _, after, _ in found]
        mean = sum(logits.softmax(-1) for logits, _, _ in found) / len(members)
        torch.testing.assert_close(log_probs.exp(), mean)
        assert alpha is None  # not all members have attention


@torch.no_grad()
def test_attention_is_the_mean_of_the_members():
    members, annotations = [decoder_of("show_attend_tell", seed) for seed in (0, 1)], annotations_of()
    tokens = torch.full((B,), Vocabulary.BOS)
    together = EnsembleDecoder(members)
    _, _, alpha = together.step(tokens, together.init_state([annotations] * 2))
    alphas = [member.step(tokens, member.init_state(annotations))[2] for member in members]
    torch.testing.assert_close(alpha, sum(alphas) / 2)


@torch.no_grad()
@pytest.mark.parametrize("copies", [1, 2])
def test_an_ensemble_of_one_model_is_the_model(copies):
    decoder, annotations = decoder_of("show_attend_tell", 0), annotations_of()
    together = EnsembleDecoder([decoder] * copies)
    assert captions(together, [annotations] * copies) == captions(decoder, annotations)
