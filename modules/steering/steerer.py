"""The steering system as a LightningModule: encoder, decoder, carried state, free-running evaluation.

It knows tensors, not files: batches come from a DataModule. A checkpoint holds all that steering by another
camera frame needs (weights, preprocessing, mean and standard deviation of the targets).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from modules.decoders.steering import DECODERS, AutoregressiveDecoder, SteeringDecoderOptions
from modules.encoders.flow import ImageFlow
from modules.errors import InputError
from modules.precision import keep_weights
from modules.recurrent import State, detach_state
from modules.steering.batch import ClipBatch
from modules.steering.encoder import SteeringEncoderOptions, build_encoder
from modules.steering.free_running import DrivesPredicted
from modules.steering.options import SteeringTrainingOptions, squared_error_sums
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.ridge_baseline import RidgeWeights
from modules.steering.units import LIKE_RATES, car_of
from modules.training import TrainedModule, seeded

# columns of the targets angle_rad, torque, speed_mps, throttle that a number of outputs is of; checkpoints of
# one output hold statistics of three
COLUMNS = {1: (0, 1, 2), 2: (0, 3), 3: (0, 1, 2)}


class Steerer(TrainedModule):
    """A CNN reads camera frames, an RNN turns what it read into steering-wheel angles.

    Args:
        frames: What the model sees of a camera frame.
        encoder: The CNN.
        decoder: The RNN.
        training: Loss, learning rates and their schedule.
    """

    task = "steer"
    training_options: SteeringTrainingOptions
    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self,
        frames: FramePreprocessing = FramePreprocessing(),  # noqa: B008
        encoder: SteeringEncoderOptions = SteeringEncoderOptions(),  # noqa: B008
        decoder: SteeringDecoderOptions = SteeringDecoderOptions(),  # noqa: B008
        training: SteeringTrainingOptions = SteeringTrainingOptions(),  # noqa: B008
    ) -> None:
        super().__init__(frames=frames, encoder=encoder, decoder=decoder, training=training)
        self.preprocessing, self.encoder_options, self.decoder_options = frames, encoder, decoder
        with seeded(training.seed):
            self.encoder = build_encoder(encoder, frames)
            self.flow = ImageFlow(encoder.flow, encoder.flow_refinements) if encoder.flow else None
            width = self.encoder.feature_size + (self.flow.feature_size if self.flow else 0)
            self.decoder = DECODERS[decoder.kind](width, decoder)
        if training.pretrain_epochs:
            self.encoder.requires_grad_(False)
        # of the fit, for checkpoints: the drives it learnt from, who recorded them, their frames a second,
        # the factors that bring the angles of several cars to one scale, the ridges beside it
        self.drives: dict[str, Tensor] | None = None
        self.recorder: str | None = None
        self.rate_hz: float | None = None
        self.cars: dict[str, float] = {}
        self.ridges: dict[str, RidgeWeights] = {}
        self.columns = list(COLUMNS[decoder.outputs])
        self.register_buffer("target_mean", torch.zeros(len(self.columns)))
        self.register_buffer("target_std", torch.ones(len(self.columns)))
        # the state after the training batch before, free-running and fed the truth; after the evaluated one
        self.carried: tuple[State, State] | None = None
        self.carried_evaluation: State | None = None
        self.parts: list[DrivesPredicted] = []
        self.evaluation: DrivesPredicted | None = None

    # ---- construction and checkpoints

    @property
    def left_context(self) -> int:
        """Frames before the first one of a stretch that have to be seen."""
        return max(self.encoder.left_context, 1 if self.flow is not None else 0)

    @property
    def feature_context(self) -> int:
        """Frames whose features should come before a stretch that starts afresh amid a drive."""
        return self.decoder_options.window - 1 if self.decoder_options.kind == "window" else 0

    @property
    def has_memory(self) -> bool:
        """Whether an angle follows from earlier frames, too."""
        return self.left_context > 0 or self.decoder.init_state(1) != ()

    @property
    def encoder_is_frozen(self) -> bool:
        """True if no parameter of the encoder is trained: its features may be computed once."""
        return not any(parameter.requires_grad for parameter in self.encoder.parameters())

    def use_target_statistics(self, mean: Float[Tensor, " C"], std: Float[Tensor, " C"]) -> None:
        """Standardises targets by mean and standard deviation of the training data, NaN where it has none."""
        mean, std = mean[self.columns], std[self.columns]
        if self.decoder_options.outputs == 2 and mean[1].isnan():
            raise InputError("model.decoder.outputs is 2, angle and throttle; the data have no throttle")
        self.target_mean.copy_(mean.nan_to_num(0.0))
        self.target_std.copy_(torch.where(std > 1e-6, std, 1.0))
        if isinstance(self.decoder, AutoregressiveDecoder):
            self.decoder.is_known.copy_(mean.isfinite()[: self.decoder_options.outputs])

    def steer_for(self, recorder: str) -> None:
        """Says angles in the unit of one recorder from now on, where the model has learnt from several cars.

        Args:
            recorder: Format of the recording, such as donkeycar. Of an unknown one, or one that it has not
                learnt, it stays with the first of its own.
        """
        factor = self.cars.get(car_of(recorder)) if recorder else None
        if factor is None:
            return
        self.target_mean[0] /= factor
        self.target_std[0] /= factor
        self.recorder, self.cars = recorder, {}

    def unlike_rate(self, rate_hz: float) -> str | None:
        """Returns what to say of frames at another rate than in training; None where it does not matter.

        Args:
            rate_hz: Frames a second.
        """
        if self.rate_hz is None or not self.has_memory:
            return None
        if max(rate_hz, self.rate_hz) <= LIKE_RATES * min(rate_hz, self.rate_hz):
            return None
        rates = f"{rate_hz:.3g} frames a second, {self.rate_hz:.3g} in training"
        return f"{rates}: a model counts frames, not seconds"

    def single_frame_model(self) -> Steerer:
        """Returns the model of the first stage: this encoder, trained to steer from one frame at a time."""
        decoder = SteeringDecoderOptions(kind="frame", dropout=self.training_options.pretrain_dropout)
        rate = self.training_options.pretrain_learning_rate
        training = replace(self.training_options, pretrain_epochs=0, learning_rate=rate)
        single = Steerer(self.preprocessing, replace(self.encoder_options, flow=None), decoder, training)
        single.ridges = self.ridges
        return single

    def adopt(self, trained: Steerer) -> None:
        """Takes over the encoder's weights of a model of the first stage.

        A decoder that has a path from features to output starts with its head, too; others leave it behind.
        """
        self.encoder.load_state_dict(trained.encoder.state_dict())
        if isinstance(self.decoder, AutoregressiveDecoder):
            self.decoder.start_from(trained.decoder.output)

    def setup(self, stage: str) -> None:
        """Asks the data module, whose drives are prepared by now, for the statistics of the targets."""
        keep_weights(str(self.trainer.precision), "a steering model")
        super().setup(stage)
        data: Any = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and data is not None:
            self.use_target_statistics(*data.target_statistics())
            self.drives, self.recorder = data.drives_learnt(self.drives), data.data.table.recorder
            self.cars, self.rate_hz = data.data.cars, data.data.table.rate_hz()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["drives"], checkpoint["recorder"] = self.drives, self.recorder
        checkpoint["cars"], checkpoint["rate_hz"] = self.cars, self.rate_hz
        checkpoint["ridges"] = {name: asdict(ridge) for name, ridge in self.ridges.items()}
        checkpoint["carried"] = [self.streams_of_all(state) for state in self.carried or ()]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes over the drives and streams of the fit that goes on; its own drives join them in `setup`."""
        if self.drives is None:
            self.drives = checkpoint.get("drives")
        if carried := checkpoint.get("carried"):
            free, forced = map(self.own_streams, carried)
            self.carried = free, forced

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Takes over the fit's drives and ridge regressions, which old checkpoints lack."""
        self.drives = checkpoint.get("drives")
        self.recorder, self.cars = checkpoint.get("recorder"), checkpoint.get("cars", {})
        # drawn roads always have 20 frames a second, those of the ready-made model too
        self.rate_hz = checkpoint.get("rate_hz", 20.0 if self.recorder == "road" else None)
        self.ridges = {name: RidgeWeights(**ridge) for name, ridge in checkpoint.get("ridges", {}).items()}

    # ---- training

    def train(self, mode: bool = True) -> Steerer:
        """Switches training mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.encoder_is_frozen:
            self.encoder.eval()
        return self

    def encode(self, frames: Tensor) -> Float[Tensor, "B T D"]:
        """Returns features of RGB bytes (B, S, 3, H, W), or the given ones (B, S, D) in this precision."""
        if frames.dtype != torch.uint8:
            return frames.float()
        seen = frames[:, self.left_context - self.encoder.left_context :]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.encoder_is_frozen):
            features = self.encoder(self.preprocessing.recolour(seen))
        if self.flow is None:
            return features
        return torch.cat([features, self.flow(frames[:, self.left_context - 1 :])], dim=-1)  # (B, T, D + K)

    def start(self, resets: Bool[Tensor, " B"], carried: State | None) -> State:
        """Returns the state before a batch: the initial one where a stretch begins, else the carried one."""
        initial = self.decoder.init_state(len(resets))
        if carried is None or any(len(tensor) != len(resets) for tensor in carried):
            return initial
        begins = [resets.view(-1, *[1] * (tensor.dim() - 1)) for tensor in initial]
        return tuple(
            torch.where(begin, fresh, old.to(fresh.device))  # from a checkpoint it is on the CPU
            for begin, fresh, old in zip(begins, initial, carried, strict=True)
        )

    def errors(self, batch: ClipBatch) -> list[tuple[Tensor, Tensor]]:
        """Returns sums and counts (O,) of squared errors: free-running, and fed the truth if it can be.

        The state goes on from the batch before. Where a batch brings more context than the encoder needs, its
        stretches start afresh instead, and the context warms the decoder up.
        """
        features = self.encode(batch.frames)
        steps, outputs = batch.targets.shape[1], self.decoder_options.outputs
        targets = batch.targets[..., self.columns]
        targets = ((targets - self.target_mean) / self.target_std)[..., :outputs]
        warm_up = features.shape[1] - steps
        free, forced = self.carried if self.carried is not None and not warm_up else (None, None)
        predicted, free = self.decoder(features, self.start(batch.resets, free))
        results = [squared_error_sums(predicted[:, warm_up:], targets, batch.valid)]
        if isinstance(self.decoder, AutoregressiveDecoder):
            before = targets.new_full((len(targets), warm_up, outputs), torch.nan)
            given = torch.cat([before, targets], dim=1)
            predicted, forced = self.decoder(features, self.start(batch.resets, forced), given)
            results.append(squared_error_sums(predicted[:, warm_up:], targets, batch.valid))
        self.carried = None if warm_up else (detach_state(free), detach_state(forced or ()))
        return results

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        if batch_idx == 0:  # of an epoch: a fit that goes on amid one has its streams from its checkpoint
            self.carried = None
        (free, free_count), *forced = self.errors(batch)
        weight = self.training_options.auxiliary_weight
        # MSE(free-running angle) + 0.1 (MSE(free-running, all outputs) + MSE(fed the truth, all outputs))
        terms = [(1.0, free[0], free_count[0])]
        if len(free) > 1:
            terms.append((weight, free.sum(), free_count.sum()))
        terms += [(weight, errors.sum(), count.sum()) for errors, count in forced]
        local = torch.stack([torch.stack([errors, count]) for _, errors, count in terms])  # (terms, 2)
        everywhere = self.reduce_sum(local.detach())
        counts = everywhere[:, 1].clamp(min=1)
        weights = local.new_tensor([w for w, _, _ in terms])
        self.log("train/loss", weights @ (everywhere[:, 0] / counts), prog_bar=True, batch_size=1)
        # DDP averages gradients over processes, hence the factor
        return weights @ (local[:, 0] / counts) * self.trainer.world_size

    def parameter_rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """Returns decoder and encoder, as far as they are trained, with their learning rates."""
        options = self.training_options
        encoder = [parameter for parameter in self.encoder.parameters() if parameter.requires_grad]
        rate = options.encoder_learning_rate or options.learning_rate
        return [(self.decoder.parameters(), options.learning_rate), (encoder, rate)]

    # ---- free-running evaluation

    def drive(self, frames: Tensor, state: State) -> tuple[Float[Tensor, "B T O"], State]:
        """Returns outputs in their units, free-running, and the state after the last frame.

        Args:
            frames: RGB bytes (B, left_context + T, 3, H, W), or features (B, T, D).
            state: After the frame before.
        """
        # in float32 whatever the trainer's precision, so that evaluation and prediction say the same
        with torch.no_grad(), torch.autocast(frames.device.type, enabled=False):
            outputs, state = self.decoder(self.encode(frames), state)
        many = outputs.shape[-1]
        return outputs * self.target_std[:many] + self.target_mean[:many], state

    @property
    def says_throttle(self) -> bool:
        """Whether the second output is a throttle."""
        return self.decoder_options.outputs == 2

    def evaluate(self, batch: ClipBatch, batch_idx: int) -> None:
        """Predicts a batch that continues the one before and keeps what is no padding."""
        with torch.no_grad():
            warm_up = batch.frames.shape[1] - batch.targets.shape[1]
            warm_up -= self.left_context if batch.frames.dtype == torch.uint8 else 0
            state = self.start(batch.resets, None if warm_up else self.carried_evaluation)
        outputs, self.carried_evaluation = self.drive(batch.frames, state)
        outputs = outputs[:, warm_up:]
        kept = (tensor[batch.valid].cpu().numpy() for tensor in (batch.rows, outputs, batch.targets))
        self.parts.append(DrivesPredicted(*kept))

    def begin_evaluation(self) -> None:
        self.carried_evaluation, self.parts = None, []

    def conclude_evaluation(self, stage: str) -> None:
        """Gathers all processes' frames, scores them once and logs under `stage/`."""
        parts = [part for parts in self.of_all_processes(self.parts) for part in parts]
        self.evaluation = DrivesPredicted.merge(parts)
        scores = self.evaluation.scores()
        scores["loss"] = (scores["rmse_rad"] / float(self.target_std[0])) ** 2
        self.log_scores(stage, scores, "rmse_rad")
