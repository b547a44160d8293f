"""Show, Attend and Tell against its paper, read in NumPy: soft attention, and hard at the likeliest place."""

import numpy as np
import pytest

from tests.modules.decoders.numpy_reading import (
    additive_scores,
    array,
    assert_says,
    decoder_image_and_words,
    gates,
    linear,
    lstm,
    sigmoid,
    softmax,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("hard", [False, True])
def test_equations_of_xu_2015(hard):
    decoder, a, words = decoder_image_and_words(kind="show_attend_tell", hard=hard)
    h, c = np.split(np.tanh(linear(decoder.initial, a.mean(0))), 2)
    logits, alphas = [], []
    for word in words:
        alpha = softmax(additive_scores(decoder.attention, a, h))  # eq. 4-5
        if hard:
            alpha = (alpha == alpha.max()).astype(float)
        z = sigmoid(linear(decoder.beta, h)) * (alpha @ a)  # eq. 13, section 4.2.1; hard: eq. 9
        y = array(decoder.embedding.weight)[word]
        h, c = lstm(*gates(decoder.rnn.cells[0], np.concatenate([y, z]), h), c)  # eq. 1-3
        deep = y + linear(decoder.output_hidden, h) + linear(decoder.output_context, z)
        logits.append(linear(decoder.output, deep))  # eq. 7
        alphas.append(alpha)
    assert_says(decoder, a, words, logits, alphas)
