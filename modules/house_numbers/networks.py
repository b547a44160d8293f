"""The networks of the reader: what a glimpse shows, where to look next, what digit it is (Ba et al. 2015)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from modules.attention import MultiplicativeAttention
from modules.cells import CELLS, State
from modules.house_numbers.batch import CLASSES, MOST_DIGITS
from modules.house_numbers.glimpse import GlimpseSensor
from modules.house_numbers.options import ReaderOptions

THUMBNAIL = 32  # pixels along a side of the small picture
REACH = 0.5  # standard deviation of the first guess at the next place, in halves of the picture
FAINT = 0.1  # deviation of grey values, the picture's own being 1, below which a window counts as flat
NEAR = 0.25  # how far a place can be from what the small picture shows, in halves of the picture


class Reading(NamedTuple):
    """What was read of B pictures in M steps of N glimpses each.

    Attributes:
        logits: Of the classes at every step (B, M, 11).
        places: Where each glimpse was (B, M N, 2), x and y from -1 to 1.
        means: What the network said where to look (B, M N, 2); places were drawn about it when it explores.
        baselines: What each step and all later ones are expected to earn, before the step looks (B, M).
    """

    logits: Tensor
    places: Tensor
    means: Tensor
    baselines: Tensor


def convolution(
    before: int, after: int, *, stride: int = 1, pool: bool = False, dilation: int = 1
) -> list[nn.Module]:
    """Returns the layers of a 3x3 convolution, normalised over the batch (Ioffe and Szegedy 2015)."""
    return [
        nn.Conv2d(before, after, 3, stride=stride, padding=dilation, dilation=dilation, bias=False),
        *([nn.MaxPool2d(2)] if pool else []),  # first, so that a quarter is left to normalise
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]


class ContextNetwork(nn.Module):
    """Reads the small picture: annotations of its places, and what they come to altogether.

    Args:
        width: H of the summary.
    """

    channels = 24
    side = THUMBNAIL // 2  # annotations along a side
    annotation_size = channels + 4
    coordinates: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *convolution(1, 16, stride=2),
            *convolution(16, self.channels),
            *convolution(self.channels, self.channels, dilation=2),
            *convolution(self.channels, self.channels, dilation=4),
        )
        self.summary = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(self.channels * 16, width), nn.Tanh()
        )
        steps = (2 * torch.arange(self.side) + 1) / self.side - 1
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        self.register_buffer("coordinates", torch.stack([x.flatten(), y.flatten()], dim=1), persistent=False)

    def forward(self, thumbnails: Float[Tensor, "B 1 32 32"]) -> tuple[Tensor, Tensor]:
        """Returns annotations (B, L, D), with coordinates and their squares, and a summary (B, H)."""
        features = self.layers(thumbnails)
        places = torch.cat([self.coordinates, self.coordinates.square()], dim=1)  # (L, 4)
        places = places.to(features.dtype).expand(len(features), -1, -1)
        return torch.cat([features.flatten(2).mT, places], dim=2), self.summary(features)


class GlimpseNetwork(nn.Module):
    """What a glimpse shows, times where it was: `g = max_k relu(W what_k + b) * relu(W where + b)`.

    The same weights read each window k, whose grey values are brought to mean 0 and deviation 1 first. So a
    digit is learnt once, however large or dark it is, and each unit takes the window that shows most of it.

    Args:
        points: G along each side of a window.
        width: H of the result.
    """

    def __init__(self, points: int, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *convolution(1, 16, pool=True),
            *convolution(16, 32, pool=True),
            *convolution(32, 48),
            nn.Flatten(),
        )
        self.what = nn.Sequential(nn.Linear(48 * (points // 4) ** 2, width), nn.ReLU())
        place = nn.Linear(2, width)
        # all pass at first: a product of two small numbers would hardly learn
        nn.init.ones_(place.bias)
        self.where = nn.Sequential(place, nn.ReLU())

    def forward(self, glimpses: Float[Tensor, "B K G G"], places: Float[Tensor, "B 2"]) -> Tensor:
        windows = glimpses.flatten(0, 1).unsqueeze(1)  # (B K, 1, G, G)
        variances, means = torch.var_mean(windows, dim=(2, 3), keepdim=True)
        # a deviation of 0, of a window outside of the picture, would have no gradient
        features = self.convolutions((windows - means) * (variances + FAINT**2).rsqrt())
        what = self.what(features).unflatten(0, glimpses.shape[:2]).amax(1)  # (B, H)
        return what * self.where(places)


class Reader(nn.Module):
    """Two recurrent layers in one direction: the lower one reads, the upper one decides where to look next.

        g_n = glimpse(picture, l_n);  r1_n = cell(g_n, r1_{n-1});  r2_n = cell(r1_n, r2_{n-1})
        e_ni = a_i . U [r2_{n-1}; l_{n-1}] - |(place_i - l_{n-1} - d) / s|^2 / 2,  a_i of the small picture
        l_n = sum_i softmax(e_n)_i place_i + tanh(W r2_{n-1} + b) / 4

    The small picture gives r2_0, too. After every N glimpses `[r1_n; g_n]` says a digit, or that there are no
    more. The papers have `l_n = W r2_{n-1} + b` alone. With attention fewer pictures teach where to look:
    what the small picture shows of a digit is the same wherever it is. The next digit is guessed near a
    stride d from the last one (as in Luong et al. 2015, eq. 10); l_0, d and s are learnt.

    Args:
        options: Widths, cell and glimpses.
        sensor: Takes the glimpses.
        glimpse: Reads them.
        towards: 1 from left to right, -1 from right to left.
    """

    def __init__(
        self, options: ReaderOptions, sensor: GlimpseSensor, glimpse: GlimpseNetwork, towards: int = 1
    ) -> None:
        super().__init__()
        width = options.hidden_size
        self.options, self.sensor, self.glimpse = options, sensor, glimpse
        self.reads = CELLS[options.cell](width, width)
        self.looks = CELLS[options.cell](width, width)
        self.attention = MultiplicativeAttention(ContextNetwork.annotation_size, width + 2, 32)
        self.start = nn.Parameter(torch.tensor([-0.5 * towards, 0.0]))
        self.stride = nn.Parameter(torch.tensor([0.25 * towards, 0.0]))
        self.log_reach = nn.Parameter(torch.full((2,), REACH).log())
        self.place = nn.Linear(width, 2)
        nn.init.normal_(self.place.weight, std=0.01)
        nn.init.zeros_(self.place.bias)
        self.classify = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(2 * width, CLASSES))
        self.expect = nn.Linear(width, 1)
        # several processes wait for the gradients of all that trains
        unused = [] if options.kind == "reinforce" else [*self.expect.parameters()]
        if options.kind == "centre":
            unused += [*self.attention.parameters(), *self.looks.parameters(), *self.place.parameters()]
            unused += [self.start, self.stride, self.log_reach]
        for parameter in unused:
            parameter.requires_grad_(False)

    def forward(
        self,
        pyramid: list[Tensor],
        context: tuple[Tensor, Tensor] | None,
        coordinates: Float[Tensor, "L 2"],
        noise: float = 0.0,
        steps: Int[Tensor, " B"] | None = None,
    ) -> Reading:
        """Returns what is read of pictures.

        Args:
            pyramid: Of the pictures, from the sensor.
            context: Annotations (B, L, D) of the small pictures and their summary (B, H). Without it the
                window is nailed to the centre.
            coordinates: Of the annotations' places, x and y.
            noise: Standard deviation of places about what the network says; with it no gradient goes through
                a window.
            steps: Steps that count of each picture, in falling order; what is said of the others is 0. By
                default all count.
        """
        rows = len(pyramid[0])
        read: State = self.reads.init_state(rows)
        look: State = self.looks.init_state(rows)
        place = self.start.expand(rows, -1) if context is not None else read[0].new_zeros(rows, 2)
        mean = projected = place
        if context is not None:
            projected = self.attention.project(context[0])
            look = (context[1].to(look[0].dtype), *look[1:])
        seen: Tensor | None = None
        logits, places, means, baselines = [], [], [], []
        for step in range(MOST_DIGITS):
            if steps is not None and (live := int((steps > step).sum())) < len(place):
                if not live:
                    break
                pyramid, read, look = [level[:live] for level in pyramid], cut(read, live), cut(look, live)
                mean, place, projected = mean[:live], place[:live], projected[:live]
                seen = seen if seen is None else seen[:live]
            # from what decides where to look: knowing what was found there, it would take the reward away
            baselines.append(self.expect(look[0].detach()).squeeze(1))
            for _ in range(self.options.glimpses):
                if context is not None:
                    query = self.attention.hidden(torch.cat([look[0], place], dim=1)).unsqueeze(1)
                    energies = self.attention.energies(projected, query).squeeze(1).float()
                    away = (coordinates - (place + self.stride).unsqueeze(1)) / self.log_reach.exp()
                    alpha = (energies - away.square().sum(2) / 2).softmax(1)  # (B, L)
                    moved = NEAR * torch.tanh(self.place(look[0]).float())
                    # no product of matrices, which autocast would round to 1/256 of the picture
                    mean = ((alpha.unsqueeze(2) * coordinates).sum(1) + moved).clamp(-1, 1)
                    place = mean
                    if noise:
                        # not clamped, or it were no Gaussian; outside of the picture all is 0
                        place = (mean + noise * torch.randn_like(mean)).detach()
                if seen is None or context is not None:  # what a nailed window sees stays the same
                    seen = self.glimpse(self.sensor(pyramid, place), place)
                read = self.reads(seen, read)
                if context is not None:
                    look = self.looks(read[0], look)
                places.append(place)
                means.append(mean)
            assert seen is not None
            logits.append(self.classify(torch.cat([read[0], seen], dim=1)))
        counts = (MOST_DIGITS, MOST_DIGITS * self.options.glimpses)
        return Reading(
            laid_out(logits, rows, counts[0]),
            laid_out(places, rows, counts[1]),
            laid_out(means, rows, counts[1]),
            laid_out(baselines, rows, counts[0]),
        )


def cut(state: State, rows: int) -> State:
    """Returns the state of the first pictures alone."""
    return tuple(part[:rows] for part in state)


def laid_out(parts: list[Tensor], rows: int, count: int) -> Tensor:
    """Returns parts (B or fewer, ...) one beside the other (B, count, ...), 0 where one lacks a row."""
    if len(parts) == count and len(parts[-1]) == rows:
        return torch.stack(parts, 1)
    whole = parts[0].new_zeros(rows, count, *parts[0].shape[1:])
    for place, part in enumerate(parts):
        whole[: len(part), place] = part
    return whole
