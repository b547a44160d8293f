"""The encoders a steering model can have, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from modules.encoders.chauffeur import ChauffeurEncoder
from modules.encoders.clip import TIME_KERNELS, ClipEncoder
from modules.encoders.pilotnet import PilotNetEncoder
from modules.encoders.pretrained import PretrainedEncoder
from modules.errors import InputError, check_ranges
from modules.steering.preprocessing import FramePreprocessing

SteeringEncoder = PilotNetEncoder | ClipEncoder | ChauffeurEncoder | PretrainedEncoder


@dataclass
class SteeringEncoderOptions:
    """The CNN that reads the frames.

    Args:
        kind: pilotnet and chauffeur are trained and read single frames, clip is Komanda's 3D convolution over
            six frames, pretrained is a backbone with ImageNet weights.
        dropout: Probability of dropping a unit (chauffeur: a channel) in pilotnet, clip and chauffeur.
        channels: Channels of each convolution of clip.
        kernels: Height and width of the kernels of clip's four convolutions.
        strides: Their strides.
        time_kernels: Frames that each of them looks at; with 1 throughout clip reads single frames, too.
        pool: Rows and columns that maps are averaged to: clip's auxiliary ones (by default taken whole), or
            the one of pretrained (by default 3 and 8).
        dense_sizes: Widths of clip's dense layers.
        feature_size: Width of clip's features.
        name: Backbone of pretrained: efficientnet_lite0, any timm name, or torchvision/NAME.
        stage: Whose map pretrained reads: last, the number of a timm stage, or a torchvision node.
        weights: Of pretrained: imagenet, none, or the path of a state dict.
        finetune_from: First block of pretrained that is trained; by default it stays frozen.
        downscale: Whole number by which pretrained shrinks frames for its backbone; the flow sees them whole.
        flow: Rows and columns of a grid, in whose cells the mean optical flow since the frame before joins
            the features; by default it does not.
        flow_refinements: Rounds in which the flow is smoothed before it is averaged; 0 takes half the time.
    """

    chosen_by: ClassVar[str] = "kind"
    read_by: ClassVar[dict[str, tuple[str, ...]]] = {
        "dropout": ("pilotnet", "clip", "chauffeur"),
        "pool": ("clip", "pretrained"),
        **dict.fromkeys(
            ("channels", "kernels", "strides", "time_kernels", "dense_sizes", "feature_size"), ("clip",)
        ),
        **dict.fromkeys(("name", "stage", "weights", "finetune_from", "downscale"), ("pretrained",)),
    }

    kind: Literal["pilotnet", "clip", "chauffeur", "pretrained"] = "pilotnet"
    dropout: float = 0.0
    channels: int = 64
    kernels: tuple[int, int, int, int] = (12, 5, 5, 5)
    strides: tuple[int, int, int, int] = (6, 2, 1, 1)
    time_kernels: tuple[int, int, int, int] = TIME_KERNELS
    pool: tuple[int, int] | None = None
    dense_sizes: tuple[int, ...] = (1024, 512, 256)
    feature_size: int = 128
    name: str = "efficientnet_lite0"
    stage: int | str = "last"
    weights: str = "imagenet"
    finetune_from: int | str | None = None
    downscale: int = 1
    flow: tuple[int, int] | None = None
    flow_refinements: int = 5

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "model.encoder",
            positive=("channels", "feature_size", "downscale"),
            not_negative=("flow_refinements",),
            below_one=("dropout",),
        )
        for name in ("kernels", "strides", "time_kernels", "pool", "dense_sizes"):
            sizes = getattr(self, name)
            if sizes is not None and min(sizes, default=1) < 1:
                raise InputError(f"model.encoder.{name} is {list(sizes)}; each has to be above 0")


def build_encoder(options: SteeringEncoderOptions, frames: FramePreprocessing) -> SteeringEncoder:
    """Returns the encoder of that kind for frames of that size."""
    size = frames.height, frames.width
    if options.kind == "pilotnet":
        return PilotNetEncoder(*size, dropout=options.dropout)
    if options.kind == "chauffeur":
        return ChauffeurEncoder(*size, dropout=options.dropout)
    if options.kind == "clip":
        return ClipEncoder(
            *size,
            channels=options.channels,
            kernels=options.kernels,
            strides=options.strides,
            pool=options.pool,
            dense_sizes=options.dense_sizes,
            feature_size=options.feature_size,
            dropout=options.dropout,
            time_kernels=options.time_kernels,
        )
    return PretrainedEncoder(
        *size,
        name=options.name,
        stage=options.stage,
        weights=options.weights,
        finetune_from=options.finetune_from,
        pool=options.pool or (3, 8),
        downscale=options.downscale,
    )
