"""Att2in against its paper, read in NumPy."""

import numpy as np
import pytest

from modules.decoders.captions import DecoderOptions
from modules.errors import InputError
from tests.modules.decoders.numpy_reading import (
    H,
    additive_scores,
    array,
    assert_says,
    decoder_image_and_words,
    gates,
    linear,
    lstm,
    softmax,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("maxout", [False, True])
def test_equations_of_rennie_2017(maxout):
    decoder, a, words = decoder_image_and_words(kind="att2in", maxout=maxout)
    h, c, logits, alphas = np.zeros(H), np.zeros(H), [], []
    for word in words:
        alpha = softmax(additive_scores(decoder.attention, a, h))
        of_image = np.split(linear(decoder.to_candidate, alpha @ a), 2 if maxout else 1)
        i, f, *g, o = gates(decoder.rnn.cells[0], array(decoder.embedding.weight)[word], h)
        g = [block + image for block, image in zip(g, of_image, strict=True)]
        if maxout:
            h, c = lstm(i, f, np.maximum(*g), o, c, phi=lambda x: x)
        else:
            h, c = lstm(i, f, *g, o, c)
        logits.append(linear(decoder.output, h))
        alphas.append(alpha)
    assert_says(decoder, a, words, logits, alphas)


def test_the_larger_of_two_candidates_is_of_an_lstm():
    with pytest.raises(InputError, match=r"model\.decoder\.maxout is of the lstm cell; .*cell is gru"):
        DecoderOptions(kind="att2in", cell="gru", maxout=True)
