"""What every training has: options, learning rates and their schedule, clipping, seeds, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor, nn

from modules.checkpoints import read_checkpoint
from modules.errors import InputError, check_ranges, check_seed

Loaded = TypeVar("Loaded", bound="TrainedModule")
Part = TypeVar("Part")


@dataclass
class ScheduleOptions:
    """How the weights are found: what every task has.

    Args:
        learning_rate: Largest learning rate (AdamW).
        weight_decay: Decoupled weight decay of matrices; vectors have none.
        warmup_steps: Steps in which the learning rate grows from 0.
        schedule: cosine falls to 1 % at the last step, constant stays.
        seed: Of initial weights and, with the step number, of dropout, in a resumed run too.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup_steps: int = 100
    schedule: Literal["cosine", "constant"] = "cosine"
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "model.training",
            positive=("learning_rate",),
            not_negative=("weight_decay", "warmup_steps"),
        )
        check_seed(self.seed, "model.training.seed")


def parameter_groups(
    parts: Iterable[tuple[Iterable[nn.Parameter], float]], weight_decay: float
) -> list[dict[str, Any]]:
    """Returns an optimiser's groups: matrices with weight decay, vectors without.

    Args:
        parts: Parameters and their learning rate.
        weight_decay: Of matrices.
    """
    groups = []
    for parameters, rate in parts:
        everything = list(parameters)
        for matrices in (True, False):
            chosen = [p for p in everything if (p.dim() > 1) == matrices]
            if chosen:
                decay = weight_decay if matrices else 0.0
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return groups


def learning_rate_factor(options: ScheduleOptions, steps: int | float) -> Callable[[int], float]:
    """Returns what the learning rate is multiplied by at each step.

    Args:
        options: Warm-up and shape.
        steps: At which the cosine ends; where it is infinite, the learning rate stays.
    """

    def factor(step: int) -> float:
        warm = min(1.0, (step + 1) / max(1, options.warmup_steps))
        if options.schedule == "constant":
            return warm
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))))

    return factor


def clip_gradients(
    optimizer: torch.optim.Optimizer, limit: float | None, algorithm: str | None
) -> Float[Tensor, ""]:
    """Returns the norm of all gradients, and clips them in place where there is a limit.

    Args:
        optimizer: Of the parameters.
        limit: None or 0 leaves the gradients as they are.
        algorithm: value clips each by itself, else by their common norm (Pascanu et al. 2013, algorithm 1).
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    by_value = algorithm == "value"
    norm = nn.utils.clip_grad_norm_(parameters, limit if limit and not by_value else math.inf)
    if limit and by_value:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.clamp_(-limit, limit)
    return norm


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws the same numbers whatever was drawn before, and leaves the numbers that follow as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


class TrainedModule(pl.LightningModule):
    """What the system of every task shares; a task adds its networks, losses and scores.

    A task's `__init__` takes dataclasses of options alone, one of them named `training`. A checkpoint keeps
    them as plain dictionaries, so that it loads with weights_only.

    Args:
        options: Those of the task by the names of its arguments.
    """

    task: str  # what a checkpoint says it is for
    training_options: ScheduleOptions

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.save_hyperparameters({name: asdict(group) for name, group in options.items()})
        self.training_options = options["training"]
        self.divergence: str | None = None  # what happened in the step at which training diverged
        self.batch_number = 0  # of the batch that is trained on, over the whole fit
        self.step_loss: Tensor | None = None
        self.gradient_norm = math.nan  # before clipping, of the last step

    # ---- what a task says

    def use_data(self, data: Any) -> None:
        """Takes from the data module what has to be known of the data before training, such as words."""

    def begin_with(self, checkpoint: dict[str, Any]) -> None:
        """Takes the weights of a checkpoint whose words are the first of this one's; other words stay new."""
        state = self.state_dict()
        for name, value in checkpoint["state_dict"].items():
            state[name][tuple(slice(size) for size in value.shape)] = value

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Takes from a checkpoint what is neither option nor weight, such as words."""

    def parameter_rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """Returns the parameters to train, in parts, and the largest learning rate of each part."""
        return [(self.parameters(), self.training_options.learning_rate)]

    # ---- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["task"] = self.task

    @classmethod
    def load(cls: type[Loaded], path: Path | str) -> Loaded:
        """Returns the model of a checkpoint, on the CPU, in evaluation mode.

        Raises:
            InputError: the file is absent, no checkpoint, damaged, or of another task, or a weight is no
                number.
        """
        checkpoint = read_checkpoint(path, cls.task)
        kinds = get_type_hints(cls.__init__)
        kinds.pop("return", None)
        try:
            stored = {name: dict(checkpoint["hyper_parameters"][name]) for name in kinds}
            left_out = checkpoint.get("left_out", [])  # weights that come from the encoder's package
            for group in stored.values():
                if "weights" in group and not left_out:  # those of the checkpoint need no package
                    group["weights"] = "none"
            model = cls(**{name: kind(**stored[name]) for name, kind in kinds.items()})
            model.restore(checkpoint)
            known = model.state_dict()
            model.load_state_dict({name: known[name] for name in left_out} | checkpoint["state_dict"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: a damaged checkpoint, or one of another version: {reason}") from error
        for name, weight in model.named_parameters():
            if not weight.isfinite().all():
                raise InputError(f"{path}: {name} holds numbers that are none, as after a fit that diverged")
        return model.eval()

    # ---- training

    @property
    def world_size(self) -> int:
        """Processes that train together; 1 without a trainer."""
        return self._trainer.world_size if self._trainer is not None else 1

    def reduce_sum(self, tensor: Tensor) -> Tensor:
        """Returns the sum over all processes."""
        if self.world_size == 1:
            return tensor
        return self.trainer.strategy.reduce(tensor.clone(), reduce_op="sum")

    def setup(self, stage: str) -> None:
        """Asks the data module, which is set up before the model."""
        data = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and data is not None:
            self.use_data(data)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # every batch's dropout depends on its number alone, not on what ran before it in this process
        together = self.trainer.accumulate_grad_batches  # batches of a step
        self.batch_number = self.global_step * together + batch_idx % together
        seed = self.training_options.seed * 1_000_003 + self.batch_number
        torch.manual_seed(seed * 1009 + self.global_rank)

    def build_optimizer(self) -> torch.optim.Optimizer:
        """Returns AdamW over the parameters to train, matrices with weight decay, vectors without."""
        groups = parameter_groups(self.parameter_rates(), self.training_options.weight_decay)
        scaled = self._trainer is not None and self._trainer.precision == "16-mixed"
        # fused: one pass over the weights where the plain form makes a dozen
        return torch.optim.AdamW(groups, fused=not scaled)

    def learning_rate_factor(self, steps: int | float) -> Callable[[int], float]:
        """Returns what every learning rate is multiplied by at each of a fit's steps."""
        return learning_rate_factor(self.training_options, steps)

    def configure_optimizers(self) -> Any:
        optimizer = self.build_optimizer()
        factor = self.learning_rate_factor(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_before_backward(self, loss: Tensor) -> None:
        self.step_loss = loss.detach()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips by norm or by value; ends a training that diverges, with the weights of the step before."""
        if self.trainer.precision == "16-mixed":
            # gradients are scaled, and a step of infinite ones is skipped: Lightning knows by how much
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            norm = self.reduce_sum(self.step_loss) if self.step_loss is not None else torch.zeros(())
        else:
            # Lightning refuses to clip for a fused optimiser, although nothing is scaled in this precision
            norm = clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        if math.isfinite(norm):
            self.gradient_norm = float(norm)
            return
        optimizer.zero_grad(set_to_none=True)  # without gradients the step that follows changes nothing
        rate = optimizer.param_groups[0]["lr"]
        loss = math.nan if self.step_loss is None else float(self.step_loss)
        self.divergence = (
            f"training diverged at step {self.global_step + 1:,}: loss {loss:.4g}, gradient norm "
            f"{float(norm):.4g} ({self.gradient_norm:.4g} in the step before), learning rate {rate:.3g}; "
            "choose a lower --model.training.learning_rate, more --model.training.warmup_steps, or clip "
            "gradients with --trainer.gradient_clip_val 1"
        )
        self.trainer.should_stop = True

    # ---- evaluation

    def begin_evaluation(self) -> None:
        """Forgets the evaluation before."""

    def evaluate(self, batch: Any, batch_idx: int) -> None:
        """Takes in a batch of the split that is evaluated."""

    def conclude_evaluation(self, stage: str) -> None:
        """Scores the batches of all processes and logs under `stage/`."""

    def of_all_processes(self, part: Part) -> list[Part]:
        """Returns what every process has, in their order."""
        parts = [part] * self.world_size
        if self.world_size > 1:
            torch.distributed.all_gather_object(parts, part)
        return parts

    def streams_of_all(self, state: Sequence[Tensor]) -> list[Tensor]:
        """Returns the state of all processes' streams, in the order of the streams, on the CPU.

        Args:
            state: A row a stream of this process; process r has the streams r, r + world, ...
        """
        parts = self.of_all_processes([tensor.cpu() for tensor in state])
        streams = []
        for of_each in zip(*parts, strict=True):
            whole = of_each[0].new_empty(sum(map(len, of_each)), *of_each[0].shape[1:])
            for rank, part in enumerate(of_each):
                whole[rank :: self.world_size] = part
            streams.append(whole)
        return streams

    def own_streams(self, streams: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Returns this process's rows of what `streams_of_all` returned."""
        rank = self._trainer.global_rank if self._trainer is not None else 0
        return tuple(tensor[rank :: self.world_size] for tensor in streams)

    def log_scores(self, stage: str, scores: Mapping[str, float], *shown: str) -> None:
        """Logs scores under `stage/`; every process has computed the same, so there is nothing to reduce.

        Args:
            stage: val or test.
            scores: By name.
            shown: Names of those that the progress bar of a validation has.
        """
        for name, value in scores.items():
            is_shown = stage == "val" and name in shown
            self.log(f"{stage}/{name}", float(value), prog_bar=is_shown, rank_zero_only=False)

    def on_validation_epoch_start(self) -> None:
        self.begin_evaluation()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.conclude_evaluation("val")

    def on_test_epoch_start(self) -> None:
        self.begin_evaluation()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.evaluate(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        self.conclude_evaluation("test")
