"""min-char-rnn in NumPy, a reading of the lecture's listing (A. Karpathy, BSD licence).

The arithmetic is the listing's, line by line, written for Python 3 as a class. Where the printed listing
cannot run, this is what it means: `dWhy` (printed once more as `dby`) gathers `dy h^T`, gradients are clipped
once after the loop over time, and once an iteration inputs and targets are taken and the pointer moved.
"""

from __future__ import annotations

import numpy as np

HIDDEN_SIZE, SEQUENCE_LENGTH, LEARNING_RATE = 100, 25, 1e-1
NAMES = ("Wxh", "Whh", "Why", "bh", "by")


class MinCharRNN:
    """A vanilla RNN of characters, its parameters and Adagrad's memory of them.

    Args:
        vocabulary_size: Number of characters V.
        random: Draws the initial weights.
        hidden_size: Width H of the hidden state.
        sequence_length: Time steps that gradients go back.
        dtype: Of all numbers.
    """

    def __init__(
        self,
        vocabulary_size: int,
        random: np.random.Generator,
        hidden_size: int = HIDDEN_SIZE,
        sequence_length: int = SEQUENCE_LENGTH,
        dtype: type = np.float64,
    ) -> None:
        V, H = vocabulary_size, hidden_size
        self.vocabulary_size, self.hidden_size, self.sequence_length = V, H, sequence_length
        self.dtype = dtype
        self.Wxh = (random.standard_normal((H, V)) * 0.01).astype(dtype)  # input to hidden
        self.Whh = (random.standard_normal((H, H)) * 0.01).astype(dtype)  # hidden to hidden
        self.Why = (random.standard_normal((V, H)) * 0.01).astype(dtype)  # hidden to output
        self.bh = np.zeros((H, 1), dtype)  # hidden bias
        self.by = np.zeros((V, 1), dtype)  # output bias
        self.memory = {name: np.zeros_like(getattr(self, name)) for name in NAMES}  # for Adagrad
        self.smooth_loss = -np.log(1.0 / V) * sequence_length  # loss at iteration 0
        self.hprev = np.zeros((H, 1), dtype)
        self.p = self.n = 0

    def lossfun(
        self, inputs: list[int], targets: list[int], hprev: np.ndarray
    ) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
        """Returns the loss, the gradients on the parameters, and the last hidden state."""
        xs, hs, ps = {}, {-1: np.copy(hprev)}, {}
        loss = 0.0
        for t in range(len(inputs)):
            xs[t] = np.zeros((self.vocabulary_size, 1), self.dtype)  # encode in 1-of-k representation
            xs[t][inputs[t]] = 1
            hs[t] = np.tanh(np.dot(self.Wxh, xs[t]) + np.dot(self.Whh, hs[t - 1]) + self.bh)  # hidden state
            ys = np.dot(self.Why, hs[t]) + self.by  # unnormalized log probabilities for next chars
            ps[t] = np.exp(ys) / np.sum(np.exp(ys))  # probabilities for next chars
            loss += -np.log(ps[t][targets[t], 0])  # softmax (cross-entropy loss)
        # backward pass: compute gradients going backwards
        d = {name: np.zeros_like(getattr(self, name)) for name in NAMES}
        dhnext = np.zeros_like(hs[0])
        for t in reversed(range(len(inputs))):
            dy = np.copy(ps[t])
            dy[targets[t]] -= 1  # backprop into y
            d["Why"] += np.dot(dy, hs[t].T)
            d["by"] += dy
            dh = np.dot(self.Why.T, dy) + dhnext  # backprop into h
            dhraw = (1 - hs[t] * hs[t]) * dh  # backprop through tanh nonlinearity
            d["bh"] += dhraw
            d["Wxh"] += np.dot(dhraw, xs[t].T)
            d["Whh"] += np.dot(dhraw, hs[t - 1].T)
            dhnext = np.dot(self.Whh.T, dhraw)
        for gradient in d.values():
            np.clip(gradient, -5, 5, out=gradient)  # clip to mitigate exploding gradients
        return float(loss), d, hs[len(inputs) - 1]

    def iterate(self, data: list[int]) -> float:
        """Trains on the next characters of the text; returns their loss."""
        length = self.sequence_length
        if self.p + length + 1 >= len(data) or self.n == 0:
            self.hprev = np.zeros((self.hidden_size, 1), self.dtype)  # reset RNN memory
            self.p = 0  # go from start of data
        inputs = data[self.p : self.p + length]
        targets = data[self.p + 1 : self.p + length + 1]
        loss, gradients, self.hprev = self.lossfun(inputs, targets, self.hprev)
        self.smooth_loss = self.smooth_loss * 0.999 + loss * 0.001
        for name, gradient in gradients.items():
            memory = self.memory[name]
            memory += gradient * gradient
            parameter = getattr(self, name)
            parameter += -LEARNING_RATE * gradient / np.sqrt(memory + 1e-8)  # adagrad update
        self.p += length  # move data pointer
        self.n += 1  # iteration counter
        return loss
