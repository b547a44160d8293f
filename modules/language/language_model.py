"""The language model as a LightningModule: a decoder, the state carried along a text, and its scores.

It knows numbers and a codec, not files: batches come from a DataModule. A checkpoint holds all that going on
with a text needs (weights and codec). It also holds what a resumed fit needs (the state of every stream).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from modules.checkpoints import read_checkpoint
from modules.decoders.fixed_window import FixedWindowDecoder
from modules.decoders.language import LanguageDecoder, LanguageDecoderOptions
from modules.decoding import DecoderState
from modules.errors import InputError, check_ranges
from modules.language.batch import TextBatch
from modules.metrics.language import bits_per_character, perplexity
from modules.recurrent import detach_state
from modules.text_codec import TextCodec
from modules.training import ClippedModule, TrainingOptions, learning_rate_factor, parameter_groups

DECODERS: dict[str, type[LanguageDecoder] | type[FixedWindowDecoder]] = {
    "recurrent": LanguageDecoder,
    "fixed_window": FixedWindowDecoder,
}


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


@dataclass
class LanguageTrainingOptions:
    """How the weights are found.

    Args:
        optimizer: adamw, or adagrad as the lecture's listing has it (its epsilon inside the square root).
        learning_rate: Largest learning rate.
        weight_decay: Decoupled weight decay of matrices (adamw); vectors have none.
        warmup_steps: Steps in which the learning rate grows from 0.
        schedule: cosine falls to 1 % at the last step, constant stays.
        reduction: The loss of a step is the mean over all units, or their sum over the time steps of a
            stream, as min-char-rnn has it.
        seed: Of initial weights and, with the step number, of dropout, in a resumed run too.
    """

    chosen_by: ClassVar[str] = "optimizer"
    read_by: ClassVar[dict[str, tuple[str, ...]]] = {"weight_decay": ("adamw",)}

    optimizer: Literal["adamw", "adagrad"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    warmup_steps: int = 100
    schedule: Literal["cosine", "constant"] = "cosine"
    reduction: Literal["mean", "sum"] = "mean"
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "model.training",
            positive=("learning_rate",),
            not_negative=("weight_decay", "warmup_steps", "seed"),
        )


class LanguageModel(ClippedModule):
    """P(next unit | all before it), trained by truncated backpropagation through time.

    The state after a batch is where the next begins, cut off from its history: memory reaches back as far as
    the text does, gradients as far as the batch.

    Args:
        decoder: The RNN, or the fixed window.
        training: Optimiser, learning rate and its schedule.

    Attributes:
        codec: Text to numbers and back; there once `use_codec` was called, and in every loaded model.
        decoder: What predicts; there together with the codec.
        sizes: Of the texts that val and test are scored on; without them every unit is one character.
    """

    codec: TextCodec
    decoder: LanguageDecoder | FixedWindowDecoder

    def __init__(
        self,
        decoder: LanguageDecoderOptions = LanguageDecoderOptions(),  # noqa: B008
        training: LanguageTrainingOptions = LanguageTrainingOptions(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.decoder_options, self.training_options = decoder, training
        # a checkpoint keeps plain dictionaries, so that it loads with weights_only
        self.save_hyperparameters({"decoder": asdict(decoder), "training": asdict(training)})
        self.sizes: dict[str, SplitSize] = {}
        self.carried: DecoderState | None = None  # of the training streams, between two batches
        self.smooth_loss: Tensor | None = None
        self.evaluated: DecoderState | None = None  # of the streams of a validation or test
        self.nats = self.units = 0.0  # of the same

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
        with torch.random.fork_rng():  # the same weights whatever was drawn before
            torch.manual_seed(self.training_options.seed)
            self.decoder = DECODERS[self.decoder_options.kind](len(codec.vocabulary), self.decoder_options)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["task"] = "text"
        checkpoint["codec"] = self.codec.to_dict()
        checkpoint["smooth_loss"] = None if self.smooth_loss is None else self.smooth_loss.cpu()
        checkpoint["carried"] = self._gather_streams()

    def _gather_streams(self) -> list[Tensor]:
        """Returns the state of all processes' streams, in the order of the streams."""
        if self.carried is None:
            return []
        world = self._world_size
        if world == 1:
            return [tensor.cpu() for tensor in self.carried.recurrent]
        streams = []
        for tensor in self.carried.recurrent:
            gathered = self.all_gather(tensor)  # (world, B / world, ...)
            assert isinstance(gathered, Tensor)
            # process r has the streams r, r + world, ...
            streams.append(gathered.transpose(0, 1).flatten(0, 1).cpu())
        return streams

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.use_codec(TextCodec.from_dict(checkpoint["codec"]))
        self.smooth_loss = checkpoint["smooth_loss"]
        rank = self._trainer.global_rank if self._trainer is not None else 0
        carried = tuple(tensor[rank :: self._world_size] for tensor in checkpoint["carried"])
        self.carried = DecoderState((), carried) if carried else None

    @classmethod
    def load(cls, path: Path | str) -> LanguageModel:
        """Returns the model of a checkpoint, on the CPU, in evaluation mode.

        Raises:
            InputError: the file is absent, no checkpoint, damaged, or of another task.
        """
        checkpoint = read_checkpoint(path, "text")
        try:
            options = checkpoint["hyper_parameters"]
            model = cls(
                LanguageDecoderOptions(**options["decoder"]), LanguageTrainingOptions(**options["training"])
            )
            model.use_codec(TextCodec.from_dict(checkpoint["codec"]))
            model.load_state_dict(checkpoint["state_dict"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: a damaged checkpoint, or one of another version: {reason}") from error
        return model.eval()

    # ---- training

    @property
    def _world_size(self) -> int:
        return self._trainer.world_size if self._trainer is not None else 1

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
        h, state = self.decoder.read(batch.tokens, state)
        # what can have no probability (an unknown unit, where the decoder has none for it) is left out
        nats, units = self.decoder.output.nats(h, batch.targets)
        return nats, units, DecoderState((), detach_state(state.recurrent))

    def on_train_batch_start(self, batch: TextBatch, batch_idx: int) -> None:
        # every step's dropout depends on its number alone, not on what ran before it in this process
        seed = self.training_options.seed * 1_000_003 + self.global_step
        torch.manual_seed(seed * 1009 + self.global_rank)

    def training_step(self, batch: TextBatch, batch_idx: int) -> Tensor:
        nats, units, self.carried = self.losses(batch, self.continued(self.carried, batch, batch_idx == 0))
        rows = units.new_tensor(len(batch.tokens))
        total, all_units, all_rows = self.reduce_sum(torch.stack([nats.detach(), units, rows]))
        self.log("train/loss", total / all_units, prog_bar=True, batch_size=len(batch.tokens))
        if self.training_options.reduction == "sum":
            self._smooth(total / all_rows, batch.tokens.shape[1])
            return nats * self._world_size / all_rows
        # DDP averages gradients, hence the factor
        return nats * self._world_size / all_units

    def _smooth(self, loss: Tensor, steps: int) -> None:
        """Logs min-char-rnn's smoothed loss, which starts where every unit is equally probable."""
        if self.smooth_loss is None:
            self.smooth_loss = math.log(self.decoder.output.possible) * steps * torch.ones_like(loss)
        self.smooth_loss = 0.999 * self.smooth_loss.to(loss) + 0.001 * loss
        self.log("train/smooth_loss", self.smooth_loss, prog_bar=True)

    def reduce_sum(self, tensor: Tensor) -> Tensor:
        """Returns the sum over all processes."""
        if self._world_size == 1:
            return tensor
        return self.trainer.strategy.reduce(tensor.clone(), reduce_op="sum")

    def build_optimizer(self) -> torch.optim.Optimizer:
        """Returns the optimiser of the decoder's parameters, matrices with weight decay, vectors without."""
        options = self.training_options
        # fused: one pass over the weights where the plain form makes a dozen
        if options.optimizer == "adagrad":
            fused = self.device.type == "cpu"  # there is no such kernel for other devices
            parameters = [p for p in self.decoder.parameters() if p.requires_grad]
            # sum = 1e-8 + g^2 + ..., step = g / sqrt(sum): PyTorch's own epsilon stands outside of the root
            return torch.optim.Adagrad(
                parameters, options.learning_rate, initial_accumulator_value=1e-8, eps=0.0, fused=fused
            )
        groups = parameter_groups([(self.decoder.parameters(), options.learning_rate)], options.weight_decay)
        scaled = self._trainer is not None and self._trainer.precision == "16-mixed"
        return torch.optim.AdamW(groups, fused=not scaled)

    def configure_optimizers(self) -> Any:
        optimizer, options = self.build_optimizer(), self.training_options
        schedule = TrainingOptions(
            learning_rate=options.learning_rate,
            warmup_steps=options.warmup_steps,
            schedule=options.schedule,
        )
        factor = learning_rate_factor(schedule, int(self.trainer.estimated_stepping_batches))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    # ---- evaluation

    def _evaluate(self, batch: TextBatch, batch_idx: int) -> None:
        if batch_idx == 0:
            self.nats = self.units = 0.0
        before = self.continued(self.evaluated, batch, batch_idx == 0)
        nats, units, self.evaluated = self.losses(batch, before)
        self.nats += nats.item()
        self.units += units.item()

    def _conclude(self, stage: str) -> None:
        """Logs what the sums of all processes come to under `stage/`."""
        sums = torch.tensor([self.nats, self.units], device=self.device)
        self.nats, self.units = (float(value) for value in self.reduce_sum(sums))
        self.evaluated = None
        loss = self.nats / max(1.0, self.units)
        # a part of a split is scored as if the rest were like it
        size = self.sizes.get(stage) or SplitSize(int(self.units), int(self.units))
        scores = {
            "loss": loss,
            "perplexity": perplexity(self.nats, int(self.units)),
            "bits_per_char": bits_per_character(loss * size.units, size.characters, size.unknown_bits),
        }
        for name, value in scores.items():
            # every process computed the same value: there is nothing to reduce
            self.log(f"{stage}/{name}", value, prog_bar=name == "bits_per_char", rank_zero_only=False)

    def validation_step(self, batch: TextBatch, batch_idx: int) -> None:
        self._evaluate(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self._conclude("val")

    def test_step(self, batch: TextBatch, batch_idx: int) -> None:
        self._evaluate(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        self._conclude("test")
