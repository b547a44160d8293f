"""The control of a painter: a variational autoencoder without recurrence, of as many parameters.

It says the whole picture at once (Kingma and Welling 2014). The number, the likelihood and the kind of prior
are those of the painter beside it, so that the two bounds count the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from modules.house_numbers.batch import CLASSES, MOST_DIGITS
from modules.house_numbers.bound import Bound, Gaussian, gaussian, means, pixel_nats
from modules.house_numbers.draw import FIRST_LOG_SCALE, DrawPainter, Stroke
from modules.house_numbers.painter_options import PainterOptions
from modules.parameters import parameters_of


class VariationalAutoencoder(nn.Module):
    """Two hidden layers of rectified units to the latents, and two from there to the picture.

    Its latents are as many as those of all steps of a painter, as one step.

    Args:
        options: Of the painter, of kind vae.
    """

    def __init__(self, options: PainterOptions) -> None:
        super().__init__()
        self.options = options
        hidden, self.latents = options.hidden_size, options.latent_size * options.steps
        self.size = (2 * options.colours, options.height, options.width)
        pixels = options.colours * options.height * options.width
        told = MOST_DIGITS * options.embedding_size if options.conditional else 0
        if options.conditional:
            self.embedding = nn.Embedding(CLASSES, options.embedding_size)
        self.encoder = _layers(pixels + told, hidden, 2 * self.latents)
        self.decoder = _layers(self.latents + told, hidden, 2 * pixels)
        last = self.decoder[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias[pixels:], FIRST_LOG_SCALE)
        if options.prior == "learned" and options.conditional:  # without a number there is nothing to go by
            self.prior = nn.Linear(told, 2 * self.latents)
            nn.init.zeros_(self.prior.weight)
            nn.init.zeros_(self.prior.bias)

    def _told(self, digits: Int[Tensor, "B M"] | None, rows: Tensor) -> Tensor:
        if not self.options.conditional:
            return rows.new_zeros(len(rows), 0)
        assert digits is not None, "a conditional painter needs the number"
        return self.embedding(digits).flatten(1)

    def _prior(self, told: Tensor) -> Gaussian:
        if hasattr(self, "prior"):
            return gaussian(self.prior(told))
        zeros = told.new_zeros(len(told), self.latents)
        return Gaussian(zeros, zeros)

    def _canvas(self, z: Tensor, told: Tensor) -> Float[Tensor, "B L Hh Ww"]:
        return self.decoder(torch.cat([z, told], dim=1)).unflatten(1, self.size)

    def forward(
        self,
        images: Float[Tensor, "B C Hh Ww"],
        digits: Int[Tensor, "B M"] | None,
        noise: Float[Tensor, "B T D"],
    ) -> Bound:
        """Returns what each picture costs, its latents as one step; arguments as of `DrawPainter`."""
        told = self._told(digits, images)
        posterior = gaussian(self.encoder(torch.cat([images.flatten(1) - 0.5, told], dim=1)))
        canvas = self._canvas(posterior.sample(noise.flatten(1)), told)
        kl = posterior.divergence_from(self._prior(told))
        return Bound(pixel_nats(canvas, images), kl.unsqueeze(1))

    @torch.no_grad()
    def paint(self, digits: Int[Tensor, "B M"] | None, noise: Float[Tensor, "B T D"]) -> Sequence[Stroke]:
        """Returns one step: pictures from the prior."""
        told = self._told(digits, noise)
        picture = means(self._canvas(self._prior(told).sample(noise.flatten(1)), told))
        whole = picture.new_tensor([1.0, 1.0, *self.size[:0:-1]]).expand(len(picture), 4)
        return [Stroke(picture, whole, picture.new_ones(len(picture)))]


def _layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


PAINTERS: dict[str, type[DrawPainter] | type[VariationalAutoencoder]] = {
    "draw": DrawPainter,
    "vae": VariationalAutoencoder,
}


def control_options(options: PainterOptions, parameters: int) -> PainterOptions:
    """Returns the options of the control of a painter: the hidden width at which it has as many parameters.

    Args:
        options: Of the painter.
        parameters: Of the painter.
    """
    plain = PainterOptions()
    unread = {name: getattr(plain, name) for name in PainterOptions.read_by}

    def control(width: int) -> PainterOptions:
        return replace(options, kind="vae", hidden_size=width, **unread)

    widths = np.arange(1, 4)  # their numbers of parameters lie on a parabola
    counts = [parameters_of(VariationalAutoencoder(control(int(width)))) for width in widths]
    parabola = np.polynomial.Polynomial.fit(widths, counts, 2) - parameters
    return control(max(1, round(float(parabola.roots().real.max()))))
