"""Top-down attention against its paper, read in NumPy."""

import numpy as np
import pytest

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


def test_equations_of_anderson_2018():
    decoder, a, words = decoder_image_and_words(kind="top_down")
    h1, c1, h2, c2 = np.zeros((4, H))
    logits, alphas = [], []
    for word in words:
        rest = np.concatenate([a.mean(0), array(decoder.embedding.weight)[word]])
        # eq. 2: the columns that read h2 are a matrix of their own
        of_language = np.split(linear(decoder.from_language, h2), 4)
        first = gates(decoder.attention_rnn.cells[0], rest, h1)
        h1, c1 = lstm(*(gate + more for gate, more in zip(first, of_language, strict=True)), c1)
        alpha = softmax(additive_scores(decoder.attention, a, h1))  # eq. 3-4
        x = np.concatenate([alpha @ a, h1])  # eq. 5-6
        h2, c2 = lstm(*gates(decoder.rnn.cells[0], x, h2), c2)
        logits.append(linear(decoder.output, h2))  # eq. 7
        alphas.append(alpha)
    assert_says(decoder, a, words, logits, alphas)
