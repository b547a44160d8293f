"""The `predict` command: angles for a recording of one's own, frame by frame, as a car would steer.

One row a frame, in the order of time. A frame that cannot be read is named, cuts its drive like a gap and
keeps its row, with an empty angle: readers of csv take that for unknown, and leave it out of a mean.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from data_prep.driving.formats.frame_folder import frames_of
from data_prep.driving.frame_sources import decode_frames, decode_in_order
from data_prep.driving.table import DriveTable
from data_prep.left_out import SHOWN, warn_of
from data_prep.progress import counting_bar
from modules.errors import InputError, tell
from modules.metrics.calibration import Calibration
from modules.steering.smoothing import SmoothingName, smoother
from modules.steering.steerer import Steerer
from modules.steering.units import AngleUnit, unit_of
from modules.whole_files import ESCAPED, write_whole
from pipelines.devices import chosen_device
from pipelines.output_files import outputs
from pipelines.steering.angle_files import DEVIATION
from pipelines.steering.drawing.car_view import CAMERAS, CarView, for_the_horizon
from pipelines.steering.drawing.overlay import SteeringOverlay, heat_of
from pipelines.steering.drawing.picture import check_video, write_video
from pipelines.steering.loop.loaded_models import load_models, steered_for
from pipelines.steering.steered_frames import SteeredFrame, steer_frames
from pipelines.steering.true_angles import needs_drives, true_angles

_PICTURES = 48  # in which the horizon is looked for


@dataclass
class SteerPredictionOptions:
    """Steer along a recording, free-running, and write an angle for every frame.

    Args:
        frames: Folder of images, a video, or a recording in any known format; labels are not looked at.
        ckpt_path: Checkpoint of a steering model, such as RUN/checkpoints/best.ckpt. Of several the mean of
            their angles counts. By default the ready-made one, which has learnt drawn roads alone.
        output: The angles: frame_id,steering_angle in radians of the steering wheel, left positive, in the
            order of time. Of a model of DonkeyCars or the simulator frame_id,share_of_full_lock, from -1 to
            1, and throttle where the model says one. A frame that cannot be read has an empty angle. Of
            several models standard_deviation says how far apart they are. Where drives have frames of the
            same name, as several videos do, a last column names the drive.
        overlay: Also write an .mp4 of the frames with the predicted path, wheel and angle. Of several models
            the path widens by two standard deviations either way.
        labels: True angles for the overlay, as score takes them.
        saliency: Show on the overlay where the model looks: the gradient of the angle by the pixels
            (SmoothGrad, squared), without those of optical flow; a few frames a second on one core.
        smoothing: none; exponential, smoothest and latest; chauffeur, towards the line through the ten angles
            before. On held-out frames of a real drive, where it was chosen, that gives an RMSE of 0.0387 rad
            against 0.0389. Elsewhere it may be worse.
        smoothing_weight: Of the newest angle in exponential smoothing, above 0 and at most 1.
        floor: What all models get wrong alike, of a calibration that score has stated: the standard deviation
            becomes sqrt(floor² + (scale times itself)²).
        scale: Of the standard deviation, of the same calibration.
        rate: Frames a second where the names of images tell no time.
        camera: Which one is taken where the recording has several.
        topic: Of the images, where a bag has several cameras; by default chosen by name, type and rate.
        car: Car and camera for the path on the overlay, which is approximate.
        device: auto, cpu, cuda, cuda:N or mps; auto takes an NVIDIA GPU where there is one.
        overwrite: Replace output and overlay where they exist.
    """

    frames: Path
    ckpt_path: list[Path] | None = None
    output: Path = Path("predictions.csv")
    overlay: Path | None = None
    labels: Path | None = None
    saliency: bool = False
    smoothing: SmoothingName = "none"
    smoothing_weight: float = 0.4
    floor: float = 0.0
    scale: float = 1.0
    rate: float = 20.0
    camera: str = "center"
    topic: str | None = None
    car: CarView = field(default_factory=CarView)
    device: str = "auto"
    overwrite: bool = False


def predict(options: SteerPredictionOptions) -> None:
    """Steers along a recording and writes angles, and a video if asked for."""
    _check(options)
    read = [path for path in (*(options.ckpt_path or ()), options.frames, options.labels) if path is not None]
    with outputs({"output": options.output, "overlay": options.overlay}, options.overwrite, read):
        _steer(options)


def _steer(options: SteerPredictionOptions) -> None:
    device = chosen_device(options.device)
    models = load_models(options.ckpt_path, device)
    table, notes = frames_of(options.frames, options.camera, options.rate, options.topic)
    for note in notes:
        tell(f"note: {note}")
    rate_hz = table.rate_hz(options.rate)
    shape, some = _some_frames(table, _PICTURES if options.overlay else 1)
    for said in dict.fromkeys(model.unlike_rate(rate_hz) for model in models):
        if said is not None:
            tell(f"note: {said}")
    learnt = steered_for(models, table.recorder, options.ckpt_path)
    unit = unit_of(table.recorder if learnt is None else learnt)
    truth = np.full(len(table), np.nan)
    if options.labels is not None:
        truth = true_angles(options.labels, table, options.camera, None if learnt is None else unit)
    overlay = None
    if options.overlay is not None:
        view = options.car.settle(table.recorder or learnt, some)
        overlay = SteeringOverlay(view, rate_hz, options.labels is not None, shape, unit)
        tell(f"note: the path is drawn for {view.described()} (--car.kind, --car.camera)")

    calibration = Calibration(options.floor * unit.full_lock, options.scale)
    begun = time.monotonic()
    steered: list[SteeredFrame] = []
    with counting_bar("frames") as bar:
        task = bar.add_task("steering", total=len(table))

        def frames() -> Iterator[SteeredFrame]:
            smoothing = smoother(options.smoothing, options.smoothing_weight)
            for frame in steer_frames(table, models, smoothing, overlay, options.saliency):
                frame.spread_rad = float(calibration.apply(np.array([frame.spread_rad]))[0])
                yield frame
                bar.advance(task)
                # what is kept of an hour has no pictures
                steered.append(replace(frame, shown=None, saliency=()))

        if overlay is not None and options.overlay is not None:
            write_video(_pictures(frames(), overlay, models, table, truth), options.overlay, rate_hz)
        else:
            for _ in frames():
                pass
    more = [DEVIATION] * (len(models) > 1) + ["throttle"] * any(model.says_throttle for model in models)
    _write(options.output, table, steered, unit, more)
    failed = [(table.root / table.file[frame.row], frame.reason) for frame in steered if frame.reason]
    lines = [f"{file}: {why}; its angle is empty and the drive is cut there" for file, why in failed]
    warn_of(lines, "more like the last")
    _summarise(options, table, steered, time.monotonic() - begun, unit)


def _pictures(
    frames: Iterator[SteeredFrame],
    overlay: SteeringOverlay,
    models: Sequence[Steerer],
    table: DriveTable,
    truth: np.ndarray,
) -> Iterator[np.ndarray]:
    seen = [model.preprocessing for model in models]
    reads_flow = any(model.flow is not None for model in models)
    for frame in frames:
        shown = np.zeros((*overlay.shape, 3), np.uint8) if frame.shown is None else frame.shown
        heat = heat_of(frame.saliency, seen, overlay.shape) if len(frame.saliency) else None
        caption = f"frame {table.frame[frame.row]}{' cannot be read' if frame.reason else ''}"
        if heat is not None and reads_flow:
            caption += "   heat: of the CNN alone; optical flow counts, too"
        true_rad = float(truth[frame.row])
        yield overlay.draw(shown, frame.angle_rad, true_rad, caption, frame.begins, heat, frame.spread_rad)


def _check(options: SteerPredictionOptions) -> None:
    if options.camera in CAMERAS:
        raise InputError(
            f"--camera {options.camera}: names a camera of the recording, such as left; where the overlay's "
            f"camera is, says --car.camera {options.camera}"
        )
    if options.rate <= 0:
        raise InputError(f"--rate is {options.rate}; it has to be above 0")
    if not 0 < options.smoothing_weight <= 1:
        raise InputError(
            f"--smoothing_weight is {options.smoothing_weight}; it has to be above 0 and at most 1"
        )
    for option in ("floor", "scale"):
        if not 0 <= getattr(options, option) < float("inf"):
            raise InputError(f"--{option} is {getattr(options, option)}; it has to be 0 or more")
    if (options.floor, options.scale) != (0.0, 1.0) and len(options.ckpt_path or ()) < 2:
        raise InputError("--floor and --scale are of the spread of several models; give --ckpt_path A B")
    for option in ("labels", "saliency"):
        if options.overlay is None and getattr(options, option):
            raise InputError(f"--{option} is shown on the video; name one with --overlay out.mp4")
    if options.overlay is not None:
        check_video(options.overlay)


def _some_frames(table: DriveTable, many: int) -> tuple[tuple[int, int], list[np.ndarray]]:
    """Returns rows and columns of the first frame that can be read, and small ones of the whole length."""

    def small(image: np.ndarray) -> tuple[tuple[int, int], np.ndarray]:
        return (image.shape[0], image.shape[1]), for_the_horizon(image)  # large ones would fill the memory

    for found in decode_in_order(table.root, table.file.tolist(), small, ahead=1):
        if not isinstance(found, str):
            break
    else:
        raise InputError(f"{table.root / table.file[0]}: no frame can be read")
    shape, first = found
    places = np.unique(np.linspace(0, len(table) - 1, many).astype(int))
    others = decode_frames(table.root, table.file[places].tolist(), small, ahead=4)
    return shape, [first, *(each[1] for _, each in others if not isinstance(each, str) and each[0] == shape)]


def _write(
    path: Path, table: DriveTable, steered: Sequence[SteeredFrame], unit: AngleUnit, more: Sequence[str]
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    by_drive, drives = needs_drives(table), table.recordings()
    writer.writerow(["frame_id", unit.column, *more, *["drive"] * by_drive])
    for frame in steered:
        said = {
            unit.column: frame.angle_rad / unit.full_lock,
            DEVIATION: frame.spread_rad / unit.full_lock,
            "throttle": frame.throttle,
        }
        cells = ["" if frame.reason else f"{said[name]:.6f}" for name in (unit.column, *more)]
        writer.writerow([table.frame[frame.row], *cells, *[drives[frame.row]] * by_drive])
    write_whole(path, text.getvalue().encode(errors=ESCAPED))


def _summarise(
    options: SteerPredictionOptions,
    table: DriveTable,
    steered: Sequence[SteeredFrame],
    seconds: float,
    unit: AngleUnit,
) -> None:
    stretches, drives = sum(frame.begins for frame in steered), len(table.series(recordings=True))
    parts = f"{stretches:,} unbroken stretch{'es' if stretches > 1 else ''}"
    parts += f" of {drives:,} drive{'s' if drives > 1 else ''}"
    lines = [("frames", f"{len(steered):,} in {parts}")]
    failed = [str(table.frame[frame.row]) for frame in steered if frame.reason]
    if failed:
        names = ", ".join(failed[:SHOWN]) + (", ..." if len(failed) > SHOWN else "")
        lines.append(("unreadable", f"{len(failed):,}, their angles are empty: {names}"))
    lines.append(("seconds", f"{seconds:.0f}, {len(steered) / max(seconds, 1e-9):.0f} frames/s"))
    lines.append(("predictions", str(options.output)))
    lines.append(("unit", unit.described))
    if options.overlay is not None:
        lines.append(("overlay", str(options.overlay)))
    for label, value in lines:
        print(f"{label:<12} {value}")
