"""Several captioners that write one caption together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from torch import Tensor, nn

from modules.captioning.captioner import Captioner
from modules.captioning.writing import CaptionWriter
from modules.decoders.captions import CaptionDecoder
from modules.decoders.ensemble import EnsembleDecoder
from modules.errors import InputError


class CaptionerEnsemble(CaptionWriter, pl.LightningModule):
    """Captioners whose next word has the mean of their probabilities; it decodes as the first does.

    >>> ensemble = CaptionerEnsemble.load(["seed0.ckpt", "seed1.ckpt", "seed2.ckpt"])  # doctest: +SKIP

    Args:
        members: Of one vocabulary, which bring images to the same square.
        names: Of the members, for messages.

    Raises:
        InputError: Members differ in words, or in the size of images and how they become square.
    """

    def __init__(self, members: Sequence[Captioner], names: Sequence[str] | None = None) -> None:
        super().__init__()
        self.members = list(members)
        self.weights = nn.ModuleList(members)  # so that they move and are counted
        names = names or [f"member {number}" for number in range(1, len(members) + 1)]
        first = members[0]
        for name, member in zip(names, members, strict=True):
            assert first.vocabulary is not None and member.vocabulary is not None
            if member.vocabulary.words != first.vocabulary.words:
                raise InputError(
                    f"{name}: its {len(member.vocabulary):,} words are not the {len(first.vocabulary):,} of "
                    f"{names[0]}; models that write together are trained on the same captions"
                )
            if (member.encoder.image_size, member.resize) != (first.encoder.image_size, first.resize):
                raise InputError(
                    f"{name}: reads images of {member.encoder.image_size} px ({member.resize}), "
                    f"{names[0]} of {first.encoder.image_size} px ({first.resize}); both have to be the same"
                )
        self.encoder, self.resize = first.encoder, first.resize
        self.vocabulary, self.decoding, self.keep_attention = first.vocabulary, first.decoding, False
        self.has_sentinel = any(member.has_sentinel for member in members)
        # members with one frozen encoder, as several seeds have, share its annotations
        read = [
            member.encoder.fingerprint() if member.encoder.is_frozen else number
            for number, member in enumerate(members)
        ]
        self.shared = [read.index(own) for own in read]

    @classmethod
    def load(cls, paths: Sequence[Path | str]) -> CaptionerEnsemble:
        """Returns the ensemble of these checkpoints, on the CPU, in evaluation mode."""
        return cls([Captioner.load(path) for path in paths], [str(path) for path in paths]).eval()

    @property
    def mirrored(self) -> bool:
        """Whether the members also read the mirror image; set for all of them."""
        return all(member.mirrored for member in self.members)

    @mirrored.setter
    def mirrored(self, mirrored: bool) -> None:
        for member in self.members:
            member.mirrored = mirrored

    def views(self, inputs: Tensor) -> list[Tensor]:
        """Returns what each member reads of pixels (N, 3, S, S)."""
        views: list[Tensor] = []
        for number, (first, member) in enumerate(zip(self.shared, self.members, strict=True)):
            is_shared = first < number and self.members[first].mirrored == member.mirrored
            views.append(views[first] if is_shared else member.views(inputs))
        return views

    def reader(self) -> EnsembleDecoder:
        return EnsembleDecoder([member.reader() for member in self.members])

    def decoders(self) -> list[CaptionDecoder]:
        return [decoder for member in self.members for decoder in member.decoders()]

    @property
    def attends(self) -> bool:
        """Whether all members look, and at one grid, of which attention has a mean."""
        return super().attends and len({member.encoder.grid for member in self.members}) == 1
