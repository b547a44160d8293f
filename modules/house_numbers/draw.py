"""DRAW: an RNN that paints stroke by stroke on a canvas (Gregor et al. 2015, eq. 1-29).

Axis letters beyond the legend: T strokes, M places of a number, L = 2 C layers of a canvas, N filters along a
window's side, D latents.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from modules.attention import MultiplicativeAttention
from modules.cells import LSTMCell, State
from modules.house_numbers.bound import Bound, Gaussian, gaussian, means, pixel_nats
from modules.house_numbers.filterbank import Window, read_window, window_of, write_window
from modules.house_numbers.number_words import NumberEncoder
from modules.house_numbers.painter_options import PainterOptions

FIRST_LOG_SCALE = -2.5  # of an empty canvas: pixels may be anything


class Stroke(NamedTuple):
    """What one step left behind.

    Attributes:
        picture: What the canvas then showed (B, C, Hh, Ww), from 0 to 1.
        boxes: Left, top, right and bottom of the writing window, in pixels from 1 (B, 4).
        precision: Deviation sigma of its filters, in pixels (B,).
    """

    picture: Tensor
    boxes: Tensor
    precision: Tensor


class DrawPainter(nn.Module):
    """An encoder reads the picture and what is missing on the canvas, a decoder adds a stroke to it.

        x^_t = x - sigmoid(c_{t-1});   r_t = read(x, x^_t, h^dec_{t-1})            (eq. 3-4)
        h^enc_t = LSTM(h^enc_{t-1}, [r_t, h^dec_{t-1}]);   z_t ~ Q(z | h^enc_t)     (eq. 1-2, 5-6)
        h^dec_t = LSTM(h^dec_{t-1}, z_t);   c_t = c_{t-1} + write(h^dec_t)          (eq. 7-8)

    A painter that is told the number attends to its digits: encoder and decoder also read the context of
    `h^dec_{t-1}` (Mansimov et al. 2016, eq. 6-9, with the attention of Luong et al. 2015). A learned prior is
    theirs, too. The canvas has two layers a colour: the mean's logit, and how sure it is.

    Where it is modulated, a stroke is written from `relu((1 + gamma) * W h^dec_t + beta)`, not `h^dec_t`;
    gamma and beta are linear in the context (Perez et al. 2018, eq. 2), and 0 where no number is told.

    Args:
        options: Of the painter, of kind draw.
    """

    def __init__(self, options: PainterOptions) -> None:
        super().__init__()
        self.options = options
        hidden, n_read, n_write = options.hidden_size, options.read_size, options.write_size
        layers = 2 * options.colours
        self.layers, self.size = layers, (options.height, options.width)
        context = 0
        if options.conditional:
            self.number = NumberEncoder(options.embedding_size)
            context = self.number.output_size
            self.attention = MultiplicativeAttention(context, hidden, options.embedding_size)
        pixels = options.height * options.width
        seen = n_read * n_read if options.attention else pixels
        written = n_write * n_write if options.attention else pixels
        if options.attention:
            self.read_at, self.write_at = (self._window_layer(n) for n in (n_read, n_write))
        self.encoder = LSTMCell(2 * options.colours * seen + hidden + context, hidden)
        self.posterior = nn.Linear(hidden, 2 * options.latent_size)
        if options.prior == "learned":
            self.prior = nn.Linear(hidden + context, 2 * options.latent_size)
            nn.init.zeros_(self.prior.weight)
            nn.init.zeros_(self.prior.bias)
        self.decoder = LSTMCell(options.latent_size + context, hidden)
        if options.modulated:
            self.mix = nn.Linear(hidden, hidden)
            if options.conditional:
                self.modulation = nn.Linear(context, 2 * hidden)
                nn.init.zeros_(self.modulation.bias)
        self.write = nn.Linear(hidden, layers * written)
        # learned beginnings, as the paper has them
        self.first_canvas = nn.Parameter(torch.zeros(layers, options.height, options.width))
        nn.init.constant_(self.first_canvas[options.colours :], FIRST_LOG_SCALE)
        self.first_encoder, self.first_decoder = (nn.Parameter(torch.zeros(2, hidden)) for _ in range(2))

    def _window_layer(self, n: int) -> nn.Linear:
        """Returns a layer whose windows begin as squares over the shorter side, without gaps in them."""
        layer = nn.Linear(self.options.hidden_size, 5)
        short, long = sorted(self.size)
        stride = (short - 1) / (n - 1)
        with torch.no_grad():
            layer.bias[2] = 2 * math.log(max(stride / 2, 0.5))  # of sigma^2
            layer.bias[3] = math.log(max(short - 1, 1) / max(long - 1, 1))  # of delta~
        return layer

    # ---- the parts of a step

    def beginning(self, rows: int) -> tuple[Tensor, State, State]:
        """Returns `c_0 (B, 2C, Hh, Ww)` and the states of encoder and decoder."""
        canvas = self.first_canvas.expand(rows, -1, -1, -1)
        encoder, decoder = (
            tuple(tensor.expand(rows, -1) for tensor in first)
            for first in (self.first_encoder, self.first_decoder)
        )
        return canvas, encoder, decoder

    def annotations(self, digits: Int[Tensor, "B M"] | None) -> tuple[Tensor, Tensor] | None:
        """Returns the annotations of the digits and their projection; None where no number is told."""
        if not self.options.conditional:
            return None
        assert digits is not None, "a conditional painter needs the number"
        a = self.number(digits)
        return a, self.attention.project(a)

    def context(self, annotations: tuple[Tensor, Tensor] | None, h: Tensor) -> Tensor:
        """Returns what the decoder attends to of the number (B, D), of no width where it is told none."""
        if annotations is None:
            return h.new_zeros(len(h), 0)
        a, p = annotations
        alpha = self.attention(p, self.attention.hidden(h).unsqueeze(1))  # (B, 1, M)
        return (alpha @ a).squeeze(1)

    def prior_of(self, h: Tensor, context: Tensor) -> Gaussian:
        """Returns P(z_t): standard normal, or what decoder and number let expect."""
        if self.options.prior == "learned":
            return gaussian(self.prior(torch.cat([h, context], dim=1)))
        zeros = h.new_zeros(len(h), self.options.latent_size)
        return Gaussian(zeros, zeros)

    def seen(self, images: Tensor, canvas: Tensor, h: Tensor) -> Float[Tensor, "B R"]:
        """Returns `r_t`, the picture and what is missing, in the window or as a whole (eq. 17, 27)."""
        shown = means(canvas)
        if self.options.attention:
            n = self.options.read_size
            window = window_of(self.read_at(h), n, *self.size)
            # what is missing in the window is what the window shows of both, subtracted: reading is linear
            both = read_window(torch.cat([images, shown], dim=1), window, n)  # (B, 2 C, N, N)
            images, shown = both.chunk(2, dim=1)
        return torch.cat([images, images - shown], dim=1).flatten(1)

    def window(self, h: Tensor) -> Window:
        """Returns where the decoder writes."""
        return window_of(self.write_at(h), self.options.write_size, *self.size)

    def mixed(self, h: Tensor, context: Tensor) -> Float[Tensor, "B H"]:
        """Returns the hidden layer that a modulated stroke is written from."""
        hidden = self.mix(h)
        if self.options.conditional:
            gamma, beta = self.modulation(context).chunk(2, dim=1)  # (B, H) each
            hidden = (1 + gamma) * hidden + beta
        return torch.relu(hidden)

    def stroke(self, h: Tensor, context: Tensor) -> Float[Tensor, "B L Hh Ww"]:
        """Returns what is added to the canvas (eq. 18, 28-29)."""
        written = self.write(self.mixed(h, context) if self.options.modulated else h)
        if not self.options.attention:
            return written.unflatten(1, (self.layers, *self.size))
        n = self.options.write_size
        return write_window(written.unflatten(1, (self.layers, n, n)), self.window(h), *self.size)

    # ---- all steps

    def forward(
        self,
        images: Float[Tensor, "B C Hh Ww"],
        digits: Int[Tensor, "B M"] | None,
        noise: Float[Tensor, "B T D"],
    ) -> Bound:
        """Returns what each picture costs.

        Args:
            images: Levels divided by 255.
            digits: Of the numbers, STOP behind them; not read by a painter that is told none.
            noise: Standard normal, which makes latents of their distributions.
        """
        canvas, encoder, decoder = self.beginning(len(images))
        annotations = self.annotations(digits)
        kl = []
        for e in noise.unbind(1):
            h = decoder[0]
            context = self.context(annotations, h)
            r = self.seen(images, canvas, h)
            encoder = self.encoder(torch.cat([r, h, context], dim=1), encoder)
            posterior = gaussian(self.posterior(encoder[0]))
            kl.append(posterior.divergence_from(self.prior_of(h, context)))
            decoder = self.decoder(torch.cat([posterior.sample(e), context], dim=1), decoder)
            canvas = canvas + self.stroke(decoder[0], context)
        return Bound(pixel_nats(canvas, images), torch.stack(kl, dim=1))

    def from_prior(
        self, digits: Int[Tensor, "B M"] | None, noise: Float[Tensor, "B T D"]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields canvas (B, L, Hh, Ww) and state (B, H) after every step, latents from the prior (eq. 13-16).

        Args:
            digits: As in `forward`.
            noise: Standard normal; smaller numbers make pictures more alike.
        """
        canvas, _, decoder = self.beginning(len(noise))
        annotations = self.annotations(digits)
        for e in noise.unbind(1):
            h = decoder[0]
            context = self.context(annotations, h)
            z = self.prior_of(h, context).sample(e)
            decoder = self.decoder(torch.cat([z, context], dim=1), decoder)
            canvas = canvas + self.stroke(decoder[0], context)
            yield canvas, decoder[0]

    def paintings(
        self, digits: Int[Tensor, "B M"] | None, noise: Float[Tensor, "B T D"]
    ) -> Float[Tensor, "B C Hh Ww"]:
        """Returns finished pictures from the prior, with their gradient; arguments as of `from_prior`."""
        *_, (canvas, _) = self.from_prior(digits, noise)
        return means(canvas)

    @torch.no_grad()
    def paint(self, digits: Int[Tensor, "B M"] | None, noise: Float[Tensor, "B T D"]) -> Sequence[Stroke]:
        """Returns every step of pictures painted from the prior; arguments as of `from_prior`."""
        return [self._left_behind(canvas, h) for canvas, h in self.from_prior(digits, noise)]

    def _left_behind(self, canvas: Tensor, h: Tensor) -> Stroke:
        if self.options.attention:
            window = self.window(h)
            return Stroke(means(canvas), window.box(self.options.write_size), window.variance.sqrt())
        height, width = self.size
        whole = canvas.new_tensor([1.0, 1.0, width, height]).expand(len(canvas), 4)
        return Stroke(means(canvas), whole, canvas.new_ones(len(canvas)))
