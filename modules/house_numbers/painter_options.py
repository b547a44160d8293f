"""What a painter is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from modules.errors import InputError, check_at_least, check_ranges


@dataclass
class PainterOptions:
    """A painter: DRAW, or the plain variational autoencoder that it is measured by.

    Args:
        kind: draw adds strokes to a canvas step by step; vae says the whole picture at once.
        height: Of the picture in pixels: the middle of what the data hold.
        width: Of the picture in pixels.
        colours: 1 paints in grey, 3 in red, green and blue.
        conditional: Whether the painter is told the number.
        embedding_size: Width of a digit's embedding, where it is.
        hidden_size: Width of the hidden layers, which in draw are LSTMs.
        latent_size: Latent numbers of every step.
        steps: Strokes T.
        attention: Read and write through windows (eq. 19-29), or always the whole picture (eq. 17-18).
        read_size: Filters N along each side of the window that reads.
        write_size: Filters N along each side of the window that writes.
        prior: standard draws latents from N(0, 1), as DRAW does; learned from what the decoder expects.
        modulated: Whether a hidden layer, scaled and shifted by the digit attended to, lies between the state
            and what a stroke writes; DRAW writes from the state itself.
        reading_weight: What it costs, as a multiple, that a classifier does not read the number in a painting
            from the prior (nats); 0 has no classifier.
    """

    chosen_by: ClassVar[str] = "kind"
    read_by: ClassVar[dict[str, tuple[str, ...]]] = {
        "attention": ("draw",),
        "read_size": ("draw",),
        "write_size": ("draw",),
        "modulated": ("draw",),
        "reading_weight": ("draw",),
    }

    kind: Literal["draw", "vae"] = "draw"
    height: int = 32
    width: int = 64
    colours: Literal[1, 3] = 1
    conditional: bool = True
    embedding_size: int = 32
    hidden_size: int = 256
    latent_size: int = 16
    steps: int = 16
    attention: bool = True
    read_size: int = 12
    write_size: int = 10
    prior: Literal["standard", "learned"] = "learned"
    modulated: bool = False
    reading_weight: float = 0.0

    def __post_init__(self) -> None:
        sizes = ("height", "width", "embedding_size", "hidden_size", "latent_size", "steps")
        check_at_least(1, **{f"model.painter.{name}": getattr(self, name) for name in sizes})
        check_at_least(
            2, **{f"model.painter.{name}": getattr(self, name) for name in ("read_size", "write_size")}
        )
        check_ranges(self, "model.painter", not_negative=("reading_weight",))
        if self.reading_weight and not self.conditional:
            raise InputError(
                "model.painter.reading_weight is for a painter that is told the number; "
                "give --model.painter.reading_weight 0, or --model.painter.conditional true"
            )
        if self.reading_weight and min(self.height, self.width) < 16:
            raise InputError(
                f"model.painter.height and width are {self.height} and {self.width}; the classifier of "
                "model.painter.reading_weight needs at least 16"
            )
        if self.colours not in (1, 3):
            raise InputError(f"model.painter.colours is {self.colours}; it has to be 1 or 3")
