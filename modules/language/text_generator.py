"""Learns to write like a text, and writes: a language model in four lines of Python.

from modules import TextGenerator
t = TextGenerator()
t.train_from_file("x.txt")
t.generate()
"""

from __future__ import annotations

import logging
import math
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import DataLoader

from modules.checkpoints import write_checkpoint
from modules.decoders.language import LanguageDecoderOptions
from modules.decoding import DecodingOptions
from modules.errors import InputError, check_at_least, check_choice, first_five
from modules.language.batch import TextBatch
from modules.language.continuation import read_prompt, written_texts
from modules.language.language_model import LanguageModel
from modules.language.options import LanguageTrainingOptions
from modules.recurrent import CellName
from modules.text_codec import Level, TextCodec, normalised
from modules.vocabulary import Vocabulary

SEQUENCE_LENGTH = 64  # units that gradients go back
BATCHES = 50  # wanted in an epoch: a short text is read in fewer streams at a time
MOST_STREAMS = 64
SPEAKS_EVERY = 30.0  # seconds, where there is no terminal for a bar


class TextGenerator:
    """A recurrent language model that is trained on one text, kept in memory.

    A text is written from left to right, so no network here is bidirectional: it would have to know the end.

    >>> from modules import TextGenerator
    >>> generator = TextGenerator(layers=1, hidden_size=32)
    >>> generator.train_from_text("tick tock " * 100, epochs=8)  # doctest: +ELLIPSIS
    epoch 1/8  ...
    >>> generator.texts(prompt="tick ", length=15, temperature=0.0)
    ['tick tock tick tock ']

    Args:
        level: What a unit is: character, word or byte.
        cell: lstm, gru, rnn (vanilla), jordan or gru_reset_before (the lecture's form of the GRU).
        layers: Recurrent layers.
        hidden_size: Width of the hidden state.
        embedding_size: Width of a unit's vector.
        dropout: Probability of dropping an element of a vector in training; more for short texts.
        learning_rate: Largest learning rate.
        seed: Of initial weights and dropout.
    """

    def __init__(
        self,
        level: Level = "character",
        *,
        cell: CellName = "lstm",
        layers: int = 2,
        hidden_size: int = 256,
        embedding_size: int = 64,
        dropout: float = 0.1,
        learning_rate: float = 1e-2,
        seed: int = 0,
    ) -> None:
        check_choice(get_args(Level), level=level)
        check_choice(get_args(CellName), cell=cell)
        self.level = level
        self.model = LanguageModel(
            LanguageDecoderOptions(
                cell=cell,
                layers=layers,
                hidden_size=hidden_size,
                embedding_size=embedding_size,
                dropout=dropout,
                connection="residual",  # learns sooner
            ),
            LanguageTrainingOptions(learning_rate=learning_rate, warmup_steps=20, seed=seed),
        )

    # ---- training

    def train_from_file(self, path: Path | str, epochs: int = 10) -> None:
        """Trains on a UTF-8 text file; another call goes on from what was learnt.

        Raises:
            InputError: The file is absent, no UTF-8 text, or too short.
        """
        path = Path(path)
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; name a text file") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
        self.train_from_text(text, epochs, name=str(path))

    def train_from_text(self, text: str, epochs: int = 10, name: str = "the text") -> None:
        """Trains on a text; another call goes on from what was learnt, with the units that are known by then.

        Line ends of all kinds are read as one. Control-C keeps what was learnt so far.

        Args:
            text: What to write like.
            epochs: How often it is read from beginning to end.
            name: What a complaint calls it.

        Raises:
            InputError: The text is too short, no text, mostly unknown to the model, or training diverged.
        """
        check_at_least(1, epochs=epochs)
        text = normalised(text)
        if "\0" in text:
            raise InputError(f"{name}: holds a NUL character and is no text; remove it")
        codec = self.model.codec if self.is_trained else TextCodec.build(self.level, [text])
        encoder = codec.stream_encoder()
        # as every document of a longer text begins
        tokens = torch.tensor([Vocabulary.BOS, *encoder.push(text).tolist(), *encoder.flush().tolist()])
        if len(tokens) <= 2 * SEQUENCE_LENGTH:
            raise InputError(
                f"{name}: {len(tokens) - 1} {self.level}s; training needs at least {2 * SEQUENCE_LENGTH}"
            )
        if encoder.unknown:
            self._tell_unknown(encoder.unknown, len(tokens) - 1, name)
        self.model.use_codec(codec)
        with warnings.catch_warnings(), _quiet_lightning():
            warnings.simplefilter("ignore")
            trainer = pl.Trainer(
                max_epochs=epochs,
                devices=1,
                gradient_clip_val=1.0,
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=False,
                callbacks=[_EpochLines(self.level)],
            )
            self.model.divergence = None
            self.model.train()  # Lightning leaves it in the mode that writing needs
            listens = signal.getsignal(signal.SIGINT)
            try:
                trainer.fit(self.model, DataLoader(_batches(tokens), batch_size=None))  # type: ignore[arg-type]
            except SIGTERMException:  # has no status, which would be that of success
                raise SystemExit(128 + signal.SIGTERM) from None
            except SystemExit as ended:
                if not isinstance(ended.__context__, KeyboardInterrupt):
                    raise
                # of Control-C: Lightning wants to end the whole program, and is deaf to another one
                signal.signal(signal.SIGINT, listens)
                raise KeyboardInterrupt from None
            finally:
                self.model.eval()
        if self.model.divergence is not None:
            what, rate = self.model.divergence.partition(";")[0], self.model.training_options.learning_rate
            raise InputError(f"{name}: {what}; choose a lower learning_rate than {rate:g}")

    def _tell_unknown(self, unknown: Counter[str], units: int, name: str) -> None:
        """Says which units of a text the model reads as unknown ones; refuses a text of which most are."""
        number = unknown.total()
        if number > units / 2:
            raise InputError(
                f"{name}: {number / units:.0%} of its {self.level}s are unknown to the model; "
                "train a new TextGenerator on it"
            )
        which = first_five(map(repr, unknown))
        are = f"{self.level}s are unknown to the model, which reads them as <unk>"
        _show(f"note: {number:,} of {units:,} {are}: {which}")

    @property
    def is_trained(self) -> bool:
        """Whether there is something to generate from."""
        return hasattr(self.model, "codec")

    # ---- writing

    def texts(
        self,
        n: int = 1,
        prompt: str = "",
        length: int = 500,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[str]:
        """Returns n texts, each the prompt and what the model goes on with.

        Args:
            n: How many.
            prompt: What the texts begin with; without one they begin as a line does.
            length: Units (characters, words, bytes) to write.
            temperature: Logits are divided by it: below 1 sharpens, above 1 flattens, 0 takes the most
                probable.
            top_k: Draw only from the k most probable units; 0 means all.
            top_p: Draw only from the most probable units that together hold this probability.
            seed: Of the random numbers.

        Raises:
            InputError: Nothing was learnt yet, or the prompt has units that the model does not know.
        """
        if not self.is_trained:
            raise InputError("nothing was learnt yet; call train_from_file or load first")
        check_at_least(1, n=n)
        check_at_least(0, length=length, temperature=temperature)
        method: Literal["greedy", "sample"] = "sample" if temperature else "greedy"
        try:
            options = DecodingOptions(
                method, temperature=temperature or 1.0, top_k=top_k, top_p=top_p, seed=seed
            )
        except InputError as error:  # its options stand alone here
            raise InputError(str(error).removeprefix("decoding.")) from None
        prompt = normalised(prompt)
        begun = read_prompt(self.model.codec, prompt, "prompt")
        return [prompt + text for text in written_texts(self.model, begun, options, length, n)]

    def generate(self, n: int = 1, prompt: str = "", length: int = 500, **options: Any) -> None:
        """Prints n texts; takes the arguments of `texts`."""
        for text in self.texts(n, prompt, length, **options):
            _show(text, end="\n\n" if n > 1 else "\n")

    # ---- keeping

    def save(self, path: Path | str) -> None:
        """Writes a checkpoint, which `load` and the command line read; makes its folder.

        Raises:
            InputError: Nothing was learnt yet, or the file cannot be written.
        """
        if not self.is_trained:
            raise InputError("nothing was learnt yet; call train_from_file or load first")
        checkpoint = {"hyper_parameters": dict(self.model.hparams), "state_dict": self.model.state_dict()}
        self.model.on_save_checkpoint(checkpoint)
        try:
            write_checkpoint(Path(path), checkpoint)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None

    @classmethod
    def load(cls, path: Path | str) -> TextGenerator:
        """Returns the generator of a checkpoint, its own or one of `python pipelines/text.py fit`.

        Raises:
            InputError: The file is absent, no checkpoint, damaged, or of another task.
        """
        generator = cls.__new__(cls)
        generator.model = LanguageModel.load_forward(path)
        generator.level = generator.model.codec.level
        return generator


def _show(text: str, end: str = "\n") -> None:
    """Prints a text, with ? for what the encoding of the output lacks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), end=end, flush=True)


def _batches(tokens: Tensor) -> list[TextBatch]:
    """Returns an epoch: the text in parallel streams, which go on from batch to batch."""
    fits = len(tokens) // (BATCHES * SEQUENCE_LENGTH)
    streams = min(MOST_STREAMS, max(1, fits))
    each = (len(tokens) - 1) // streams
    given = tokens[: streams * each].view(streams, each)
    wanted = tokens[1 : streams * each + 1].view(streams, each)
    carried_on = torch.zeros(streams, dtype=torch.bool)
    return [
        TextBatch(given[:, at : at + SEQUENCE_LENGTH], wanted[:, at : at + SEQUENCE_LENGTH], carried_on)
        for at in range(0, each, SEQUENCE_LENGTH)
    ]


class _EpochLines(pl.Callback):
    """Prints the loss of every epoch, in bits a unit; within one a bar, or lines without a terminal."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        console = Console(stderr=True)
        self.bar = Progress(console=console, transient=True, disable=not console.is_terminal)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begun = self.spoken = time.monotonic()
        self.losses: list[Tensor] = []
        self.epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self.task = self.bar.add_task(self.epoch, total=trainer.num_training_batches)
        self.bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(trainer.callback_metrics["train/loss"])
        self.bar.advance(self.task)
        if self.bar.disable and time.monotonic() - self.spoken > SPEAKS_EVERY:
            self.spoken = time.monotonic()
            self._say(f"{self.epoch}  {(batch_idx + 1) / trainer.num_training_batches:.0%}")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.bar.stop()
        self.bar.remove_task(self.task)
        self._say(self.epoch)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self.bar.stop()

    def _say(self, place: str) -> None:
        bits = float(torch.stack(self.losses).mean()) / math.log(2)
        seconds = time.monotonic() - self.begun
        print(f"{place}  {bits:.2f} bits per {self.unit}  {seconds:.0f} s", flush=True)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keeps Lightning's remarks on devices and loaders to itself, inside of this block alone."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
