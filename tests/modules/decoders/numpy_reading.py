"""The parts that the papers' equations are read from once more, in NumPy and float64, a word at a time."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from modules.attention import AdditiveAttention
from modules.cells import RecurrentCell
from modules.decoders.captions import DECODERS, CaptionDecoder, DecoderOptions
from modules.vocabulary import Vocabulary

Array = np.ndarray
L, D, E, H, A, V, T = 6, 5, 3, 4, 7, 11, 5


def decoder_image_and_words(**options) -> tuple[CaptionDecoder, Array, Array]:
    """Returns a decoder whose weights are large enough to matter, annotations (L, D) and words (T,)."""
    torch.manual_seed(1)
    sizes = {"embedding_size": E, "hidden_size": H, "attention_size": A, "dropout": 0.0}
    decoder = DECODERS[options["kind"]](V, D, DecoderOptions(**options, **sizes)).double().eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_(0, 0.7)
    words = np.array([Vocabulary.BOS, *torch.randint(4, V, (T - 1,)).tolist()])
    return decoder, torch.randn(L, D, dtype=torch.float64).numpy(), words


def assert_says(decoder: CaptionDecoder, a: Array, words: Array, logits: list[Array], alpha: list[Array]):
    """Asserts that decoder and reading agree to 1e-6."""
    with torch.no_grad():
        found, attention = decoder(torch.from_numpy(a)[None], torch.from_numpy(words)[None])
    assert np.abs(found[0].numpy() - np.stack(logits)).max() < 1e-6
    assert np.abs(attention[0].numpy() - np.stack(alpha)).max() < 1e-6
    assert np.stack(logits).std() > 0.1 and np.stack(alpha).std() > 0.01


def array(parameter: torch.Tensor) -> Array:
    return parameter.detach().numpy()


def linear(layer: nn.Linear, x: Array) -> Array:
    return array(layer.weight) @ x + (0 if layer.bias is None else array(layer.bias))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def gates(cell: RecurrentCell, x: Array, h: Array) -> list[Array]:
    """Returns the pre-activation of each block of H gates."""
    read = array(cell.weight_ih) @ x + array(cell.bias_ih) + array(cell.weight_hh) @ h + array(cell.bias_hh)
    return np.split(read, len(read) // H)


def lstm(
    i: Array, f: Array, g: Array, o: Array, c: Array, phi: Callable[[Array], Array] = np.tanh
) -> tuple[Array, Array]:
    """Returns h and c."""
    c = sigmoid(f) * c + sigmoid(i) * phi(g)
    return sigmoid(o) * np.tanh(c), c


def additive_scores(attention: AdditiveAttention, rows: Array, h: Array) -> Array:
    """Returns `v . tanh(W a_i + U h)` of every row."""
    v, query = array(attention.score), linear(attention.hidden, h)
    return np.array([v @ np.tanh(linear(attention.annotation, row) + query) for row in rows])
