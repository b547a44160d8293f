"""A text of any size as batches: from a FILE or folder to `TextBatch`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import pytorch_lightning as pl

from data_prep.input_files import SPLITS
from data_prep.left_out import listing_of, naming
from data_prep.resumable import place_in
from data_prep.saying import say
from data_prep.text.encoded import EncodedText, Units, encode_text
from data_prep.text.files import check_encoding, find_text
from data_prep.text.standard_library import find_standard_library
from data_prep.text.streams import HeldOutStreams, TrainingStreams
from data_prep.text.tunes import find_tunes
from modules.errors import InputError, check_ranges
from modules.metrics.language import bits_per_character
from modules.metrics.ngrams import NGramModel
from modules.text_codec import Level, TextCodec
from modules.vocabulary import Vocabulary

# without other wishes: a word seen once teaches nothing but what <unk> is like
MIN_COUNT = {"character": 1, "word": 2, "byte": 1}
MAX_VOCABULARY = {"character": None, "word": 10_000, "byte": None}
# tokens that the n-gram baselines count at most, so that they fit into memory
BASELINE_TOKENS = 10_000_000
Corpus = Literal["python", "music"]
CORPORA = {"python": "Python standard library", "music": "tunes of music21"}


class TextDataModule(pl.LightningDataModule):
    """A text as parallel streams of characters, words or bytes.

    The units come from the training split alone. The text is encoded once and then read through a memory map.

    Args:
        file: Text file, or folder whose text files are read; by default the source of Python's standard
            library, or what data.corpus names. A single file is cut (90, 5 and 5 %), several are divided as a
            whole among training, validation and test.
        corpus: What is read without a file: python, the source of Python's standard library as found on this
            machine; or music, the tunes of the package music21, in ABC notation.
        level: What a token is: character, word or byte.
        sequence_length: Tokens of a window, through which gradients flow back.
        batch_size: Parallel streams in a training step, over all processes together.
        eval_batch_size: Parallel streams in an evaluation step of one process.
        min_count: Rarer units of the training text become <unk>; by default 2 for words, else 1.
        max_vocabulary: Most units, the most frequent first, four markers included; by default 10,000 for
            words, else no limit.
        encoding: Encoding of the files; by default UTF-8, or what a byte order mark says.
        pattern: Only files of a folder whose name matches, such as *.txt.
        cache: Folder of all caches; by default $SEQSIGHT_CACHE, else ~/.cache/seqsight.
        seed: Of the places in the text where epochs begin.
        backward: Read every text from its end to its beginning; correct needs a model that does beside one
            that does not. The ids are then held in memory.
    """

    def __init__(
        self,
        file: Path | None = None,
        level: Level = "character",
        sequence_length: int = 128,
        batch_size: int = 64,
        eval_batch_size: int = 64,
        min_count: int | None = None,
        max_vocabulary: int | None = None,
        encoding: str | None = None,
        pattern: str | None = None,
        cache: Path | None = None,
        seed: int = 0,
        corpus: Corpus = "python",
        backward: bool = False,
    ) -> None:
        super().__init__()
        self.corpus, self.backward = corpus, backward
        self.file, self.level, self.encoding, self.pattern = file, level, encoding, pattern
        self.sequence_length, self.batch_size, self.eval_batch_size = (
            sequence_length,
            batch_size,
            eval_batch_size,
        )
        self.min_count, self.max_vocabulary = min_count, max_vocabulary
        self.cache, self.seed = cache, seed
        check_ranges(
            self,
            "data",
            positive=("sequence_length", "batch_size", "eval_batch_size", "min_count"),
            not_negative=("seed",),
        )
        check_encoding(encoding)
        if max_vocabulary is not None and max_vocabulary <= len(Vocabulary.MARKERS):
            raise InputError(
                f"data.max_vocabulary is {max_vocabulary}; it has to be above {len(Vocabulary.MARKERS)}, the "
                "number of markers"
            )
        self.text: EncodedText | None = None

    # ---- reading

    def read(self, codec: TextCodec | None = None) -> EncodedText:
        """Returns the encoded text; reads it where that has not happened yet.

        Args:
            codec: Of a checkpoint, in place of one from the training split.
        """
        if self.text is not None and (codec is None or codec == self.text.codec):
            return self.text
        if self.file is None:
            for option in ("pattern", "encoding"):
                if getattr(self, option) is not None:
                    raise InputError(f"data.{option} is of your own text; name it by --data.file FILE_OR_DIR")
            files = find_tunes(self.cache) if self.corpus == "music" else find_standard_library()
        else:
            files = find_text(self.file, self.pattern, self.encoding)
        units = Units(self.level, *self._limits(), codec)
        self.text = encode_text(files, units, self.cache)
        if files.left_out:
            said = f"left out {len(files.left_out)} file(s) that are no text"
            say(naming(said, files.left_out, listing_of(files.root, "text", self.cache)))
        say(self.describe())
        return self.text

    def _limits(self) -> tuple[int, int | None]:
        """Returns min_count and max_vocabulary."""
        return (
            MIN_COUNT[self.level] if self.min_count is None else self.min_count,
            MAX_VOCABULARY[self.level] if self.max_vocabulary is None else self.max_vocabulary,
        )

    def describe(self) -> str:
        """Returns one line on the text, its units and its splits."""
        text = self.read()
        known = len(text.codec.vocabulary) - len(Vocabulary.MARKERS)
        sizes = ", ".join(f"{name} {text.splits[name].characters:,}" for name in SPLITS)
        source = self.file or CORPORA[self.corpus]
        line = f"{source}: {known:,} different {text.codec.level}s; characters: {sizes} ({text.how_split})"
        shares = {name: text.splits[name].unknown / max(1, text.splits[name].units) for name in SPLITS}
        unknown = ", ".join(f"{name} {share:.2%}" for name, share in shares.items() if share)
        return line + (f"; unknown {text.codec.level}s: {unknown}" if unknown else "")

    @property
    def codec(self) -> TextCodec:
        """The units of the text and their ids."""
        return self.read().codec

    @property
    def test_split(self) -> str:
        """The split that is scored at the end: test, or val where there is no text for it."""
        return "test" if self.read().splits["test"].units else "val"

    def training_codec(self) -> TextCodec:
        """Returns the units to train with; InputError where the text is too short for that."""
        text = self.read()
        tokens = text.splits["train"].tokens
        if tokens <= self.sequence_length:
            raise InputError(
                f"{self.file}: {max(0, tokens - 1):,} {text.codec.level}s to train on do not fill one window "
                f"of {self.sequence_length}; give more text or a shorter --data.sequence_length"
            )
        if not text.splits["val"].units:
            raise InputError(f"{self.file}: is too short to hold out a part for validation; give more text")
        if len(text.codec.vocabulary) == len(Vocabulary.MARKERS):
            raise InputError(
                f"{self.file}: no {text.codec.level} of the training text occurs "
                f"{self._limits()[0]:,} times; give a smaller --data.min_count, or more text"
            )
        return text.codec

    def setup(self, stage: str) -> None:
        """Reads the text to train on; to evaluate, the model says in which units."""
        if stage == "fit":
            self.training_codec()

    def tokens(self, split: str) -> np.ndarray:
        """Returns the ids of a split in the order in which they are read, every document after a <bos>."""
        tokens = self.read().tokens(split)
        # what ends with the first <bos> begins with it
        return np.roll(tokens[::-1], 1) if self.backward else tokens

    # ---- what a score is set beside

    def characters_of(self, split: str) -> int:
        """Returns the number of characters of a split, line ends as one."""
        return self.read().splits[split].characters

    def unknown_bits(self, split: str) -> float:
        """Returns what spelling the unknown units of a split costs: bits to add to those of its tokens."""
        return self.read().splits[split].unknown_bits

    def beginning(self, split: str, characters: int = 20_000) -> str:
        """Returns the first characters of a split as they stand in the files."""
        return self.read().beginning(split, characters)

    def baselines(self, split: str = "val") -> dict[str, float]:
        """Returns bits per character of the unigram and the 5-gram model on a split, at the same level.

        Both are counted in the training split (its last ten million tokens, if it has more). They pay for
        unknown units as a language model does.
        """
        held_out = self.tokens(split)
        figures = {}
        for name, order in (("unigram", 1), ("5-gram", 5)):
            nats = self.ngram_model(order).total_bits(held_out) * math.log(2)
            figures[name] = bits_per_character(nats, self.characters_of(split), self.unknown_bits(split))
        return figures

    def ngram_model(self, order: int) -> NGramModel:
        """Returns the n-gram model of this order, counted in the training split."""
        codec = self.read().codec
        train = np.asarray(self.tokens("train")[-BASELINE_TOKENS:])
        if train[0] != Vocabulary.BOS:
            train = np.concatenate([np.array([Vocabulary.BOS], train.dtype), train])
        impossible = [Vocabulary.PAD, Vocabulary.BOS, Vocabulary.EOS]
        if codec.level == "byte":
            impossible.append(Vocabulary.UNK)
        return NGramModel(order, len(codec.vocabulary), impossible).fit(train)

    # ---- batches

    def train_dataloader(self) -> TrainingStreams:
        assert self.trainer is not None
        return TrainingStreams(
            self.tokens("train"),
            self.batch_size,
            self.sequence_length,
            seed=self.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            place=place_in(self.trainer),
        )

    def _held_out(self, split: str) -> HeldOutStreams:
        assert self.trainer is not None
        if not self.read().splits[split].units:
            raise InputError(f"{self.file}: there is no text in the {split} split")
        return HeldOutStreams(
            self.tokens(split),
            self.eval_batch_size,
            self.sequence_length,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )

    def val_dataloader(self) -> HeldOutStreams:
        return self._held_out("val")

    def test_dataloader(self) -> HeldOutStreams:
        return self._held_out(self.test_split)
