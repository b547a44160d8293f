"""The language model as a LightningModule: a decoder, the state carried along a text, and its scores.

It knows numbers and a codec, not files: batches come from a DataModule. A checkpoint holds all that going on
with a text needs (weights and codec). It also holds what a resumed fit needs (the state of every stream).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from modules.decoders.fixed_window import FixedWindowDecoder
from modules.decoders.graphed_step import GraphedStep
from modules.decoders.language import LanguageDecoder, LanguageDecoderOptions
from modules.decoding import DecoderState
from modules.errors import InputError
from modules.language.batch import TextBatch
from modules.language.calibration import TemperatureSearch
from modules.language.options import LanguageTrainingOptions
from modules.metrics.language import bits_per_character, perplexity
from modules.recurrent import detach_state
from modules.text_codec import TextCodec
from modules.training import TrainedModule, seeded

DECODERS: dict[str, type[LanguageDecoder] | type[FixedWindowDecoder]] = {
    "recurrent": LanguageDecoder,
    "fixed_window": FixedWindowDecoder,
}
OUTPUT = "decoder.output."  # its weights are divided where logits are


class SplitSize(NamedTuple):
    """What turns nats a unit into bits a character.

    Attributes:
        units: Predicted units of the split.
        characters: Of its text.
        unknown_bits: What spelling its unknown units costs beside their `<unk>`.
    """

    units: int
    characters: int
    unknown_bits: float = 0.0


class LanguageModel(TrainedModule):
    """P(next unit | all before it), trained by truncated backpropagation through time.

    The state after a batch is where the next begins, cut off from its history: memory reaches back as far as
    the text does, gradients as far as the batch.

    Args:
        decoder: The RNN, or the fixed window.
        training: Optimiser, learning rate and its schedule.

    Attributes:
        codec: Text to numbers and back; there once `use_codec` was called, and in every loaded model.
        decoder: What predicts; there together with the codec.
        reads_backward: Whether it reads texts from their end to their beginning.
        sizes: Of the texts that val and test are scored on; without them every unit is one character.
    """

    task = "text"
    training_options: LanguageTrainingOptions
    codec: TextCodec
    decoder: LanguageDecoder | FixedWindowDecoder

    def __init__(
        self,
        decoder: LanguageDecoderOptions = LanguageDecoderOptions(),  # noqa: B008
        training: LanguageTrainingOptions = LanguageTrainingOptions(),  # noqa: B008
    ) -> None:
        super().__init__(decoder=decoder, training=training)
        if training.calibrate and decoder.tied:
            raise InputError(
                "model.training.calibrate divides the weights of the output, which model.decoder.tied shares "
                "with the vectors of units: set one of them to false"
            )
        self.decoder_options = decoder
        self.reads_backward = False
        self.inherited_units = 0  # the first, from the checkpoint that training began with
        self.sizes: dict[str, SplitSize] = {}
        self.carried: DecoderState | None = None  # of the training streams, between two batches
        self.smooth_loss: Tensor | None = None
        self.graphed: GraphedStep | None = None  # in a fit that may use CUDA graphs
        self.evaluated: DecoderState | None = None  # of the streams of a validation or test
        self.nats = self.units = 0.0  # of the same
        self.temperatures: TemperatureSearch | None = None  # while they are tried on a validation
        self.logits_divided_by = 1.0  # at the end of the fit that the checkpoint is of

    # ---- construction and checkpoints

    def use_codec(self, codec: TextCodec) -> None:
        """Builds the decoder for this codec's units; does nothing if it has them already."""
        if hasattr(self, "codec"):
            if self.codec != codec:
                raise InputError(
                    f"the checkpoint's vocabulary ({len(self.codec.vocabulary)} units) is not that of the "
                    f"training text ({len(codec.vocabulary)} units): resume with the data the run began with"
                )
            return
        self.codec = codec
        with seeded(self.training_options.seed):
            self.decoder = DECODERS[self.decoder_options.kind](len(codec.vocabulary), self.decoder_options)

    def use_data(self, data: Any) -> None:
        """Takes the units of the training text, and the direction in which it is read."""
        if hasattr(self, "codec"):
            self._check_direction(data)
        self.reads_backward = data.backward
        self.use_codec(data.training_codec())

    def _check_direction(self, data: Any) -> None:
        if self.reads_backward != data.backward:
            direction, option = ("backwards", "true") if self.reads_backward else ("forwards", "false")
            raise InputError(f"the checkpoint reads texts {direction}; give --data.backward {option}")

    def begin_with(self, checkpoint: dict[str, Any]) -> None:
        """Takes the weights of a checkpoint whose units are the first of this one's; others stay new."""
        super().begin_with(checkpoint)
        self.inherited_units = len(checkpoint["codec"]["words"])

    def setup(self, stage: str) -> None:
        """Asks for the units to train with; to be evaluated, has the data read in its own units."""
        super().setup(stage)
        data: Any = getattr(self.trainer, "datamodule", None)
        if stage != "fit" and data is not None:
            self._check_direction(data)
            data.read(self.codec)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["codec"] = self.codec.to_dict()
        checkpoint["inherited_units"] = self.inherited_units
        checkpoint["reads_backward"] = self.reads_backward
        checkpoint["logits_divided_by"] = self.logits_divided_by
        checkpoint["smooth_loss"] = None if self.smooth_loss is None else self.smooth_loss.cpu()
        checkpoint["carried"] = self.streams_of_all(() if self.carried is None else self.carried.recurrent)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.use_codec(TextCodec.from_dict(checkpoint["codec"]))
        self.inherited_units = checkpoint.get("inherited_units", 0)
        self.reads_backward = checkpoint.get("reads_backward", False)
        self.smooth_loss = checkpoint["smooth_loss"]
        carried = self.own_streams(checkpoint["carried"])
        self.carried = DecoderState((), carried) if carried else None
        # training goes on with the weights that were learnt
        weights, factor = checkpoint["state_dict"], checkpoint.pop("logits_divided_by", 1.0)
        scaled = {name: value * factor for name, value in weights.items() if name.startswith(OUTPUT)}
        checkpoint["state_dict"] = weights | scaled

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Takes the units, the direction and what the logits were divided by."""
        self.reads_backward = checkpoint.get("reads_backward", False)
        self.logits_divided_by = checkpoint.get("logits_divided_by", 1.0)
        self.use_codec(TextCodec.from_dict(checkpoint["codec"]))

    @classmethod
    def load_forward(cls, path: Path | str) -> LanguageModel:
        """Returns the model of a checkpoint as `load` does; InputError where it reads texts backwards."""
        model = cls.load(path)
        if model.reads_backward:
            raise InputError(f"{path}: reads texts from their end to their beginning; only correct uses it")
        return model

    # ---- training

    def continued(self, state: DecoderState | None, batch: TextBatch, first: bool) -> DecoderState:
        """Returns the state before a batch: that after the one before, zeros where a stream begins anew."""
        rows = len(batch.tokens)
        if first or state is None or len(state.recurrent[0]) != rows:
            return self.decoder.init_state(rows)
        begins = batch.resets.unsqueeze(1)  # (B, 1)
        kept = tuple(tensor.to(begins.device).masked_fill(begins, 0) for tensor in state.recurrent)
        return DecoderState((), kept)

    def losses(
        self, batch: TextBatch, state: DecoderState
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""], DecoderState]:
        """Returns -log p of all targets (nats), their number, and the state after the batch, detached."""
        return self._read(batch, state)[1:]

    def _read(
        self, batch: TextBatch, state: DecoderState
    ) -> tuple[Float[Tensor, "B T H"], Float[Tensor, ""], Float[Tensor, ""], DecoderState]:
        """Returns what the logits are computed from, and the `losses`."""
        h, state = self.decoder.read(batch.tokens, state)
        # what can have no probability (an unknown unit, where the decoder has none for it) is left out
        nats, units = self.decoder.output.nats(h, batch.targets)
        return h, nats, units, DecoderState((), detach_state(state.recurrent))

    def on_train_start(self) -> None:
        self.graphed = GraphedStep.for_training(self) if self.training_options.cuda_graphs else None

    def on_train_end(self) -> None:
        self.graphed = None  # a graph keeps its memory

    def training_step(self, batch: TextBatch, batch_idx: int) -> Tensor:
        before = self.continued(self.carried, batch, batch_idx == 0)
        step = self.losses if self.graphed is None else self._graphed_losses
        nats, units, self.carried = step(batch, before)
        rows = units.new_tensor(len(batch.tokens))
        total, all_units, all_rows = self.reduce_sum(torch.stack([nats.detach(), units, rows]))
        self.log("train/loss", total / all_units, prog_bar=True, batch_size=len(batch.tokens))
        if self.training_options.reduction == "sum":
            self._smooth(total / all_rows, batch.tokens.shape[1])
            return nats * self.world_size / all_rows
        # DDP averages gradients, hence the factor
        return nats * self.world_size / all_units

    def _graphed_losses(self, batch: TextBatch, state: DecoderState) -> tuple[Tensor, Tensor, DecoderState]:
        """Returns `losses`, which a CUDA graph may compute."""
        assert self.graphed is not None

        def step(*given: Tensor) -> tuple[Tensor, ...]:
            before = DecoderState((), given[len(batch) :])
            nats, units, after = self.losses(type(batch)(*given[: len(batch)]), before)
            return nats, units, *after.recurrent

        nats, units, *after = self.graphed(self, "losses", step, (*batch, *state.recurrent))
        return nats, units, DecoderState((), tuple(after))

    def _smooth(self, loss: Tensor, steps: int) -> None:
        """Logs min-char-rnn's smoothed loss, which starts where every unit is equally probable."""
        if self.smooth_loss is None:
            self.smooth_loss = math.log(self.decoder.output.possible) * steps * torch.ones_like(loss)
        self.smooth_loss = 0.999 * self.smooth_loss.to(loss) + 0.001 * loss
        self.log("train/smooth_loss", self.smooth_loss, prog_bar=True)

    def parameter_rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """Returns the decoder with its learning rate."""
        return [(self.decoder.parameters(), self.training_options.learning_rate)]

    def build_optimizer(self) -> torch.optim.Optimizer:
        """Returns AdamW, or Adagrad as min-char-rnn writes it."""
        if self.training_options.optimizer == "adamw":
            return super().build_optimizer()
        # sum = 1e-8 + g^2 + ..., step = g / sqrt(sum): PyTorch's own epsilon stands outside of the root
        return torch.optim.Adagrad(
            [p for p in self.decoder.parameters() if p.requires_grad],
            self.training_options.learning_rate,
            initial_accumulator_value=1e-8,
            eps=0.0,
            fused=self.device.type == "cpu",  # there is no such kernel for other devices
        )

    def configure_gradient_clipping(self, *args: Any, **kwargs: Any) -> None:
        """Clips by norm or by value; names what a diverging ReLU needs."""
        super().configure_gradient_clipping(*args, **kwargs)
        options = self.decoder_options
        if self.divergence and options.activation == "relu" and not options.layer_norm:
            self.divergence += "; relu needs --model.decoder.layer_norm true"

    # ---- evaluation

    def evaluate(self, batch: TextBatch, batch_idx: int) -> None:
        if batch_idx == 0:
            self.nats = self.units = 0.0
        before = self.continued(self.evaluated, batch, batch_idx == 0)
        h, nats, units, self.evaluated = self._read(batch, before)
        if self.temperatures is not None:
            self.temperatures.add(h, batch.targets)
        self.nats += nats.item()
        self.units += units.item()

    def conclude_evaluation(self, stage: str) -> None:
        """Logs what the sums of all processes come to under `stage/`."""
        # float32 would miscount a text of more than 16,777,216 units
        parts = self.of_all_processes((self.nats, self.units))
        self.nats, self.units = (sum(values) for values in zip(*parts, strict=True))
        if self.temperatures is not None:
            each = self.of_all_processes(self.temperatures.nats)
            self.temperatures.nats = torch.stack(each).sum(0)
        self.evaluated = None
        loss = self.nats / self.units if self.units else math.nan  # nothing was scored: no number
        # a part of a split is scored as if the rest were like it
        size = self.sizes.get(stage) or SplitSize(int(self.units), int(self.units))
        scores = {
            "loss": loss,
            "perplexity": perplexity(self.nats, int(self.units)),
            "bits_per_char": bits_per_character(loss * size.units, size.characters, size.unknown_bits),
        }
        self.log_scores(stage, scores, "bits_per_char")
