"""The reader of house numbers as a LightningModule: glimpses or the control, losses, whole numbers.

It knows tensors, not files: batches come from a DataModule, and a checkpoint holds everything that reading
another picture needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from modules.house_numbers.batch import MOST_DIGITS, NumberBatch, decode
from modules.house_numbers.control import DigitCNN, multiply_adds
from modules.house_numbers.glimpse import GlimpseSensor, shrunk
from modules.house_numbers.networks import THUMBNAIL, ContextNetwork, GlimpseNetwork, Reader, Reading
from modules.house_numbers.options import ReaderOptions, ReadingTrainingOptions
from modules.house_numbers.preprocessing import NumberPictures, grey
from modules.house_numbers.scoring import (
    digit_nats,
    number_scores,
    read_terms,
    reversed_digits,
    whole_numbers,
)
from modules.images import read_image, rgb_image
from modules.parameters import parameters_of
from modules.precision import keep_weights
from modules.training import TrainedModule, seeded

AT_ONCE = 256  # pictures that are read side by side
SIZES = (64, 128, 256)  # pictures whose cost is compared, in pixels


class NumberRead(NamedTuple):
    """What was read of one picture.

    Attributes:
        number: Its digits.
        probability: Of the whole number, among all of 1 to 5 digits.
        digits: Probability of each digit.
        places: Where each glimpse was (T, 2), x and y from -1 (left, top) to 1; those of a second reader, who
            goes from right to left, follow. The control has none.
    """

    number: str
    probability: float
    digits: list[float]
    places: list[tuple[float, float]]


class GlimpseReaders(nn.Module):
    """One reader from left to right and perhaps a second from right to left, over the same eyes.

    Args:
        options: Of the reader.
    """

    def __init__(self, options: ReaderOptions) -> None:
        super().__init__()
        self.sensor = GlimpseSensor(options.points, options.sides, options.reading)
        self.context = ContextNetwork(options.hidden_size).requires_grad_(options.kind != "centre")
        glimpse = GlimpseNetwork(options.points, options.hidden_size)
        self.glimpse = glimpse
        self.is_nailed = options.kind == "centre"
        ways = (1, -1) if options.backward else (1,)
        self.readers = nn.ModuleList(Reader(options, self.sensor, glimpse, way) for way in ways)

    def forward(
        self, pictures: Float[Tensor, "B 1 S S"], noise: float = 0.0, steps: Int[Tensor, " B"] | None = None
    ) -> list[Reading]:
        """Returns what each reader reads; arguments as of Reader."""
        pyramid = self.sensor.pyramid(pictures)
        context = None
        if not self.is_nailed:
            context = self.context(shrunk(pictures, THUMBNAIL))
        return [reader(pyramid, context, self.context.coordinates, noise, steps) for reader in self.readers]


class NumberReader(TrainedModule):
    """Reads a house number by glimpses, digit after digit (Ba, Mnih and Kavukcuoglu 2015).

    >>> from modules import NumberReader
    >>> reader = NumberReader.load("reader.ckpt")
    >>> [read.number for read in reader.read_images(["door.jpg"])]
    ['1247']

    Args:
        pictures: What it sees of a picture.
        reader: How it reads.
        training: Losses, learning rates and their schedule.
    """

    task = "house_numbers"
    training_options: ReadingTrainingOptions

    def __init__(
        self,
        pictures: NumberPictures = NumberPictures(),  # noqa: B008
        reader: ReaderOptions = ReaderOptions(),  # noqa: B008
        training: ReadingTrainingOptions = ReadingTrainingOptions(),  # noqa: B008
    ) -> None:
        super().__init__(pictures=pictures, reader=reader, training=training)
        self.pictures, self.reader_options = pictures, reader
        with seeded(training.seed):
            if reader.kind == "cnn":
                # as many parameters as the reader that these options describe
                wanted = parameters_of(GlimpseReaders(replace(reader, kind="window")))
                self.network: GlimpseReaders | DigitCNN = DigitCNN(pictures.size, pictures.size, wanted)
            else:
                self.network = GlimpseReaders(reader)
        self.network.to(memory_format=torch.channels_last)
        self.rows: list[dict[str, Any]] = []

    # ---- training

    def forward(
        self, images: UInt8[Tensor, "B 3 S S"], noise: float = 0.0, steps: Int[Tensor, " B"] | None = None
    ) -> list[Reading]:
        """Returns what each reader reads of RGB bytes; the control's one look has no places."""
        seen = grey(images)
        if isinstance(self.network, DigitCNN):
            logits = self.network(seen)
            none = logits.new_zeros(len(logits), 0, 2)
            return [Reading(logits, none, none, logits.new_zeros(logits.shape[:2]))]
        return self.network(seen, noise, steps)

    def setup(self, stage: str) -> None:
        """Refuses a trainer that would turn the weights into another number type."""
        keep_weights(str(self.trainer.precision), "a reader")
        super().setup(stage)

    def training_step(self, batch: NumberBatch, batch_idx: int) -> Tensor:
        options = self.training_options
        is_reinforced = self.reader_options.kind == "reinforce"
        # long numbers first: a step that does not count is not computed
        steps, order = read_terms(batch.digits).sum(1).sort(descending=True, stable=True)
        ordered = batch.digits[order]
        readings = self(batch.images[order], options.noise if is_reinforced else 0.0, steps)
        # a mean over the digits of all processes; DDP averages gradients, hence the factor
        count = self.reduce_sum(steps.sum().float()) * len(readings) / self.world_size
        loss = readings[0].logits.new_zeros(())
        digit_loss = loss
        for reading, digits in zip(readings, (ordered, reversed_digits(ordered)), strict=False):
            terms = read_terms(digits)
            losses = digit_nats(reading.logits, digits)
            digit_loss = digit_loss + (losses * terms).sum() / count
            if is_reinforced:
                loss = loss + reinforced_sum(reading, digits, terms, options) / count
        self.log(
            "train/loss", digit_loss.detach(), prog_bar=True, batch_size=len(batch.digits), sync_dist=True
        )
        return loss + digit_loss

    def parameter_rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """Returns all that learns at the full rate, then the attention and the move beside it, with rates."""
        options = self.training_options
        looking = [
            parameter
            for name, parameter in self.named_parameters()
            if ".attention." in name or ".place." in name
        ]
        known = {id(parameter) for parameter in looking}
        others = [parameter for parameter in self.parameters() if id(parameter) not in known]
        return [(others, options.learning_rate), (looking, options.learning_rate * options.looking)]

    # ---- reading

    def read_batch(self, images: UInt8[Tensor, "B 3 S S"]) -> list[NumberRead]:
        """Returns the most probable number of each picture, with all that is said of it."""
        # in float32 whatever the trainer's precision, so that evaluation and prediction say the same
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            readings = self(images)
            forward, *others = [reading.logits.float().log_softmax(-1).cpu() for reading in readings]
            numbers, probabilities, digits = whole_numbers(forward, others[0] if others else None)
        glimpses = self.reader_options.glimpses
        places_of = [reading.places.tolist() for reading in readings]  # (B, M N, 2) each
        result = []
        for row, number in enumerate(numbers):
            places = [(x, y) for places in places_of for x, y in places[row][: len(number) * glimpses]]
            result.append(NumberRead(number, float(probabilities[row]), digits[row], places))
        return result

    def predict_step(self, batch: NumberBatch, batch_idx: int) -> list[NumberRead]:
        return self.read_batch(batch.images) if len(batch.images) else []

    def read_images(self, images: Sequence[Path | str | np.ndarray]) -> list[NumberRead]:
        """Returns what is read of files or of RGB arrays (Hh, Ww, 3).

        Raises:
            UnreadableImage: A file or an array is no picture.
        """
        squares = [
            self.pictures(
                rgb_image(image, f"image {place}") if isinstance(image, np.ndarray) else read_image(image)
            )
            for place, image in enumerate(images)
        ]
        was_training = self.training
        self.eval()
        try:
            found = []
            for start in range(0, len(squares), AT_ONCE):
                batch = torch.from_numpy(np.stack(squares[start : start + AT_ONCE])).permute(0, 3, 1, 2)
                found += self.read_batch(batch.to(self.device))
            return found
        finally:
            self.train(was_training)

    @property
    def sizes(self) -> list[int]:
        """Sides of pictures at which readers are compared, in pixels; its own is one of them."""
        return sorted({*SIZES, self.pictures.size})

    def operations(self) -> dict[str, int]:
        """Returns the multiply-adds that a number of five digits takes, by the picture's side in pixels.

        Counted are convolutions, linear layers, recurrent cells and the sampling of glimpses. Shrinking a
        picture adds and does not multiply. The CNN of another side is another one of as many parameters.
        """
        counts = {}
        for size in self.sizes:
            network = self.network
            if isinstance(network, DigitCNN):
                network = DigitCNN(size, size, parameters_of(network))
            was_training = network.training
            picture = torch.zeros(1, 1, size, size, device=next(network.parameters()).device)
            counts[str(size)] = multiply_adds(network.eval(), picture)
            network.train(was_training)
            if isinstance(network, GlimpseReaders):
                looks = (
                    1 if self.reader_options.kind == "centre" else MOST_DIGITS * self.reader_options.glimpses
                )
                counts[str(size)] += looks * len(network.readers) * network.sensor.multiply_adds()
        return counts

    # ---- evaluation

    def begin_evaluation(self) -> None:
        self.rows = []

    def evaluate(self, batch: NumberBatch, batch_idx: int) -> None:
        """Reads a batch and keeps what was read beside what is true."""
        for name, true, read in zip(
            batch.names, decode(batch.digits.cpu()), self.read_batch(batch.images), strict=True
        ):
            self.rows.append({"image": name, "true": true, **read._asdict()})

    def conclude_evaluation(self, stage: str) -> None:
        """Gathers all processes' pictures, scores them once and logs under `stage/`."""
        parts = [row for rows in self.of_all_processes(self.rows) for row in rows]
        self.rows = list({row["image"]: row for row in parts}.values())
        scores = number_scores([row["number"] for row in self.rows], [row["true"] for row in self.rows])
        self.log_scores(stage, scores, "accuracy")

    def control(self, kind: str) -> NumberReader:
        """Returns an untrained control of this reader: centre or cnn."""
        options = ReaderOptions(**{**asdict(self.reader_options), "kind": kind})
        return NumberReader(self.pictures, options, self.training_options)


def reinforced_sum(
    reading: Reading, digits: Int[Tensor, "B M"], terms: Tensor, options: ReadingTrainingOptions
) -> Float[Tensor, ""]:
    """Returns the sum of the loss of REINFORCE with a learned baseline (Mnih et al. 2014; Ba et al. 2015).

    A step earns 1 where its class is right. What a place earns is the sum of what its own and later steps
    earn, less what was expected of it; its score is `log N(place; mean, noise^2)`.

    Args:
        reading: With places that were tried.
        digits: What is true.
        terms: Which steps count (B, M).
        options: Noise and weights.
    """
    rewards = ((reading.logits.argmax(-1) == digits) & terms).float()  # (B, M)
    returns = rewards.flip(1).cumsum(1).flip(1)
    errors = (reading.baselines - returns) * terms
    advantage = -errors.detach()
    steps = digits.shape[1]
    per_step = reading.places.unflatten(1, (steps, -1)), reading.means.unflatten(1, (steps, -1))
    log_p = -(per_step[0] - per_step[1]).square().sum((2, 3)) / (2 * options.noise**2)  # (B, M)
    reinforce = -(log_p * advantage * terms).sum()
    return options.reinforce_weight * reinforce + options.baseline_weight * errors.square().sum()
