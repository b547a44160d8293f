"""Self-critical sequence training: captions are sampled, and the better ones of an image made more probable.

The gradient is that of the expected reward, `-sum_s (r_s - b_s) sum_t grad log p(w_st)`, with CIDEr-D as
reward. The baseline b_s is the reward of the greedy caption (Rennie et al. 2017, eq. 5-8), or the mean
reward of the image's other samples (Luo 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from modules.captioning.batch import CaptionBatch
from modules.decoders.captions import CaptionDecoder
from modules.decoders.ensemble import Reader
from modules.decoding import DecodingOptions, Hypothesis, decode
from modules.metrics.bleu import BleuReferences, bleu, count_ngrams
from modules.metrics.cider import CiderD
from modules.vocabulary import Vocabulary


class CaptionReward:
    """CIDEr-D of captions of training images, and BLEU-4 where it has a weight.

    Document frequencies are those of the training captions. The end mark counts as a word: without it the
    best captions would stop in "with a".

    Args:
        references: Of each image the token ids of its captions, end marks included.
        bleu4: Weight of the caption's own BLEU-4.
    """

    def __init__(self, references: Mapping[str, Sequence[Sequence[int]]], bleu4: float = 0.0) -> None:
        self.number = {image: number for number, image in enumerate(references)}
        counts = [[count_ngrams(list(map(str, ids))) for ids in captions] for captions in references.values()]
        self.cider = CiderD(counts)
        self.weight = bleu4
        self.of_bleu: list[BleuReferences] = []
        if bleu4:
            lengths = [[len(ids) for ids in captions] for captions in references.values()]
            self.of_bleu = list(map(BleuReferences, counts, lengths))

    def __call__(self, image: str, ids: Sequence[int]) -> float:
        """Returns the reward of one caption, 0 to 10 plus the weight of BLEU-4."""
        number, counts = self.number[image], count_ngrams(list(map(str, ids)))
        reward = self.cider.score(number, counts)
        if self.weight:
            statistics = np.array(self.of_bleu[number].statistics(counts, len(ids)))
            reward += self.weight * float(bleu(statistics)[3])
        return reward

    def each(self, images: Sequence[str], captions: Sequence[Sequence[int]]) -> Float[Tensor, " N"]:
        """Returns the reward of every caption, each of its image."""
        return torch.tensor([self(*pair) for pair in zip(images, captions, strict=True)])


def one_caption_each(batch: CaptionBatch, seed: int) -> CaptionBatch:
    """Returns the batch with one caption of each image, drawn at random.

    Its mean loss is an estimate of that of all captions, for a fifth of the work where each image has five.

    Args:
        batch: N images, each with a caption or more.
        seed: Of the draw.
    """
    order = torch.randperm(len(batch.tokens), generator=torch.Generator().manual_seed(seed)).numpy()
    _, first = np.unique(batch.image_index.cpu().numpy()[order], return_index=True)
    rows = torch.from_numpy(order[first]).to(batch.tokens.device)  # (N,)
    tokens = batch.tokens[rows]
    longest = int((tokens != Vocabulary.PAD).sum(1).max())
    return batch._replace(
        image_index=batch.image_index[rows],
        tokens=tokens[:, :longest],
        weights=None if batch.weights is None else batch.weights[rows],
    )


def leave_one_out(rewards: Float[Tensor, "N S"]) -> Float[Tensor, "N S"]:
    """Returns each reward less the mean of the other samples' of its image."""
    samples = rewards.shape[1]
    return (rewards - rewards.mean(1, keepdim=True)) * samples / (samples - 1)


def sample_captions(
    decoder: Reader,
    annotations: Float[Tensor, "N L D"],
    samples: int,
    max_length: int,
    seed: int,
) -> tuple[list[list[int]], Int[Tensor, "NS T"]]:
    """Returns sampled captions, those of an image together, with end marks; and padded after begin marks.

    Args:
        decoder: Whose distribution is drawn from, dropout included.
        annotations: Of N images.
        samples: Captions S of each image.
        max_length: Most words.
        seed: Of the draw.
    """
    with torch.no_grad():
        rows = torch.arange(len(annotations), device=annotations.device).repeat_interleave(samples)
        state = decoder.init_state(annotations).select(rows, rows)
        options = DecodingOptions(method="sample", max_length=max_length, seed=seed)
        captions = with_end_marks(decode(decoder.step, state, options, images=len(rows)))
    tokens = torch.full((len(captions), 1 + max(map(len, captions))), Vocabulary.PAD)
    tokens[:, 0] = Vocabulary.BOS
    for row, caption in enumerate(captions):
        tokens[row, 1 : 1 + len(caption)] = torch.tensor(caption)
    return captions, tokens.to(annotations.device)


def greedy_captions(decoder: Reader, annotations: Float[Tensor, "N L D"], max_length: int) -> list[list[int]]:
    """Returns the greedy caption of each of N images, with end marks: what the decoder says when tested."""
    with torch.no_grad():
        options = DecodingOptions(method="greedy", max_length=max_length)
        state = decoder.init_state(annotations)
        return with_end_marks(decode(decoder.step, state, options, images=len(annotations)))


def with_end_marks(hypotheses: Sequence[Hypothesis]) -> list[list[int]]:
    """Returns the tokens of captions, each with its end mark where it has come to its end."""
    return [[*h.tokens, Vocabulary.EOS] if h.finished else h.tokens for h in hypotheses]


def self_critical_sum(
    decoder: CaptionDecoder,
    annotations: Float[Tensor, "N L D"],
    tokens: Int[Tensor, "NS T"],
    advantages: Float[Tensor, "N S"],
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Returns `-sum (r - b) log p` over all sampled words, and their number."""
    images, samples = advantages.shape
    image_index = torch.arange(images, device=tokens.device).repeat_interleave(samples)
    given, targets = tokens[:, :-1], tokens[:, 1:]
    logits, _ = decoder(annotations, given, image_index)
    losses = F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=Vocabulary.PAD, reduction="none"
    ).view(targets.shape)  # (N S, T)
    return (advantages.flatten().unsqueeze(1) * losses).sum(), (targets != Vocabulary.PAD).sum()
