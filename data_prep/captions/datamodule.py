"""Captioned images as batches: from a folder in any known format to `CaptionBatch`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytorch_lightning as pl

from data_prep.batching import BatchLoader, BucketSampler, decoding_workers, evaluation_batches
from data_prep.cache import cache_root
from data_prep.captions import read_captions
from data_prep.captions.dataset import EvaluationCaptions, TrainingCaptions
from data_prep.captions.duplicates import warning_of_copies
from data_prep.captions.features import FeatureCache
from data_prep.captions.inputs import Annotations, Inputs, MirroredAnnotations, Pixels
from data_prep.captions.number_types import CacheDtype
from data_prep.captions.records import CaptionRecord
from data_prep.captions.token_table import TokenTable
from data_prep.decode_ahead import unreadable_images
from data_prep.image_names import hold_out
from data_prep.left_out import listing_of, naming
from data_prep.resumable import place_in
from data_prep.saying import say, say_drawn, say_few
from modules.caption_tokens import segmentation_advice
from modules.captioning.captioner import Captioner
from modules.captioning.preprocessing import EvalTransform, MirrorTransform, TrainTransform
from modules.errors import InputError, check_at_least
from modules.vocabulary import Vocabulary

FormatName = Literal["auto", "flickr8k", "folder", "coco", "karpathy", "scenes"]


class CaptionDataModule(pl.LightningDataModule):
    """Captioned images of one folder, in any format that `data_prep/captions` reads.

    A frozen encoder's annotations are computed once and cached; with a fine-tuned one images are decoded
    every epoch. The vocabulary comes from the training split alone.

    Args:
        root: Folder of the data set; by default the drawn scenes, which are made where they are missing.
        format: How it is laid out; auto recognises it by its files.
        batch_size: Captions in a training step, over all processes together.
        min_steps: Fewest training steps of an epoch: a small set is read several times in each.
        eval_batch_size: Images in an evaluation step of one process.
        min_count: Rarer words of the training captions become <unk>.
        max_vocabulary: Most words, the most frequent first; by default no limit.
        max_words: Training captions are cut off after this many words.
        num_workers: Worker processes that decode images; by default none where features are cached, else
            one fewer than there are cores, at most 8.
        cache: Folder of all caches; by default $SEQSIGHT_CACHE, else ~/.cache/seqsight.
        seed: Of the order of training batches.
        cache_dtype: How cached annotations are kept. float8 takes half the disk and rounds to 3 bits.
    """

    def __init__(
        self,
        root: Path | None = None,
        format: FormatName = "auto",
        batch_size: int = 64,
        min_steps: int = 1,
        eval_batch_size: int = 32,
        min_count: int = 1,
        max_vocabulary: int | None = None,
        max_words: int = 30,
        num_workers: int | None = None,
        cache: Path | None = None,
        seed: int = 0,
        cache_dtype: CacheDtype = "float16",
    ) -> None:
        super().__init__()
        for name, value, least in [
            ("batch_size", batch_size, 1),
            ("min_steps", min_steps, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("min_count", min_count, 1),
            ("max_vocabulary", max_vocabulary, len(Vocabulary.MARKERS) + 1),
            ("max_words", max_words, 1),
            ("num_workers", num_workers, 0),
            ("seed", seed, 0),
        ]:
            check_at_least(least, **{f"data.{name}": value})
        self.root, self.format = root, format
        self.batch_size, self.min_steps, self.eval_batch_size = batch_size, min_steps, eval_batch_size
        self.min_count, self.max_vocabulary, self.max_words = min_count, max_vocabulary, max_words
        self.num_workers, self.cache, self.seed = num_workers, cache, seed
        self.cache_dtype = cache_dtype
        self.vocabulary: Vocabulary | None = None
        self.splits: dict[str, list[CaptionRecord]] = {}
        self.tokens: dict[str, TokenTable] = {}
        self.caches: dict[str, FeatureCache] = {}  # while annotations are looked up
        self.inputs: dict[str, Inputs] = {}
        self.training: TrainingCaptions | None = None

    @property
    def test_split(self) -> str:
        """The split that is scored at the end: test, or val where the data have no test split."""
        return "test" if self.splits["test"] else "val"

    def read(self) -> None:
        """Reads the captions and builds the vocabulary; needs no model."""
        if self.splits:
            return
        root = self.root if self.root is not None else cache_root() / "scenes"
        format = "scenes" if self.root is None and self.format == "auto" else self.format
        if self.root is None and format == "scenes":
            say_drawn("scenes", "photographs")
        table = read_captions(root, format)
        self.splits = {name: list(table.split(name)) for name in ("train", "val", "test")}
        if self.splits["train"] and not self.splits["val"]:
            hold_out(self.splits)
            say(f"{root}: no validation split, every 20th training image validates")
        if self.root is not None:
            say_few(root, self.splits, "images", "take more, or name them by a column split in captions.csv")
        if warning := warning_of_copies(
            record if record.split == name else dataclasses.replace(record, split=name)
            for name in self.splits
            for record in self.splits[name]
        ):
            say(f"warning: {root}: {warning}")
        if self.vocabulary is None and self.splits["train"]:
            counts = self._tokens("train").counts()
            self.vocabulary = Vocabulary.of_counts(counts, self.min_count, self.max_vocabulary)

    def training_words(self) -> Vocabulary:
        """Returns the words of the training captions; InputError where there are none to train on."""
        self.read()
        if not self.splits["train"]:
            raise InputError(f"{self.root}: no training images; fit needs a training split")
        assert self.vocabulary is not None
        captions = [text for record in self.splits["train"] for text in record.captions]
        if advice := segmentation_advice(captions):
            raise InputError(f"{self.root}: {advice}")
        counts = self._tokens("train").counts()
        if not any(letter.isalnum() for word in counts for letter in word):
            raise InputError(f"{self.root}: no word in its training captions; punctuation and emoji are none")
        if len(self.vocabulary) == len(Vocabulary.MARKERS):
            most = max(counts.values())
            raise InputError(
                f"{self.root}: no word of its training captions occurs {self.min_count} times; "
                f"--data.min_count {most}{' or less' if most > 1 else ''}"
            )
        return self.vocabulary

    def _tokens(self, split: str) -> TokenTable:
        """Returns the words of a split; they are tokenized once."""
        if split not in self.tokens:
            self.tokens[split] = TokenTable(self.splits[split], split)
        return self.tokens[split]

    def training_sentences(self) -> dict[str, list[list[int]]]:
        """Returns of each training image by its name the token ids of its captions, end marks included."""
        assert self.training is not None
        names = [record.image for record in self.training.records]
        return dict(zip(names, self.training.sentences(), strict=True))

    def setup(self, stage: str) -> None:
        """Reads the captions, and computes the annotations that are missing."""
        model = self._model()
        if stage == "fit":
            self.training_words()
        else:
            self.read()
            self.vocabulary = model.vocabulary
        for split in {"fit": ("train", "val"), "validate": ("val",)}.get(stage, (self.test_split,)):
            if split not in self.inputs:
                if not self.splits[split]:
                    raise InputError(f"{self.root}: the data have no {split} split")
                self.inputs[split] = self._inputs(model, split)
        while self.caches:
            self.caches.popitem()[1].forget_index()  # half a kilobyte an image, for the splits above

    def _model(self) -> Captioner:
        assert self.trainer is not None
        model = self.trainer.lightning_module
        assert isinstance(model, Captioner)
        return model

    def _inputs(self, model: Captioner, split: str) -> Inputs:
        transform = EvalTransform(model.encoder.image_size, model.resize)
        if not model.encoder.is_frozen:
            # an image that fails in the middle of an epoch would end the fit
            images = [record.path for record in self.splits[split]]
            paths = self._leave_out(split, unreadable_images(images, transform))
            train = TrainTransform(model.encoder.image_size, model.resize, flip=model.mirrored)
            return Pixels(paths, train if split == "train" else transform)
        plain = self._annotations(model, split, transform)
        if not model.mirrored:
            return plain
        mirrored = self._annotations(model, split, MirrorTransform(transform.size, transform.resize))
        return MirroredAnnotations(plain, mirrored, is_training=split == "train")

    def _annotations(self, model: Captioner, split: str, transform: EvalTransform) -> Annotations:
        """Returns the annotations of a split's images behind this transform; computes what is not cached."""
        assert self.trainer is not None
        device = self.trainer.strategy.root_device
        name = type(transform).__name__
        if name not in self.caches:
            opened = FeatureCache.open(model.encoder, transform, device, self.cache, self.cache_dtype)
            self.caches[name] = opened
        cache = self.caches[name]
        report = cache.fill([record.path for record in self.splits[split]], model.encoder, transform, device)
        what = ", mirrored" if isinstance(transform, MirrorTransform) else ""
        say(f"{split}{what}: {report.summary()}")
        return Annotations(cache, cache.rows(self._leave_out(split, report.unreadable)))

    def _leave_out(self, split: str, unreadable: Sequence[tuple[Path, str]]) -> list[Path]:
        """Returns the files of a split without the unreadable ones, which it names and takes out of it."""
        if unreadable:
            bad = dict(unreadable)
            name, reason = unreadable[0]
            said = f"warning: {split}: {len(bad)} unreadable image(s) left out"
            listing = listing_of(self.root or cache_root(), split, self.cache)
            say(naming(said, [f"{path}: {why}" for path, why in unreadable], listing))
            self.splits[split] = [record for record in self.splits[split] if record.path not in bad]
            self.tokens.pop(split, None)
            if not self.splits[split]:
                raise InputError(f"{self.root}: no image of the {split} split can be read ({name}: {reason})")
        return [record.path for record in self.splits[split]]

    def _workers(self, split: str) -> int:
        if self.num_workers is not None:
            return self.num_workers
        return decoding_workers() if isinstance(self.inputs[split], Pixels) else 0

    def train_dataloader(self) -> BatchLoader:
        assert self.trainer is not None and self.vocabulary is not None
        model, inputs = self._model(), self.inputs["train"]
        consensus = model.training_options.consensus
        dataset = TrainingCaptions(
            self.splits["train"], self._tokens("train"), self.vocabulary, inputs, self.max_words, consensus
        )
        self.training = dataset
        # what has to be encoded is encoded once for all captions of an image; and self-critical training
        # draws captions of images, of which a batch should not have five times as many
        by_image = isinstance(inputs, Pixels)
        sampler = BucketSampler(
            np.diff(dataset.starts),
            self.batch_size,
            groups=dataset.image_of,
            grouped_from=0 if by_image else model.reinforces_from,
            min_batches=self.min_steps,
            seed=self.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return BatchLoader(dataset, sampler, place=place_in(self.trainer), workers=self._workers("train"))

    def _evaluation(self, split: str) -> BatchLoader:
        assert self.trainer is not None and self.vocabulary is not None
        dataset = EvaluationCaptions(
            self.splits[split], self._tokens(split), self.vocabulary, self.inputs[split], 10**6
        )
        return evaluation_batches(
            dataset,
            self.eval_batch_size,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            workers=self._workers(split),
        )

    def val_dataloader(self) -> BatchLoader:
        return self._evaluation("val")

    def test_dataloader(self) -> BatchLoader:
        return self._evaluation(self.test_split)
