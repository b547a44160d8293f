"""How a captioner is trained: its options, and the learning rate of self-critical training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from modules.captioning.scheduled_sampling import ScheduleName
from modules.errors import InputError, check_ranges
from modules.training import ScheduleOptions, learning_rate_factor


@dataclass
class CaptioningTrainingOptions(ScheduleOptions):
    """How the weights are found.

    Args:
        learning_rate: Largest learning rate of the decoder (AdamW).
        encoder_learning_rate: Largest learning rate of the fine-tuned blocks of the encoder.
        label_smoothing: Share of the target probability spread over all words.
        consensus: How much of a caption's weight follows its agreement with the image's other captions, their
            CIDEr-D: from 0 (all weigh alike) to 1 (Phan et al. 2017).
        doubly_stochastic: Weight lambda of the attention term (Xu et al. 2015, eq. 14) of soft attention
            without a sentinel.
        own_words: Share of the decoder's own words that it reads at the end of training in place of people's
            (scheduled sampling, Bengio et al. 2015); 0 for none.
        own_words_schedule: How the share of people's words falls: inverse_sigmoid, exponential or linear.
        reinforce_epochs: So many last epochs maximise CIDEr-D of sampled captions (self-critical training).
        reinforce_learning_rate: Learning rate in these epochs.
        reinforce_samples: Captions sampled of each image in these epochs.
        reinforce_baseline: What a sample's reward is compared with: samples, the mean of the image's other
            samples (Luo 2020), or greedy, the reward of the greedy caption (Rennie et al. 2017).
        reinforce_cross_entropy: Weight of the ordinary loss in these epochs, of one caption of each image.
            Without a word of people's captions the language decays: rewards rise for captions that stop in
            "with a".
        reinforce_bleu4: Weight of sentence BLEU-4 (0..1) beside CIDEr-D (0..10) in the reward.
        cuda_graphs: Record a step on an NVIDIA GPU once for a length of captions and start all its kernels by
            one call. The encoder has to be frozen. It was never run on a GPU.
    """

    learning_rate: float = 4e-4
    warmup_steps: int = 200
    encoder_learning_rate: float = 1e-5
    label_smoothing: float = 0.1
    consensus: float = 0.0
    doubly_stochastic: float = 1.0
    own_words: float = 0.0
    own_words_schedule: ScheduleName = "inverse_sigmoid"
    reinforce_epochs: int = 0
    reinforce_learning_rate: float = 5e-5
    reinforce_samples: int = 5
    reinforce_baseline: Literal["samples", "greedy"] = "samples"
    reinforce_cross_entropy: float = 0.0
    reinforce_bleu4: float = 0.0
    cuda_graphs: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(
            self,
            "model.training",
            positive=("reinforce_learning_rate",),
            not_negative=(
                "encoder_learning_rate",
                "doubly_stochastic",
                "reinforce_epochs",
                "reinforce_cross_entropy",
                "reinforce_bleu4",
            ),
            below_one=("label_smoothing", "own_words"),
        )
        if not 0 <= self.consensus <= 1:
            raise InputError(f"model.training.consensus is {self.consensus}; it has to be from 0 to 1")
        least = 1 if self.reinforce_baseline == "greedy" else 2
        if self.reinforce_samples < least:
            raise InputError(
                f"model.training.reinforce_samples is {self.reinforce_samples}; it needs at least {least}"
            )


def reinforced_rate_factor(
    options: CaptioningTrainingOptions, steps: int | float, epochs: int
) -> Callable[[int], float]:
    """Returns what the learning rate is multiplied by at each step.

    Args:
        options: Warm-up and shape; the rate of self-critical training.
        steps: Of the whole fit, infinite where it has no end.
        epochs: Of the whole fit, -1 where it has no end.

    Raises:
        InputError: The options need an end that the fit has not, or more epochs than it has.
    """
    if options.own_words and math.isinf(steps):
        raise InputError(
            "model.training.own_words grow until the end of a fit, which has none with "
            "--trainer.max_epochs -1; say how many epochs there are"
        )
    if not options.reinforce_epochs:
        return learning_rate_factor(options, steps)
    if epochs < 0:
        raise InputError(
            "model.training.reinforce_epochs are the last of a fit, which has no last one with "
            "--trainer.max_epochs -1; say how many epochs there are"
        )
    if options.reinforce_epochs > epochs:
        raise InputError(
            f"model.training.reinforce_epochs is {options.reinforce_epochs}; "
            f"the fit has {epochs} (--trainer.max_epochs)"
        )
    forced_steps = int(steps * (epochs - options.reinforce_epochs) // epochs)
    forced = learning_rate_factor(options, forced_steps)
    reinforced = options.reinforce_learning_rate / options.learning_rate
    return lambda step: reinforced if step >= forced_steps else forced(step)
