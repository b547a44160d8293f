"""Captions of one split as batches, by the numbers of captions or of images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from data_prep.captions.inputs import Inputs
from data_prep.captions.records import CaptionRecord
from data_prep.captions.token_table import TokenTable
from modules.captioning.batch import CaptionBatch
from modules.captioning.consensus import consensus_weights
from modules.vocabulary import Vocabulary


class CaptionDataset:
    """Batches of one split: takes caption numbers for training, image numbers for evaluation.

    Args:
        records: Images with their captions.
        tokens: Of these captions.
        vocabulary: Words and their numbers.
        inputs: Annotations or pixels of images, by their numbers.
        max_words: Longer captions are cut off here in training.
    """

    def __init__(
        self,
        records: Sequence[CaptionRecord],
        tokens: TokenTable,
        vocabulary: Vocabulary,
        inputs: Inputs,
        max_words: int,
    ) -> None:
        self.records, self.inputs = list(records), inputs
        self.ids, self.starts = tokens.ids(vocabulary, max_words)  # of all captions
        self.first_caption = tokens.first_caption  # of every image
        images = np.arange(len(self.records), dtype=np.int32)
        self.image_of = np.repeat(images, np.diff(self.first_caption))  # of every caption

    def caption(self, number: int) -> np.ndarray:
        """Returns the token ids of a caption, with its marks (T + 1,)."""
        return self.ids[self.starts[number] : self.starts[number + 1]]

    def sentences(self) -> list[list[list[int]]]:
        """Returns of each image the token ids of its captions, end marks included."""
        numbers = pairwise(self.first_caption.tolist())
        return [[self.caption(number)[1:].tolist() for number in range(*of_image)] for of_image in numbers]

    def batch(self, captions: Sequence[int]) -> CaptionBatch:
        """Returns these captions and their images, each image once."""
        images, image_index = np.unique(self.image_of[captions], return_inverse=True)
        ids = [self.caption(caption) for caption in captions]
        tokens = np.full((len(captions), max(map(len, ids))), Vocabulary.PAD, np.int64)
        for row, of_caption in enumerate(ids):
            tokens[row, : len(of_caption)] = of_caption
        return CaptionBatch(
            self.inputs(images.tolist(), captions),
            torch.from_numpy(image_index),
            torch.from_numpy(tokens),
            [self.records[image].image for image in images],
            [list(self.records[image].captions) for image in images],
        )


class TrainingCaptions(CaptionDataset):
    """Takes caption numbers.

    Args:
        consensus: How much of a caption's weight follows its agreement with the image's others; 0 for none.
    """

    def __init__(
        self,
        records: Sequence[CaptionRecord],
        tokens: TokenTable,
        vocabulary: Vocabulary,
        inputs: Inputs,
        max_words: int,
        consensus: float = 0.0,
    ) -> None:
        super().__init__(records, tokens, vocabulary, inputs, max_words)
        self.weights: Tensor | None = None
        if consensus:
            weights = consensus_weights(self.sentences(), consensus)
            # captions are numbered image by image
            self.weights = torch.tensor([weight for image in weights for weight in image])

    def __getitem__(self, captions: list[int]) -> CaptionBatch:
        batch = self.batch(captions)
        return batch if self.weights is None else batch._replace(weights=self.weights[captions])

    def __len__(self) -> int:
        return len(self.image_of)


class EvaluationCaptions(CaptionDataset):
    """Takes image numbers and returns them with all their captions."""

    def __getitem__(self, images: list[int]) -> CaptionBatch:
        first = self.first_caption
        return self.batch([n for image in images for n in range(first[image], first[image + 1])])

    def __len__(self) -> int:
        return len(self.records)
