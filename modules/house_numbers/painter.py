"""The painter as a LightningModule: what its pictures cost, and painting new ones.

It knows tensors, not files: batches come from a DataModule. A checkpoint holds all that painting needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from zlib import crc32

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from modules.errors import InputError
from modules.house_numbers.auxiliary_classifier import AuxiliaryClassifier
from modules.house_numbers.batch import NumberBatch, encode
from modules.house_numbers.bound import LEVELS, Bound
from modules.house_numbers.draw import DrawPainter, Stroke
from modules.house_numbers.painter_options import PainterOptions
from modules.house_numbers.preprocessing import NumberPictures, luma
from modules.house_numbers.vae import PAINTERS
from modules.precision import keep_weights
from modules.training import ScheduleOptions, TrainedModule, seeded


class Painter(TrainedModule):
    """Paints house numbers, and is judged by the bits that pictures it has never seen cost it.

    Args:
        pictures: What is made of a picture before its middle is cut out.
        painter: DRAW, or the autoencoder beside it.
        training: Learning rate and its schedule.

    Attributes:
        kl_bits: KL of every step in bits, the mean over the pictures that were evaluated last.
    """

    task = "painter"

    def __init__(
        self,
        pictures: NumberPictures = NumberPictures(),  # noqa: B008
        painter: PainterOptions = PainterOptions(),  # noqa: B008
        training: ScheduleOptions = ScheduleOptions(),  # noqa: B008
    ) -> None:
        super().__init__(pictures=pictures, painter=painter, training=training)
        if max(painter.height, painter.width) > pictures.size:
            raise InputError(
                f"model.painter.height and width are {painter.height} and {painter.width}; "
                f"the pictures are squares of {pictures.size} pixels (model.pictures.size)"
            )
        self.pictures, self.options = pictures, painter
        with seeded(training.seed):
            self.network = PAINTERS[painter.kind](painter)
            self.classifier = (
                AuxiliaryClassifier(painter.height, painter.width) if painter.reading_weight else None
            )
        self.kl_bits: list[float] = []
        self.bounds: list[Bound] = []

    @property
    def pixels(self) -> int:
        """Of a picture."""
        return self.options.height * self.options.width

    @property
    def values(self) -> int:
        """Values of a picture: its pixels, in every colour."""
        return self.pixels * self.options.colours

    def middle(self, images: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B C Hh Ww"]:
        """Returns the middle of pictures, in grey or in colours, each value one of 256 levels over 255."""
        height, width = self.options.height, self.options.width
        top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
        part = images[:, :, top : top + height, left : left + width]
        part = luma(part).round() if self.options.colours == 1 else part.float()
        return part / (LEVELS - 1)

    def bound(self, batch: NumberBatch, noise: Float[Tensor, "B T D"]) -> Bound:
        """Returns what each picture of a batch costs."""
        # where a window lies needs more digits than bfloat16 has
        with torch.autocast(self.device.type, enabled=False):
            bound: Bound = self.network(self.middle(batch.images), batch.digits, noise)
        return bound

    def setup(self, stage: str) -> None:
        """Refuses a trainer that would turn the weights into another number type."""
        keep_weights(str(self.trainer.precision), "a painter")
        super().setup(stage)

    def training_step(self, batch: NumberBatch, batch_idx: int) -> Tensor:
        rows = len(batch.digits)
        noise = torch.randn(rows, self.options.steps, self.options.latent_size, device=self.device)
        nats = self.bound(batch, noise).total().sum()
        total, all_rows = self.reduce_sum(torch.stack([nats.detach(), nats.new_tensor(rows)]))
        self.log("train/bits_per_pixel", total / all_rows / self.pixels / math.log(2), batch_size=rows)
        loss = nats / self.values
        if self.classifier is not None:
            loss = loss + self.reading_loss(batch, self.classifier)
        return loss * self.world_size / all_rows  # DDP averages gradients, hence the factor

    def reading_loss(self, batch: NumberBatch, classifier: AuxiliaryClassifier) -> Float[Tensor, ""]:
        """Returns the loss of reading the batch, and of its numbers painted anew, summed over the pictures.

        Half as many are painted: a painting costs nearly as much as the bound of a picture.
        """
        digits = batch.digits[::2]
        noise = torch.randn(len(digits), self.options.steps, self.options.latent_size, device=self.device)
        with torch.autocast(self.device.type, enabled=False):
            read = classifier.on_pictures(self.middle(batch.images), batch.digits).sum()
            assert isinstance(self.network, DrawPainter)  # the options say so
            paintings = self.network.paintings(digits, noise)
            misread = classifier.on_paintings(paintings, digits).mean()
        self.log("train/misread_nats", misread, batch_size=len(digits))
        weighed = self.options.reading_weight * misread / self.values
        return read + weighed * len(batch.digits)

    # ---- evaluation

    def begin_evaluation(self) -> None:
        self.bounds = []

    def evaluate(self, batch: NumberBatch, batch_idx: int) -> None:
        self.bounds.append(self.bound(batch, self.noise([crc32(name.encode()) for name in batch.names])))

    def conclude_evaluation(self, stage: str) -> None:
        """Logs bits per pixel, its two parts, and the KL of every step, under `stage/`."""
        steps = self.options.steps if self.options.kind == "draw" else 1
        sums = torch.zeros(
            2 + steps, device=self.device, dtype=torch.float32
        )  # a GPU of Apple has no float64
        for bound in self.bounds:
            sums[0] += len(bound.pixels)
            sums[1] += bound.pixels.sum()
            sums[2:] += bound.kl.sum(0)
        self.bounds = []
        rows, pixel_nats, *kl = self.reduce_sum(sums).tolist()
        if not rows:
            return
        self.kl_bits = [nats / rows / math.log(2) for nats in kl]
        pixel_bits = pixel_nats / rows / math.log(2)
        scores = {
            "bits_per_pixel": (pixel_bits + sum(self.kl_bits)) / self.pixels,
            "pixel_bits": pixel_bits,
            "kl_bits": sum(self.kl_bits),
            **{f"kl_bits_{step:02d}": bits for step, bits in enumerate(self.kl_bits, 1)},
        }
        self.log_scores(stage, scores, "bits_per_pixel")

    # ---- painting

    def noise(self, seeds: Sequence[int]) -> Float[Tensor, "B T D"]:
        """Returns standard normal numbers, each picture's of its own seed, whatever is beside it."""
        shape = self.options.steps, self.options.latent_size
        drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(drawn).to(self.device)

    def paint(
        self, numbers: Sequence[str] | None, seeds: Sequence[int], temperature: float = 1.0
    ) -> Sequence[Stroke]:
        """Returns the steps of new pictures.

        Args:
            numbers: What each shows; None for a painter that is told none.
            seeds: Of each picture.
            temperature: What the noise is multiplied by.
        """
        digits = None if numbers is None else encode(numbers).to(self.device)
        return self.network.paint(digits, temperature * self.noise(seeds))
