"""The attention decoder as tutorials write it: everything inside the time loop, one image at a time.

The mathematics and the weights are `ShowAttendTellDecoder`'s (one LSTM layer, gate), so that losses and
captions have to agree; what differs is the work: the projection of the annotations, the gate and the output
layer at every word, and each beam with a copy of the image.
"""

import torch
from torch import Tensor

from modules.decoders.captions import ShowAttendTellDecoder
from modules.vocabulary import Vocabulary


def step(
    decoder: ShowAttendTellDecoder, a: Tensor, word: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns logits (N, V), h and c (N, H) and alpha (N, L) from a (N, L, D) and words (N, E)."""
    attention, cell = decoder.attention, decoder.rnn.cells[0]
    compared = torch.tanh(attention.annotation(a) + attention.hidden(h).unsqueeze(1))  # (N, L, A)
    alpha = (compared @ attention.score).softmax(dim=1)
    z = (a * alpha.unsqueeze(2)).sum(dim=1)  # (N, D)
    z = torch.sigmoid(decoder.beta(h)) * z
    weights = cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh
    h, c = torch.lstm_cell(torch.cat([word, z], dim=1), (h, c), *weights)
    read = h
    if decoder.options.deep_output:
        read = word + decoder.output_hidden(h) + decoder.output_context(z)  # (N, E)
    return decoder.output(read), h, c, alpha


def teacher_forced(decoder: ShowAttendTellDecoder, a: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Returns logits (B, T, V) and alpha (B, T, L)."""
    h, c = torch.tanh(decoder.initial(a.mean(dim=1))).chunk(2, dim=1)
    words = decoder.embedding(tokens)  # (B, T, E)
    logits = torch.zeros(*tokens.shape, decoder.output.out_features)
    alphas = torch.zeros(*tokens.shape, a.shape[1])
    for t in range(tokens.shape[1]):
        logits[:, t], h, c, alphas[:, t] = step(decoder, a, words[:, t], h, c)
    return logits, alphas


@torch.no_grad()
def beam_search(
    decoder: ShowAttendTellDecoder, annotations: Tensor, beam_size: int, min_length: int, max_length: int
) -> list[int]:
    """Returns the words of the best caption of one image, annotations (L, D), by mean log-probability."""
    a = annotations.expand(beam_size, -1, -1)  # every beam has the image
    h, c = torch.tanh(decoder.initial(a.mean(dim=1))).chunk(2, dim=1)
    beams: list[list[int]] = [[]] * beam_size
    tokens = torch.full((beam_size,), Vocabulary.BOS)
    scores = torch.full((beam_size,), -torch.inf)
    scores[0] = 0.0  # all beams begin the same: one counts
    finished: list[tuple[float, list[int]]] = []
    for length in range(1, max_length + 1):
        logits, h, c, _ = step(decoder, a, decoder.embedding(tokens), h, c)
        log_probs = logits.log_softmax(dim=1)
        log_probs[:, [Vocabulary.PAD, Vocabulary.BOS, Vocabulary.UNK]] = -torch.inf
        if length <= min_length:
            log_probs[:, Vocabulary.EOS] = -torch.inf
        top, index = (scores.unsqueeze(1) + log_probs).view(-1).topk(2 * beam_size)
        live: list[tuple[float, int, int]] = []  # score, parent, word
        for rank, (score, place) in enumerate(zip(top.tolist(), index.tolist(), strict=True)):
            parent, word = divmod(place, log_probs.shape[1])
            if word != Vocabulary.EOS:
                live.append((score, parent, word))
            elif rank < beam_size and len(finished) < beam_size:
                finished.append((score / length, beams[parent]))
        if len(finished) == beam_size:
            break
        live = live[:beam_size]
        parents = torch.tensor([parent for _, parent, _ in live])
        beams = [[*beams[parent], word] for _, parent, word in live]
        tokens = torch.tensor([word for _, _, word in live])
        scores = torch.tensor([score for score, _, _ in live])
        h, c, a = h[parents], c[parents], a[parents]
    else:
        if not finished:
            finished = [(score.item() / max_length, beam) for score, beam in zip(scores, beams, strict=True)]
    return max(finished)[1]
