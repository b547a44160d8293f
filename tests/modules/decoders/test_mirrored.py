"""A caption from an image and its mirror image: the mean of both, whichever of them is called the image."""

import pytest
import torch
from torch import Tensor

from modules.decoders.captions import DECODERS, CaptionDecoder, DecoderOptions
from modules.decoders.mirrored import MirroredDecoder
from modules.decoding import DecodingOptions, decode
from modules.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

B, GRID, D, V = 4, (2, 3), 10, 40
both_kinds = pytest.mark.parametrize("kind", sorted(DECODERS))


def decoder_of(kind: str) -> CaptionDecoder:
    """Returns one whose captions depend on the image more than at the start."""
    torch.manual_seed(0)
    sizes = {"embedding_size": 7, "hidden_size": 24, "attention_size": 9}
    decoder = DECODERS[kind](V, D, DecoderOptions(kind=kind, **sizes)).eval()
    for parameter in decoder.parameters():
        parameter.data.mul_(3)
    return decoder


def views_of(images: int = B) -> Tensor:
    return torch.randn(images, 2, GRID[0] * GRID[1], D, generator=torch.Generator().manual_seed(1))


@both_kinds
@torch.no_grad()
def test_a_word_has_the_mean_probability_of_both_views(kind):
    decoder, views = decoder_of(kind), views_of()
    both = MirroredDecoder(decoder, GRID)
    state, singly = both.init_state(views), [decoder.init_state(views[:, view]) for view in (0, 1)]
    for word in (Vocabulary.BOS, 5, 9):
        tokens = torch.full((B,), word)
        log_probs, state, _ = both.step(tokens, state)
        found = [decoder.step(tokens, one) for one in singly]
        singly = [after for _, after, _ in found]
        mean = sum(logits.softmax(-1) for logits, _, _ in found) / 2
        torch.testing.assert_close(log_probs.exp(), mean)


@torch.no_grad()
def test_attention_on_the_mirror_image_is_given_where_the_image_has_it():
    decoder, views = decoder_of("show_attend_tell"), views_of()
    # the very same annotations, mirrored: both views attend to the same things
    views[:, 1] = views[:, 0].unflatten(1, GRID).flip(2).flatten(1, 2)
    tokens = torch.full((B,), Vocabulary.BOS)
    _, _, expected = decoder.step(tokens, decoder.init_state(views[:, 0]))
    both = MirroredDecoder(decoder, GRID)
    _, _, alpha = both.step(tokens, both.init_state(views))
    torch.testing.assert_close(alpha, expected)
    assert not torch.allclose(alpha.unflatten(1, GRID).flip(2).flatten(1), expected)


@both_kinds
@pytest.mark.parametrize("method", ["beam", "greedy", "sample"])
def test_a_caption_depends_neither_on_its_batch_nor_on_which_view_is_first(kind, method):
    both, views = MirroredDecoder(decoder_of(kind), GRID), views_of(6)
    options = DecodingOptions(method, beam_size=3, max_length=7)

    def captions(views: Tensor, seeds: list[int]) -> list[list[int]]:
        with torch.no_grad():
            state = both.init_state(views)
            found = decode(both.step, state, options, images=len(views), seeds=seeds)
        return [hypothesis.tokens for hypothesis in found]

    together = captions(views, list(range(6)))
    assert len({tuple(caption) for caption in together}) > 1
    assert [captions(views[[i]], [i])[0] for i in range(6)] == together
    assert captions(views.flip(1), list(range(6))) == together
