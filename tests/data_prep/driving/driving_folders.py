"""Small driving data for tests: files, images that tell their number, tables; and models to train on them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from data_prep.driving.datamodule import SteerDataModule
from data_prep.driving.splitting import SplitOptions
from data_prep.driving.table import DriveTable, write_drive_csv
from modules.decoders.steering import SteeringDecoderOptions
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer

SMALL = FramePreprocessing(24, 32)
CLIP = SteeringEncoderOptions(
    kind="clip", channels=4, kernels=(3, 3, 3, 3), strides=(2, 2, 1, 1), pool=(1, 4),
    dense_sizes=(16, 16, 16), feature_size=8,
)  # fmt: skip
FROZEN = SteeringEncoderOptions(
    kind="pretrained", name="mobilenetv3_small_050", stage=1, weights="none", pool=(2, 4)
)
DATA = Path(os.environ.get("SEQSIGHT_DATA", Path(__file__).parents[3] / "../shared/data"))


def put(root: Path, name: str, text: str | bytes = b"") -> Path:
    """Writes a file below root."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def numbered(number: int, height: int = 12, width: int = 16) -> np.ndarray:
    """Returns RGB bytes that are the same everywhere and tell a number below 200: (n, 255 - n, 20)."""
    return np.tile(np.array([number, 255 - number, 20], np.uint8), (height, width, 1))


def draw(root: Path, names: Iterable[str], height: int = 12, width: int = 16) -> None:
    """Writes image number 0, 1, 2 ... under these names."""
    for number, name in enumerate(names):
        image = numbered(number % 200, height, width)[:, :, ::-1]
        options = [cv2.IMWRITE_JPEG_QUALITY, 100] if name.endswith(".jpg") else []
        done, data = cv2.imencode(Path(name).suffix, image, options)
        assert done
        put(root, name, data.tobytes())


def drive(
    root: Path, frames: int = 40, rate: float = 20.0, drawn: bool = False, **columns: object
) -> DriveTable:
    """Returns a table of one camera's frames `images/00000.png` ..., with an angle that rises by 0.01 rad."""
    files = [f"images/{number:05d}.png" for number in range(frames)]
    if drawn:
        draw(root, files)
    given: dict = {
        "time_s": np.arange(frames) / rate,
        "angle_rad": np.arange(frames) * 0.01,
        "drive": "monday",
    }
    return DriveTable.build(root, **{"file": files, **given, **columns})


def drives(root: Path, lengths: Sequence[int], drawn: bool = False, **columns: object) -> DriveTable:
    """Returns a table of several drives, called a, b, c ..., of these many frames."""
    names = np.concatenate([[chr(ord("a") + place)] * length for place, length in enumerate(lengths)])
    times = np.concatenate([1000.0 * place + np.arange(n) / 20 for place, n in enumerate(lengths)])
    return drive(root, len(names), drawn=drawn, **{"drive": names, "time_s": times, **columns})


def model(encoder: SteeringEncoderOptions = CLIP, **decoder: object) -> Steerer:
    """Returns a tiny steering model; by default one that carries a state and sees five frames of context."""
    options = {"kind": "recurrent", "hidden_size": 8, "dense_size": 0, **decoder}
    return Steerer(SMALL, encoder, SteeringDecoderOptions(**options))  # type: ignore[arg-type]


def folder(root: Path, lengths: list[int], **columns: object) -> DriveTable:
    """Writes drives whose angle at row n is n / 1000, and whose picture there is number n."""
    frames = sum(lengths)
    table = drives(root / "data", lengths, drawn=True, **{"angle_rad": np.arange(frames) / 1000, **columns})
    write_drive_csv(table, root / "data/drive.csv")
    return table


def module(root: Path, **options: object) -> SteerDataModule:
    """Returns the data module of what `folder` wrote, with a cache of its own."""
    given = {"root": root / "data", "cache": root / "cache", "split": SplitOptions(rule="blocks"), **options}
    return SteerDataModule(**given)  # type: ignore[arg-type]
