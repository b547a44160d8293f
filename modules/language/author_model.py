"""Who wrote a text: one recurrent trunk that all authors share, and an output layer for each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from modules.decoders.language import LanguageDecoderOptions
from modules.decoding import DecoderState
from modules.errors import InputError, check_ranges
from modules.language.batch import AuthorBatch, LabelledBatch
from modules.language.language_model import LanguageModel
from modules.language.options import LanguageTrainingOptions
from modules.language.surprise import CHUNK, opening
from modules.metrics.authorship import Calibration, calibrate
from modules.metrics.classification import accuracy, confusion_matrix, macro_f1
from modules.recurrent import detach_state
from modules.text_codec import TextCodec
from modules.training import TrainedModule
from modules.vocabulary import Vocabulary

SHARES = (0.25, 0.5, 1.0)  # of a passage, which the calibration sees


@dataclass
class HeadOptions:
    """What is an author's own.

    Args:
        learning_rate: Largest learning rate of the authors' output layers.
    """

    learning_rate: float = 5e-3

    def __post_init__(self) -> None:
        check_ranges(self, "model.heads", positive=("learning_rate",))


class AuthorModel(LanguageModel):
    """P(next character | all before it, author), with recurrent layers that all authors share.

        h_t = RNN(e_t, h_{t-1});  y_t^a = softmax((U + U_a) h_t + b + b_a)

    After Bagnall (2015), *Author identification using multi-headed recurrent neural networks*, section 3.
    There heads have nothing in common; here U is trained on all, and U_a, from 0, on the author's texts.

    Args:
        decoder: The trunk, and U.
        heads: The authors' own layers.
        training: Optimiser, learning rate of the trunk and its schedule.

    Attributes:
        authors: Their names; there once `use_authors` was called, and in every loaded model.
        calibration: What turns bits per character into probabilities of the authors.
        lengths: Characters of each passage that was evaluated last (passages,).
        bits: Bits per character that each author's head gave it (passages, K).
        labels: Number of its author (passages,).
    """

    task = "author"
    authors: list[str]

    def __init__(
        self,
        decoder: LanguageDecoderOptions = LanguageDecoderOptions(),  # noqa: B008
        heads: HeadOptions = HeadOptions(),  # noqa: B008
        training: LanguageTrainingOptions = LanguageTrainingOptions(),  # noqa: B008
    ) -> None:
        super().__init__(decoder, training)
        if training.calibrate:
            raise InputError("model.training.calibrate is for language models; authors are calibrated anyway")
        self.save_hyperparameters({"heads": asdict(heads)})
        self.head_options = heads
        self.calibration = Calibration()
        self.rows: list[tuple[int, list[int], list[list[float]]]] = []

    # ---- construction and checkpoints

    def use_authors(self, codec: TextCodec, authors: Sequence[str]) -> None:
        """Builds the network for these characters and authors; InputError where it was built for others."""
        if hasattr(self, "authors"):
            if (self.codec, self.authors) != (codec, list(authors)):
                raise InputError(
                    "the checkpoint's characters or authors are not those of the training texts: resume with "
                    "the data the run began with"
                )
            return
        self.use_codec(codec)
        self.authors = list(authors)
        size, width = self.decoder.output.weight.shape
        self.head_weight = nn.Parameter(torch.zeros(len(authors), size, width))  # (K, V, H)
        self.head_bias = nn.Parameter(torch.zeros(len(authors), 1, size))  # (K, 1, V)

    def use_data(self, data: Any) -> None:
        """Takes characters and authors of the training texts."""
        self.use_authors(data.training_codec(), data.names)

    def setup(self, stage: str) -> None:
        """Asks for characters and authors to train with."""
        TrainedModule.setup(self, stage)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["authors"] = self.authors
        checkpoint["calibration"] = list(self.calibration)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.restore(checkpoint)
        super().on_load_checkpoint(checkpoint)

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Takes characters, authors and calibration."""
        self.use_authors(TextCodec.from_dict(checkpoint["codec"]), checkpoint["authors"])
        self.calibration = Calibration(*checkpoint["calibration"])

    # ---- training

    def losses(  # type: ignore[override]  # the streams have authors
        self, batch: AuthorBatch, state: DecoderState
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""], DecoderState]:
        """Returns -log p of all targets by the heads of their authors, their number, and the state after."""
        h, state = self.decoder.read(batch.tokens, state)  # (B, T, H)
        output = self.decoder.output
        weight = output.weight + self.head_weight[batch.authors]  # (B, V, H)
        bias = output.bias + self.head_bias[batch.authors]  # (B, 1, V)
        logits = torch.baddbmm(bias.to(h.dtype), h, weight.transpose(1, 2).to(h.dtype))  # (B, T, V)
        logits = logits.float().masked_fill(output.never, -torch.inf)
        scored = batch.targets.masked_fill(_unscored(batch.targets), Vocabulary.PAD)
        nats = F.cross_entropy(
            logits.flatten(0, 1), scored.flatten(), ignore_index=Vocabulary.PAD, reduction="sum"
        )
        return nats, (scored != Vocabulary.PAD).sum().float(), DecoderState((), detach_state(state.recurrent))

    def parameter_rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """Returns trunk and heads, each with its learning rate."""
        heads = [self.head_weight, self.head_bias]
        return [*super().parameter_rates(), (heads, self.head_options.learning_rate)]

    # ---- what every author's head says

    @torch.inference_mode()
    def read(
        self, tokens: Int[Tensor, "B read"], state: DecoderState | None = None
    ) -> tuple[Float[Tensor, "B T K"], DecoderState]:
        """Returns -log2 p of every character after the first by each head, 0 for unknown ones; and the state.

        Args:
            tokens: Ids; the first of each row is read and not scored.
            state: Before the first.
        """
        before = self.decoder.init_state(len(tokens)) if state is None else state
        h, after = self.decoder.read(tokens[:, :-1], before)
        output, targets = self.decoder.output, tokens[:, 1:]
        found = []
        for weight, bias in zip(self.head_weight, self.head_bias, strict=True):
            logits = F.linear(h, output.weight + weight, output.bias + bias[0]).float()
            log_probs = logits.masked_fill(output.never, -torch.inf).log_softmax(-1)
            of_targets = log_probs.gather(2, targets.unsqueeze(2)).squeeze(2)
            found.append(of_targets.masked_fill(_unscored(targets), 0.0) / -math.log(2))
        return torch.stack(found, dim=2), after

    def bits_of(self, text: str) -> tuple[Float[np.ndarray, " K"], int]:
        """Returns the bits per character of each author's head, and the characters that were scored.

        Args:
            text: Normalised. Characters that no training text has are read and not scored.
        """
        ids = [opening(self.codec), *self.codec.encode(text)]
        total, state = np.zeros(len(self.authors)), None
        for at in range(0, len(ids) - 1, CHUNK):
            bits, state = self.read(torch.tensor([ids[at : at + CHUNK + 1]], device=self.device), state)
            total += bits.double().sum((0, 1)).cpu().numpy()
        scored = sum(id != Vocabulary.UNK for id in ids[1:])
        return total / max(1, scored), scored

    # ---- evaluation

    def begin_evaluation(self) -> None:
        self.rows = []

    def evaluate(self, batch: LabelledBatch, batch_idx: int) -> None:  # type: ignore[override]
        bits, _ = self.read(batch.tokens)
        targets = batch.tokens[:, 1:]
        known = (~_unscored(targets)).cumsum(1).cpu()  # (B, T)
        sums = bits.double().cumsum(1).cpu()  # (B, T, K)
        for row, (length, label) in enumerate(
            zip(batch.lengths.tolist(), batch.labels.tolist(), strict=True)
        ):
            ends = [max(1, int(share * (length - 1))) - 1 for share in SHARES]
            counts = [max(1, int(known[row, end])) for end in ends]
            means = [(sums[row, end] / count).tolist() for end, count in zip(ends, counts, strict=True)]
            self.rows.append((label, counts, means))

    def conclude_evaluation(self, stage: str) -> None:
        """Logs scores of all processes' passages under `stage/`; those of validation calibrate."""
        rows = [row for part in self.of_all_processes(self.rows) for row in part]
        if not rows:
            return
        self.labels = np.array([label for label, _, _ in rows])
        lengths = np.array([counts for _, counts, _ in rows])  # (passages, shares)
        bits = np.array([means for _, _, means in rows])  # (passages, shares, K)
        if stage == "val":
            labels = np.repeat(self.labels, len(SHARES))
            self.calibration = calibrate(bits.reshape(-1, bits.shape[2]), lengths.ravel(), labels)
        self.lengths, self.bits = lengths[:, -1], bits[:, -1]
        confusion = self.confusion
        own = np.take_along_axis(self.bits, self.labels[:, None], 1)[:, 0]
        mean = float((own * self.lengths).sum() / self.lengths.sum())
        scores = {
            "bits_per_char": mean,
            "loss": mean * math.log(2),
            "accuracy": accuracy(confusion),
            "macro_f1": float(macro_f1(confusion)),
        }
        self.log_scores(stage, scores, "accuracy")

    @property
    def confusion(self) -> Int[np.ndarray, "K K"]:
        """Author by author said, of the passages that were evaluated last."""
        return confusion_matrix(self.labels.tolist(), self.bits.argmin(1).tolist(), len(self.authors))


def _unscored(targets: Tensor) -> Tensor:
    """Padding, and characters that no training text has: heads know nothing of them, and differ by chance."""
    return (targets == Vocabulary.PAD) | (targets == Vocabulary.UNK) | (targets == Vocabulary.BOS)
