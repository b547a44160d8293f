"""A class for a whole text, many to one: a bidirectional recurrent stack and what it has read at its ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from modules.cells import CellName
from modules.errors import InputError, check_ranges
from modules.language.batch import LabelledBatch
from modules.metrics.classification import accuracy, macro_f1
from modules.recurrent import ConnectionName, RecurrentStack
from modules.text_codec import TextCodec, normalised
from modules.training import ScheduleOptions, TrainedModule, seeded
from modules.vocabulary import Vocabulary


@dataclass
class ClassifierOptions:
    """What reads a text and tells its class.

    Args:
        cell: lstm, gru, rnn (vanilla), jordan or gru_reset_before (the lecture's GRU).
        layers: Recurrent layers.
        embedding_size: Width E of a unit's vector.
        hidden_size: Width H of the hidden state, in each direction.
        bidirectional: Read a text from both ends.
        connection: plain, residual, dense or highway, from layer to layer.
        dropout: Probability of dropping an element of a unit's vector, between layers and before the classes.
    """

    cell: CellName = "lstm"
    layers: int = 1
    embedding_size: int = 32
    hidden_size: int = 32
    bidirectional: bool = True
    connection: ConnectionName = "plain"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "model.classifier",
            positive=("layers", "embedding_size", "hidden_size"),
            below_one=("dropout",),
        )


class ManyToOne(nn.Module):
    """`p = softmax(V [h_T of the forward direction; h_1 of the backward one] + b)`.

    The lecture's Keras example, `Embedding(max_features, 32), LSTM(32), Dense`, read from both ends.

    Args:
        units: Number of units, the markers included.
        classes: Number of classes K.
        options: Sizes and kinds.
    """

    def __init__(self, units: int, classes: int, options: ClassifierOptions) -> None:
        super().__init__()
        self.embedding = nn.Embedding(units, options.embedding_size)
        self.stack = RecurrentStack(
            options.cell,
            options.embedding_size,
            options.hidden_size,
            options.layers,
            options.dropout,
            bidirectional=options.bidirectional,
            connection=options.connection,
        )
        self.dropout = nn.Dropout(options.dropout)
        self.readout = nn.Linear(self.stack.output_size, classes)

    def forward(self, tokens: Int[Tensor, "B T"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B K"]:
        """Returns the logits of the classes of each text."""
        _, state = self.stack(self.dropout(self.embedding(tokens)), lengths=lengths)
        return self.readout(self.dropout(self.stack.output(state)))


class Classified(NamedTuple):
    """The most probable class of a text, and its probability."""

    label: str
    probability: float


def text_ids(codec: TextCodec, text: str, max_length: int) -> list[int]:
    """Returns the ids of a text's first units, after a `<bos>`."""
    return [Vocabulary.BOS, *codec.encode(text)[:max_length]]


def padded(texts: Sequence[Sequence[int]], labels: Sequence[int]) -> LabelledBatch:
    """Returns a batch of ids of texts, each after its `<bos>`, and of their classes."""
    lengths = torch.tensor([len(text) for text in texts])
    tokens = np.full((len(texts), int(lengths.max())), Vocabulary.PAD, np.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = text
    return LabelledBatch(torch.from_numpy(tokens), lengths, torch.tensor(labels))


class TextClassifier(TrainedModule):
    """Tells the class of a text.

    Args:
        classifier: The recurrent stack.
        training: Learning rate and its schedule.

    Attributes:
        codec: Text to numbers; there once `use` was called, and in every loaded model, like the next ones.
        classes: Names of the classes.
        max_length: Units of a text that are read, from its beginning.
        confusion: True class by class said (K, K), of what was evaluated last.
    """

    task = "classifier"
    codec: TextCodec
    classes: list[str]
    max_length: int

    def __init__(
        self,
        classifier: ClassifierOptions = ClassifierOptions(),  # noqa: B008
        training: ScheduleOptions = ScheduleOptions(),  # noqa: B008
    ) -> None:
        super().__init__(classifier=classifier, training=training)
        self.options = classifier
        self.confusion = np.zeros((0, 0), np.int64)
        self.nats = 0.0

    # ---- construction and checkpoints

    def use(self, codec: TextCodec, classes: Sequence[str], max_length: int) -> None:
        """Builds the network for these units and classes; InputError where it has been built for others."""
        if hasattr(self, "codec"):
            if (self.codec, self.classes) != (codec, list(classes)):
                raise InputError(
                    "the checkpoint's words or classes are not those of the training texts: resume with the "
                    "data the run began with"
                )
            return
        self.codec, self.classes, self.max_length = codec, list(classes), max_length
        with seeded(self.training_options.seed):
            self.network = ManyToOne(len(codec.vocabulary), len(classes), self.options)

    def use_data(self, data: Any) -> None:
        """Takes units and classes of the training texts."""
        self.use(data.training_codec(), data.classes, data.max_length)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint |= {
            "codec": self.codec.to_dict(),
            "classes": self.classes,
            "max_length": self.max_length,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.restore(checkpoint)

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Takes units and classes."""
        self.use(
            TextCodec.from_dict(checkpoint["codec"]), checkpoint["classes"], int(checkpoint["max_length"])
        )

    # ---- training and evaluation

    def training_step(self, batch: LabelledBatch, batch_idx: int) -> Tensor:
        nats = F.cross_entropy(self.network(batch.tokens, batch.lengths), batch.labels, reduction="sum")
        total, rows = self.reduce_sum(torch.stack([nats.detach(), nats.new_tensor(len(batch.labels))]))
        self.log("train/loss", total / rows, prog_bar=True, batch_size=len(batch.labels))
        # DDP averages gradients, hence the factor
        return nats * self.world_size / rows

    def begin_evaluation(self) -> None:
        self.confusion, self.nats = np.zeros((len(self.classes), len(self.classes)), np.int64), 0.0

    def evaluate(self, batch: LabelledBatch, batch_idx: int) -> None:
        logits = self.network(batch.tokens, batch.lengths).float()
        self.nats += F.cross_entropy(logits, batch.labels, reduction="sum").item()
        np.add.at(self.confusion, (batch.labels.cpu().numpy(), logits.argmax(1).cpu().numpy()), 1)

    def conclude_evaluation(self, stage: str) -> None:
        """Logs macro-F1, accuracy and the loss of all processes' texts under `stage/`."""
        parts = self.of_all_processes((self.confusion, self.nats))
        self.confusion = np.sum([confusion for confusion, _ in parts], axis=0)
        items = int(self.confusion.sum())
        if not items:
            return
        scores = {
            "loss": sum(nats for _, nats in parts) / items,
            "accuracy": accuracy(self.confusion),
            "macro_f1": float(macro_f1(self.confusion)),
        }
        self.log_scores(stage, scores, "macro_f1")

    # ---- use

    def ids(self, text: str) -> list[int]:
        """Returns what is read of a text."""
        return text_ids(self.codec, normalised(text), self.max_length)

    @torch.inference_mode()
    def classify(self, texts: Sequence[str], batch_size: int = 256) -> list[Classified]:
        """Returns the class of each text.

        Args:
            texts: Any number.
            batch_size: Read side by side; the result does not depend on it.
        """
        ids = [self.ids(text) for text in texts]
        # texts of a length side by side, so that little is padded
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        found: dict[int, Classified] = {}
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = padded([ids[at] for at in chosen], [-1] * len(chosen))
            logits = self.network(batch.tokens.to(self.device), batch.lengths)
            probabilities, labels = logits.float().softmax(1).max(1)
            rows = zip(chosen, labels.tolist(), probabilities.tolist(), strict=True)
            found |= {at: Classified(self.classes[label], p) for at, label, p in rows}
        return [found[at] for at in range(len(ids))]
