"""The `drive` command: a model steers a car on drawn roads that it has never seen."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from data_prep.driving.road import dataset as road
from data_prep.driving.road.driver import Driver
from data_prep.driving.road.drives import draw_roads
from data_prep.driving.road.scene import LONGEST_S, Road
from data_prep.driving.road.vehicle import Car
from data_prep.progress import tracked
from modules.errors import InputError, tell
from modules.steering.ensemble import SteeringEnsemble
from modules.steering.pretrained import PRETRAINED
from modules.steering.steerer import Steerer
from modules.steering.units import RADIANS, unit_of
from pipelines.arguments import run_folder_of
from pipelines.devices import chosen_device
from pipelines.output_files import outputs
from pipelines.steering.drawing.picture import check_video, write_video
from pipelines.steering.drawing.road_video import annotated_frames
from pipelines.steering.loop.closed_loop import (
    ClosedLoopResult,
    Conditions,
    ModelDrive,
    drive_by_state,
    drive_closed_loop,
)
from pipelines.steering.loop.drive_page import write_drive_page
from pipelines.steering.loop.loaded_models import load_models, steered_for
from pipelines.steering.single_frames import CONTROL

ROADS, SECONDS, LATENCY_S = 10, 15.0, 0.1  # at the end of a fit, and by default


def drive(
    ckpt_path: list[Path] | None = None,
    roads: int = ROADS,
    seconds: float = SECONDS,
    seed: int = 0,
    latency_s: float = LATENCY_S,
    gusts: bool = False,
    video: Path | None = None,
    video_roads: int | list[int] = 0,
    report: Path | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Let a model drive in closed loop on drawn roads that no model was trained on, and count interventions.

    Every 1/20 s a frame is drawn from where the car is and the model says an angle. When the car is more than
    1 m off the centre of its lane it is put back there. That counts as 6 s not driven by the model. Beside
    the model drive the human-like driver whose drives are the training data, who knows the road, and a wheel
    that is always held straight; so does the single_frame.ckpt that a fit has left beside the checkpoint.
    Training drives are on other roads, whatever the seed.

    Args:
        ckpt_path: Checkpoint of a steering model, such as RUN/checkpoints/best.ckpt. Of several the mean of
            their angles counts. By default the ready-made one, which was trained on drawn roads.
        roads: How many roads.
        seconds: How long each is driven on, from 1 to 150.
        seed: Of the set of roads, from 0 to 999; each has roads of its own.
        latency_s: How late an angle arrives at the wheel, of every driver, in steps of 0.05 s.
        gusts: Let gusts of wind push the car every few seconds, as in the training drives.
        video: Write an mp4 of what the camera saw, with wheel, angle and the road from above.
        video_roads: Road in the video, counted from 0; several one after the other: [0,2].
        report: Write an HTML page with the scores, and with path, offset and angle over time, road by road.
        device: auto, cpu, cuda, cuda:N or mps. One frame at a time is quick on a CPU.
        overwrite: Replace video and report where they exist.
        json: Print one JSON object in place of the tables.
    """
    _check(roads, seconds, seed)
    conditions = Conditions(latency_s, gusts)
    shown: list[int] = []
    if video is not None:
        shown = [video_roads] if isinstance(video_roads, int) else list(dict.fromkeys(video_roads))
        _check_video(video, shown, roads)
    with outputs({"video": video, "report": report}, overwrite, ckpt_path or ()):
        models = load_models(ckpt_path, chosen_device(device))
        for checkpoint, model in zip(ckpt_path or (), models, strict=False):
            if model.recorder != "road" and (note := _other_frames(checkpoint)):
                Console(stderr=True).print(f"note: {note}", soft_wrap=True, markup=False, highlight=False)
        recorder = steered_for(models, "road", ckpt_path)
        if (unit := unit_of(recorder)) != RADIANS:
            tell(
                f"WARNING: the model says {unit.described} ({recorder}), and the car here takes it for "
                f"{RADIANS.described}: how it drives says nothing of it"
            )
        drawn = draw_roads(roads, seconds, seed=seed, progress=True)
        driven = drive_models(models, drawn, seconds, conditions, shown)
        results = {"model": driven.result}
        single = ckpt_path[0].with_name(f"{CONTROL}.ckpt") if ckpt_path else None
        if single is not None and single.is_file() and single not in (ckpt_path or ()):
            control = [Steerer.load(single).to(models[0].device)]
            results[CONTROL] = drive_models(control, drawn, seconds, conditions).result
        results |= drive_controls(drawn, seconds, conditions)
        if video is not None:
            pictures = _pictures(driven, drawn, shown)
            total = len(shown) * len(driven.result.offset_m)
            write_video(tracked(pictures, "writing the video", total), video)
        named = [str(path) for path in ckpt_path or [PRETRAINED]]
        if report is not None:
            write_drive_page(report, results, driven, drawn, conditions, named, seed)
    if json:
        told = {"checkpoints": named, "seed": seed, "seconds": seconds, **vars(conditions)}
        told |= {"road_seeds": [road.seed for road in drawn]}
        told |= {name: result.to_dict() for name, result in results.items()}
        files = {"video": video, "report": report}
        print(jsonlib.dumps(told | {name: str(path) for name, path in files.items() if path is not None}))
        return
    console = Console()
    told = {name: result.to_dict() for name, result in results.items()}
    console.print(closed_loop_table(told, conditions))
    console.print(_by_road(results))
    for name, path in (("video", video), ("report", report)):
        if path is not None:
            print(f"{name} in {path}")


def drive_models(
    models: Sequence[Steerer],
    roads: Sequence[Road],
    seconds: float,
    conditions: Conditions,
    watched: Sequence[int] = (),
) -> ModelDrive:
    """Returns how the mean of models drives, and what each step showed on the watched roads."""
    ensemble = SteeringEnsemble(models, len(roads))
    seen, spreads = [], []

    def steer(frames: np.ndarray) -> np.ndarray:
        if watched:
            seen.append(frames[list(watched)])
        angles, spread = ensemble.step(frames)
        spreads.append(spread)
        return angles

    result = drive_closed_loop(
        steer, roads, seconds, batched=True, reset=ensemble.reset, progress=True, conditions=conditions
    )
    return ModelDrive(result, np.stack(spreads), seen)


def drive_controls(
    roads: Sequence[Road], seconds: float, conditions: Conditions
) -> dict[str, ClosedLoopResult]:
    """Returns how the human-like driver, who knows the road, and a wheel held straight do on these roads."""
    drivers = [Driver(np.random.default_rng([road.seed, 5])) for road in roads]

    def human(cars: list[Car]) -> list[float]:
        return [driver.steer(car) for driver, car in zip(drivers, cars, strict=True)]

    def straight(cars: list[Car]) -> list[float]:
        return [0.0] * len(cars)

    def reset(cars: np.ndarray) -> None:
        for number in np.flatnonzero(cars):
            drivers[number].reset()

    return {
        name: drive_by_state(steer, roads, seconds, reset=reset, conditions=conditions)
        for name, steer in {"human_like_driver": human, "always_straight": straight}.items()
    }


def closed_loop_table(results: dict[str, dict[str, Any]], conditions: Conditions) -> Table:
    """Returns the table of systems by name, each with what `ClosedLoopResult.to_dict` says of it."""
    first = next(iter(results.values()))
    table = Table(
        title=f"Closed loop on {first['roads']} unseen roads, {first['elapsed_s']:.0f} s together",
        caption=conditions.described(),
    )
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


def _pictures(driven: ModelDrive, roads: Sequence[Road], shown: Sequence[int]) -> Iterator[np.ndarray]:
    result = driven.result
    for place, number in enumerate(shown):
        column = slice(number, number + 1)
        values = {f.name: getattr(result, f.name)[:, column] for f in fields(result) if f.name != "frames"}
        seen = np.stack([step[place : place + 1] for step in driven.seen])  # (steps, 1, Hh, Ww, 3)
        yield from annotated_frames(ClosedLoopResult(**values, frames=seen), roads[number])


def _check(roads: int, seconds: float, seed: int) -> None:
    for name, value, least, most in [
        ("roads", roads, 1, 1000),
        ("seconds", seconds, 1, LONGEST_S),
        ("seed", seed, 0, 999),
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
