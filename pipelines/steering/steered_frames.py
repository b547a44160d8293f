"""A recording steered from its first frame to its last, as a car would, in bounded memory.

Frames are decoded ahead in threads and steered in pieces. The state starts afresh where a drive begins, which
is also after every gap. A frame that cannot be read cuts its drive like a gap; it has no angle, because no
model said one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data_prep.driving.frame_sources import decode_in_order
from data_prep.driving.table import DriveTable
from modules.steering.ensemble import SteeringEnsemble
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.saliency import steering_saliency
from modules.steering.smoothing import Smoother
from modules.steering.steerer import Steerer
from pipelines.steering.drawing.overlay import SteeringOverlay

PIECE = 32  # frames that are steered at once

# what each model sees of a frame, and the frame for the overlay
Views = tuple[dict[FramePreprocessing, Tensor], np.ndarray | None]


@dataclass
class SteeredFrame:
    """What models say of one frame.

    Attributes:
        row: Of the table.
        begins: Whether the state started afresh here.
        angle_rad: Mean of the models, smoothed; NaN where the frame cannot be read.
        spread_rad: Standard deviation of the models' angles; NaN of one model, or without the frame.
        throttle: Mean of the models that say one, from -1 to 1; NaN where none does, or without the frame.
        reason: Why it cannot be read; empty otherwise.
        shown: The frame for the overlay; none without one, or where it cannot be read.
        saliency: Each model's map (H, W), where they were asked for.
    """

    row: int
    begins: bool
    angle_rad: float = float("nan")
    spread_rad: float = float("nan")
    throttle: float = float("nan")
    reason: str = ""
    shown: np.ndarray | None = None
    saliency: Sequence[np.ndarray] = ()


def steer_frames(
    table: DriveTable,
    models: Sequence[Steerer],
    smoother: Smoother,
    overlay: SteeringOverlay | None = None,
    saliency: bool = False,
) -> Iterator[SteeredFrame]:
    """Yields every row of a table, in its order, with the mean angle of the models.

    Args:
        table: Of one camera, cut.
        models: On their device; they may differ in frame size and context.
        smoother: Reset where the state is.
        overlay: Decides the size of the frames that are handed on; without it none are.
        saliency: Whether to compute where the models look.
    """
    ensemble = SteeringEnsemble(models)
    seen = ensemble.preprocessings

    def views(image: np.ndarray) -> Views:
        return {view: view(image) for view in seen}, overlay.fit(image) if overlay else None

    def steered(piece: list[tuple[int, Views]], begins: bool) -> Iterator[SteeredFrame]:
        if begins:
            smoother.reset()
            ensemble.reset()
        frames = {view: torch.stack([pixels[view] for _, (pixels, _) in piece]).unsqueeze(0) for view in seen}
        maps = []
        if saliency:
            for part in ensemble.parts:
                clip = part.clip(frames[part.model.preprocessing])[0]
                maps.append(steering_saliency(part.model, clip, part.state))
        said = ensemble.steer(frames)
        angles, spreads, throttles = (of_stream[0] for of_stream in said)  # (T,) each
        for place, (row, (_, shown)) in enumerate(piece):
            angle_rad = smoother.step(float(angles[place]))
            own = [each[place] for each in maps]
            begun = begins and place == 0
            spread_rad, throttle = float(spreads[place]), float(throttles[place])
            yield SteeredFrame(row, begun, angle_rad, spread_rad, throttle, "", shown, own)

    drive_begins = np.concatenate([[True], table.drive[1:] != table.drive[:-1]])
    piece: list[tuple[int, Views]] = []
    begins = True  # the piece, a drive
    for row, found in enumerate(decode_in_order(table.root, table.file.tolist(), views, ahead=PIECE)):
        if piece and (drive_begins[row] or isinstance(found, str) or len(piece) == PIECE):
            yield from steered(piece, begins)
            piece, begins = [], False
        begins = begins or bool(drive_begins[row])
        if isinstance(found, str):
            yield SteeredFrame(row, False, reason=found)
            begins = True
        else:
            piece.append((row, found))
    if piece:
        yield from steered(piece, begins)
