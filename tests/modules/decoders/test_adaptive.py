"""Adaptive attention against its paper, read in NumPy; a sentinel that is seen to weigh."""

import numpy as np
import pytest
import torch

from tests.modules.decoders.numpy_reading import (
    H,
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


def test_equations_of_lu_2017():
    decoder, a, words = decoder_image_and_words(kind="adaptive")
    v = np.maximum(np.array([linear(decoder.context.linear, row) for row in a]), 0)
    image = np.maximum(linear(decoder.image, a.mean(0)), 0)
    h, m, logits, alphas = np.zeros(H), np.zeros(H), [], []
    for word in words:
        x = np.concatenate([array(decoder.embedding.weight)[word], image])
        gate = sigmoid(linear(decoder.gate_input, x) + linear(decoder.gate_hidden, h))  # eq. 9
        h, m = lstm(*gates(decoder.rnn.cells[0], x, h), m)  # eq. 4
        s = gate * np.tanh(m)  # eq. 10
        z = additive_scores(decoder.attention, v, h)  # eq. 6
        query = linear(decoder.attention.hidden, h)
        of_s = array(decoder.attention.score) @ np.tanh(linear(decoder.sentinel, s) + query)
        weights = softmax(np.append(z, of_s))  # eq. 12
        context = weights[:-1] @ v + weights[-1] * s  # eq. 8 and 11
        logits.append(linear(decoder.output, context + h))  # eq. 13
        alphas.append(weights[:-1])
    assert_says(decoder, a, words, logits, alphas)
    assert 0.02 < 1 - np.stack(alphas).sum(1).mean() < 0.98


def test_dropout_leaves_out_the_image_s_part_of_half_the_images_in_training_alone():
    decoder, a, _ = decoder_image_and_words(kind="adaptive")
    images = torch.from_numpy(a).expand(200, -1, -1)
    bias = torch.cat([decoder.rnn.cells[0].bias_ih, decoder.gate_input.bias])
    known = decoder.init_state(images).memory[2] - bias
    assert known.abs().max() > 0.1 and torch.equal(decoder.train().init_state(images).memory[2] - bias, known)
    decoder.options.dropout = 0.25  # its own units are still dropped with none
    found = decoder.init_state(images).memory[2] - bias
    is_there = (found - known).abs().max(1).values < 1e-9
    assert (found[~is_there].abs() < 1e-9).all() and 0.35 < is_there.double().mean() < 0.65


def test_a_sentinel_that_is_heard_takes_the_weight_of_the_image():
    decoder, a, words = decoder_image_and_words(kind="adaptive", attention="multiplicative")
    shares = []
    for strength in (0.0, 50.0):
        with torch.no_grad():
            decoder.sentinel.weight.copy_(strength * decoder.attention.hidden.weight)
            decoder.attention.hidden.bias.zero_()
            decoder.gate_input.bias.fill_(9)  # open: s = tanh(m), which goes with h
            _, alpha = decoder(torch.from_numpy(a)[None], torch.from_numpy(words)[None])
        shares.append(alpha.sum(-1))
    assert (shares[1] < shares[0]).all() and (shares[1] < 0.1).any()
