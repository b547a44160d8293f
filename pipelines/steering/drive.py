"""The `drive` command: a model steers a car on drawn roads that it has never seen."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.table import Table

from data_prep.driving.road import dataset as road
from data_prep.driving.road.driver import Driver
from data_prep.driving.road.drives import draw_roads
from data_prep.driving.road.scene import LONGEST_S, Road
from data_prep.driving.road.vehicle import RATE_HZ, Car
from data_prep.progress import tracked
from modules.errors import InputError
from modules.steering.steerer import Steerer
from modules.steering.stream import SteeringStream
from modules.steering.units import RADIANS, unit_of
from pipelines.arguments import run_folder_of
from pipelines.devices import chosen_device
from pipelines.output_files import outputs
from pipelines.steering.drawing.picture import check_video, write_video
from pipelines.steering.drawing.road_video import annotated_frames
from pipelines.steering.loop.closed_loop import ClosedLoopResult, drive_by_state, drive_closed_loop

CPU = torch.device("cpu")
ROADS, SECONDS = 10, 15.0  # at the end of a fit, and by default


def drive(
    ckpt_path: Path,
    roads: int = ROADS,
    seconds: float = SECONDS,
    seed: int = 0,
    latency_frames: int = 0,
    video: Path | None = None,
    video_roads: int | list[int] = 0,
    device: str = "cpu",
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Let a model drive in closed loop on drawn roads that no model was trained on, and count interventions.

    Every 1/20 s a frame is drawn from where the car is and the model says an angle. When the car is more than
    1 m off the centre of its lane it is put back there. That counts as 6 s not driven by the model. Beside
    the model drive the human-like driver whose drives are the training data, who knows the road, and a wheel
    that is always held straight. Training drives are on other roads, whatever the seed.

    Args:
        ckpt_path: Checkpoint of a steering model, such as RUN/checkpoints/best.ckpt.
        roads: How many roads.
        seconds: How long each is driven on, from 1 to 150.
        seed: Of the set of roads, from 0 to 999; each has roads of its own.
        latency_frames: How many frames of 1/20 s late an angle arrives at the wheel, of every driver.
        video: Write an mp4 of what the camera saw, with wheel, angle and the road from above.
        video_roads: Road in the video, counted from 0; several one after the other: [0,2].
        device: auto, cpu, cuda, cuda:N or mps. One frame at a time is quick on a CPU.
        overwrite: Replace the video where it exists.
        json: Print one JSON object in place of the tables.
    """
    _check(roads, seconds, seed, latency_frames)
    shown: list[int] = []
    if video is not None:
        shown = [video_roads] if isinstance(video_roads, int) else list(dict.fromkeys(video_roads))
        _check_video(video, shown, roads)
    with outputs({"video": video}, overwrite, (ckpt_path,)):
        chosen = chosen_device(device)
        model = Steerer.load(ckpt_path)
        if note := _other_frames(ckpt_path):
            Console(stderr=True).print(f"note: {note}", soft_wrap=True, markup=False, highlight=False)
        if (unit := unit_of(model.recorder)) != RADIANS:
            print(
                f"WARNING: the model says {unit.described} ({model.recorder}), and the car here takes it for "
                f"{RADIANS.described}: how it drives says nothing of it",
                file=sys.stderr,
            )
        drawn = draw_roads(roads, seconds, seed=seed, progress=True)
        driven, frames = drive_model(model, drawn, seconds, latency_frames, shown, chosen)
        results = {"model": driven} | drive_controls(drawn, seconds, latency_frames)
        if video is not None:
            pictures = _pictures(driven, drawn, shown, frames)
            total = len(shown) * len(driven.offset_m)
            write_video(tracked(pictures, "writing the video", total), video)
    if json:
        told = {"checkpoint": str(ckpt_path), "seed": seed, "seconds": seconds}
        told |= {"latency_frames": latency_frames, "road_seeds": [r.seed for r in drawn]}
        told |= {name: result.to_dict() for name, result in results.items()}
        print(jsonlib.dumps(told | ({"video": str(video)} if video is not None else {})))
        return
    console = Console()
    console.print(closed_loop_table({name: result.to_dict() for name, result in results.items()}))
    console.print(_by_road(results))
    if video is not None:
        print(f"video in {video}")


def drive_model(
    model: Steerer,
    roads: Sequence[Road],
    seconds: float,
    latency_frames: int = 0,
    watched: Sequence[int] = (),
    device: torch.device = CPU,
) -> tuple[ClosedLoopResult, list[np.ndarray]]:
    """Returns how a model drives, and what each step showed on the watched roads (K, Hh, Ww, 3)."""
    stream = SteeringStream(model.to(device), len(roads))
    seen = []

    def steer(frames: np.ndarray) -> np.ndarray:
        if watched:
            seen.append(frames[list(watched)])
        return stream.step(frames)

    result = drive_closed_loop(
        steer,
        roads,
        seconds,
        batched=True,
        reset=stream.reset,
        latency_frames=latency_frames,
        progress=True,
    )
    return result, seen


def drive_controls(
    roads: Sequence[Road], seconds: float, latency_frames: int = 0
) -> dict[str, ClosedLoopResult]:
    """Returns how the human-like driver, who knows the road, and a wheel held straight do on these roads."""
    drivers = [Driver(np.random.default_rng([road.seed, 5])) for road in roads]

    def human(cars: list[Car]) -> list[float]:
        return [driver.steer(car) for driver, car in zip(drivers, cars, strict=True)]

    def straight(cars: list[Car]) -> list[float]:
        return [0.0] * len(cars)

    return {
        name: drive_by_state(steer, roads, seconds, latency_frames=latency_frames)
        for name, steer in {"human_like_driver": human, "always_straight": straight}.items()
    }


def closed_loop_table(results: dict[str, dict[str, Any]]) -> Table:
    """Returns the table of systems by name, each with what `ClosedLoopResult.to_dict` says of it."""
    first = next(iter(results.values()))
    table = Table(title=f"Closed loop on {first['roads']} unseen roads, {first['elapsed_s']:.0f} s together")
    table.add_column("system")
    for heading in ("autonomy", "interventions", "roads with one", "m off (RMS)"):
        table.add_column(heading, justify="right")
    for name, result in results.items():
        table.add_row(
            name.replace("_", " "),
            f"{result['autonomy']:.1%}",
            str(result["interventions"]),
            str(result["failures"]),
            f"{result['lateral_rmse_m']:.2f}",
            style="bold" if name == "model" else None,
        )
    return table


def _by_road(results: dict[str, ClosedLoopResult]) -> Table:
    table = Table(title="Road by road: interventions, metres off (RMS)")
    table.add_column("road", justify="right")
    told = {name: result.to_dict() for name, result in results.items()}
    for name in told:
        table.add_column(name.replace("_", " "), justify="right", style="bold" if name == "model" else None)
    for number in range(next(iter(told.values()))["roads"]):
        cells = [
            f"{result['interventions_by_road'][number]}  {result['lateral_rmse_m_by_road'][number]:.2f}"
            for result in told.values()
        ]
        table.add_row(str(number), *cells)
    return table


def _pictures(
    result: ClosedLoopResult, roads: Sequence[Road], shown: Sequence[int], frames: Sequence[np.ndarray]
) -> Iterator[np.ndarray]:
    for place, number in enumerate(shown):
        column = slice(number, number + 1)
        values = {f.name: getattr(result, f.name)[:, column] for f in fields(result) if f.name != "frames"}
        seen = np.stack([step[place : place + 1] for step in frames])  # (steps, 1, Hh, Ww, 3)
        yield from annotated_frames(ClosedLoopResult(**values, frames=seen), roads[number])


def _check(roads: int, seconds: float, seed: int, latency_frames: int) -> None:
    for name, value, least, most in [
        ("roads", roads, 1, 1000),
        ("seconds", seconds, 1, LONGEST_S),
        ("seed", seed, 0, 999),
        ("latency_frames", latency_frames, 0, RATE_HZ),
    ]:
        if not least <= value <= most:
            raise InputError(f"{name} is {value:g}; it has to be from {least} to {most:g}")


def _check_video(video: Path, shown: Sequence[int], roads: int) -> None:
    """Finds what would stop the video before a minute has been driven."""
    check_video(video)
    unknown = [number for number in shown if not 0 <= number < roads]
    if unknown or not shown:
        what = f"names road {unknown[0]}" if unknown else "names no road"
        raise InputError(f"video_roads {what}; there are 0 to {roads - 1}")


def _other_frames(checkpoint: Path) -> str | None:
    """Returns what is to be said of a model that was trained on the frames of another camera."""
    folder = run_folder_of(checkpoint)
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) if folder else None
        data = config["data"] if config else None
        if data is not None:
            roots = [data["root"]] if isinstance(data["root"], str) else data["root"] or []
            if data["format"] == "road" or all(road.recognises(Path(root)) for root in roots):
                return None
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        data = None
    if data is None:
        return "nothing beside the checkpoint says on which frames it was trained; these are drawn ones"
    where = ", ".join(roots)
    return f"the model was trained on {where}, whose camera sees another picture than drawn roads give"
