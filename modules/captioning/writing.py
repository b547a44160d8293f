"""Captions of images, free-running: what a captioner and several of them together share."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from modules.caption_tokens import detokenize, tokenize
from modules.captioning.batch import ImageBatch
from modules.captioning.preprocessing import EvalTransform
from modules.decoders.caption_decoder import AttendingDecoder, CaptionDecoder
from modules.decoders.ensemble import Reader
from modules.decoders.graphed_reader import GraphedReader
from modules.decoding import DecodingOptions, Hypothesis, beam_search, decode
from modules.encoders.image import ImageEncoder
from modules.errors import InputError, check_at_least
from modules.images import rgb_image
from modules.precision import fast_dtype, keep_weights
from modules.vocabulary import Vocabulary

MOST_REQUIRED = 4  # words that a caption has to contain: there are beams for each set of them


class Caption(NamedTuple):
    """A decoded caption.

    Attributes:
        text: As people write it.
        words: Behind it.
        score: Of the decoding.
        alpha: Attention (T, L) of each word, where it was asked for.
        others: Further captions of the image, the likeliest first, where they were asked for.
    """

    text: str
    words: list[str]
    score: float
    alpha: Tensor | None
    others: tuple[str, ...] = ()

    @property
    def sentinel(self) -> list[float]:
        """The weight of the sentinel at each word, 0..1: what the attention lacks of 1 (Lu et al. 2017)."""
        return [] if self.alpha is None else (1 - self.alpha.sum(1)).clamp(0, 1).tolist()


class CaptionWriter:
    """Writes captions of images.

    Attributes:
        encoder: Whose grid the attention has, and whose size of images all are brought to.
        resize: How an image becomes a square.
        vocabulary: Words and their numbers.
        decoding: How words are chosen.
        keep_attention: Keep that of every word in predictions.
        captions: Different captions of each image in predictions, by beam search.
        reduced_precision: Write in bfloat16 where the device computes in it natively.
        graphed_reader: Writes by CUDA graphs, where it was asked for.
        has_sentinel: Whether its attention may rest on a sentinel instead of the image.
        unsure_below: Score that nine tenths of the captions of unseen photographs reach, if it is known.
        device: Where the weights lie.
    """

    encoder: ImageEncoder
    resize: str
    vocabulary: Vocabulary | None
    decoding: DecodingOptions
    keep_attention: bool
    captions: int = 1
    reduced_precision: bool = False
    graphed_reader: GraphedReader | None = None
    has_sentinel: bool = False
    unsure_below: float | None = None
    device: Any

    def views(self, inputs: Tensor) -> Any:
        """Returns what captions are written from, of pixels (N, 3, S, S)."""
        raise NotImplementedError

    def reader(self) -> Reader:
        """Returns what reads the views and writes a caption word by word."""
        raise NotImplementedError

    def decoders(self) -> list[CaptionDecoder]:
        """Returns the decoders that the reader consists of."""
        raise NotImplementedError

    @property
    def attends(self) -> bool:
        """Whether its captions can come with the attention of each word."""
        return all(isinstance(decoder, AttendingDecoder) for decoder in self.decoders())

    def write_by_graphs(self) -> None:
        """Lets CUDA graphs compute the steps of all captions from now on; the device has to be a GPU."""
        self.graphed_reader = GraphedReader(self.reader(), self.decoders())

    def setup(self, stage: str) -> None:
        """Refuses a trainer that would turn the weights into another number type."""
        trainer: Any = self.trainer  # type: ignore[attr-defined]  # of the LightningModule that this is, too
        keep_weights(trainer.precision, "a captioner")
        super().setup(stage)  # type: ignore[misc]

    @torch.no_grad()
    def caption_images(
        self, images: Iterable[np.ndarray | Path | str], batch_size: int = 32, keep_alpha: bool = False
    ) -> list[Caption]:
        """Returns the caption of each image, decoded as the checkpoint says, as `caption.py predict` does.

        Args:
            images: Image files, or arrays (Hh, Ww, 3) of uint8 RGB; grey and RGBA are converted as in files.
            batch_size: Images captioned at a time.
            keep_alpha: Keep the attention weights of every word.

        Raises:
            InputError: A file is no image that can be read, or an array of another type or shape; or
                `images` is one image.
        """
        check_at_least(1, batch_size=batch_size)
        # the letters of a path would be read as paths
        if isinstance(images, str | Path) or (isinstance(images, np.ndarray) and images.ndim < 4):
            raise InputError("images is one image; put it in a list: [image]")
        transform = EvalTransform(self.encoder.image_size, self.resize)
        captions: list[Caption] = []
        remaining = iter(images)
        while batch := list(islice(remaining, batch_size)):
            squares: list[Tensor] = []
            names: list[str] = []  # from which sampling draws
            for image in batch:
                if isinstance(image, np.ndarray):
                    names.append(f"images[{len(captions) + len(names)}]")
                    squares.append(transform(rgb_image(image, names[-1])))
                else:
                    names.append(Path(image).name)
                    square, wrong = transform.read(image)
                    squares.append(square)
                    if wrong:
                        warnings.warn(f"{image}: {wrong}; captioned as far as it goes", stacklevel=2)
            views = self.views(torch.stack(squares).to(self.device))
            captions += self.caption(views, names, keep_alpha=keep_alpha)
        return captions

    def caption(
        self,
        views: Any,
        names: Sequence[str],
        options: DecodingOptions | None = None,
        keep_alpha: bool = False,
        captions: int = 1,
    ) -> list[Caption]:
        """Returns the caption of each image; sampling draws from random numbers of the image's name.

        Args:
            views: Of `views`.
            names: Of the images.
            options: How words are chosen, if not as the checkpoint says.
            keep_alpha: Keep the attention weights of every word.
            captions: Different captions of each image, the best and others; beam search has as many beams.
        """
        reader = self.graphed_reader or self.reader()
        precise = [view.float() for view in views] if isinstance(views, list) else views.float()
        options = options or self.decoding
        device = torch.device(self.device)
        # else in float32 whatever the trainer's precision, so that evaluation and prediction say the same
        is_reduced = self.reduced_precision and fast_dtype(device) == torch.bfloat16
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=is_reduced):
            state = reader.init_state(precise)
            required = self.required(options)
            if captions > 1:
                size, groups = max(options.beam_size, captions), options.beam_groups
                wider = replace(options, beam_size=-(-size // groups) * groups)
                found = beam_search(
                    reader.step, state, wider, images=len(names), keep_alpha=keep_alpha, required=required
                )
            else:
                seeds = [zlib.crc32(name.encode(errors="surrogateescape")) for name in names]
                best = decode(
                    reader.step,
                    state,
                    options,
                    images=len(names),
                    keep_alpha=keep_alpha,
                    seeds=seeds,
                    required=required,
                )
                found = [[hypothesis] for hypothesis in best]
        return [self._caption(hypotheses, captions) for hypotheses in found]

    def required(self, options: DecodingOptions) -> list[int]:
        """Returns the tokens that a caption has to have; InputError where the captioner lacks such a word."""
        assert self.vocabulary is not None
        words = list(dict.fromkeys(tokenize(options.must_contain)))
        if options.must_contain.strip() and not words:
            raise InputError(f"decoding.must_contain: {options.must_contain!r} has no word")
        if len(words) > MOST_REQUIRED:
            raise InputError(
                f"decoding.must_contain has {len(words)} words; beam search can look for {MOST_REQUIRED}"
            )
        for word in words:
            if self.vocabulary.encode([word]) == [Vocabulary.UNK]:
                known = [each for each in self.vocabulary.words if each not in Vocabulary.MARKERS]
                near = get_close_matches(word, known, n=1)
                hint = f"; the nearest is {near[0]!r}" if near else ""
                raise InputError(
                    f"decoding.must_contain: {word!r} is none of the captioner's {len(self.vocabulary):,} "
                    f"words{hint}"
                )
        return self.vocabulary.encode(words)

    def _caption(self, hypotheses: Sequence[Hypothesis], captions: int) -> Caption:
        assert self.vocabulary is not None
        decoded = [self.vocabulary.decode(hypothesis.tokens) for hypothesis in hypotheses]
        texts = list(dict.fromkeys(detokenize(words) for words in decoded))
        best = hypotheses[0]
        return Caption(texts[0], decoded[0], best.score, best.alpha, tuple(texts[1:captions]))

    def predict_step(self, batch: ImageBatch, batch_idx: int) -> list[Caption]:
        """Returns the captions of the images that could be read."""
        if not batch.names:
            return []
        keep_alpha = self.keep_attention or self.has_sentinel
        return self.caption(
            self.views(batch.images), batch.names, keep_alpha=keep_alpha, captions=self.captions
        )
