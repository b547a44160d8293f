"""Show and Tell against its paper, read in NumPy."""

import numpy as np
import pytest
import torch

from tests.modules.decoders.numpy_reading import H, array, decoder_image_and_words, gates, linear, lstm

pytestmark = pytest.mark.usefixtures("one_thread")


def test_equations_of_vinyals_2015():
    decoder, a, words = decoder_image_and_words(kind="show_and_tell")
    h, c = lstm(*gates(decoder.rnn.cells[0], linear(decoder.image, a.mean(0)), np.zeros(H)), np.zeros(H))
    logits = []
    for word in words:
        h, c = lstm(*gates(decoder.rnn.cells[0], array(decoder.embedding.weight)[word], h), c)
        logits.append(linear(decoder.output, h))
    with torch.no_grad():
        found, _ = decoder(torch.from_numpy(a)[None], torch.from_numpy(words)[None])
    assert np.abs(found[0].numpy() - np.stack(logits)).max() < 1e-6 and np.stack(logits).std() > 0.1
