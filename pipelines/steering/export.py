"""The `export` command: one step of a steering model as an ONNX graph, for cars without PyTorch.

It writes steer.onnx, steer.json, which explains it, and donkey_part.py, which drives a DonkeyCar by both.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from modules.errors import InputError
from modules.onnx_graphs import write_graph
from modules.steering.exported_step import describe, step_graph
from modules.steering.steerer import Steerer
from modules.steering.stream import SteeringStream
from modules.steering.units import RADIANS, unit_of
from pipelines.running.exports import check_export, new_folder, print_graphs

PART = Path(__file__).with_name("donkeycar") / "donkey_part.py"
FRAMES, SHAPE = 8, (120, 160, 3)  # that are compared


def export(output: Path, ckpt_path: Path) -> None:
    """Write a steering model as an ONNX graph of one step, with a part for DonkeyCars that runs it.

    The graph computes in float32; the difference to PyTorch is measured and printed. A model that has learnt
    radians is exported, too, but the part needs shares of full lock.

    Args:
        output: Folder to write, new or empty.
        ckpt_path: Checkpoint of a steering model, such as RUN/checkpoints/best.ckpt.
    """
    check_export(output)
    model = Steerer.load(ckpt_path).eval()
    if model.preprocessing.equalise:
        raise InputError(f"{ckpt_path}: model.frames.equalise is true; ONNX has no histogram equalisation")
    graph, unit = step_graph(model), unit_of(model.recorder)
    with new_folder(output) as folder, Console(stderr=True).status("exporting steer.onnx"):
        write_graph(graph, folder / graph.file)
        text = json.dumps(describe(model, graph), indent=1)
        (folder / "steer.json").write_text(text + "\n", encoding="utf-8")
        shutil.copyfile(PART, folder / PART.name)
        difference = compare(model, folder)
    print_graphs([graph], output)
    for name in ("steer.json", PART.name):
        print(output / name)
    print(f"largest difference to PyTorch on random frames: {difference:.1e} {unit.name}")
    if unit == RADIANS:
        print("note: the model says radians of a steering wheel; donkey_part.py takes them for shares")


def compare(model: Steerer, folder: Path) -> float:
    """Returns the largest difference between the angles of the part and those of the model."""
    found = importlib.util.spec_from_file_location("donkey_part", folder / PART.name)
    assert found is not None and found.loader is not None
    part: Any = importlib.util.module_from_spec(found)
    found.loader.exec_module(part)
    pilot, stream = part.SeqsightPilot(folder, pause_s=60.0), SteeringStream(model)
    random, largest, lock = np.random.default_rng(0), 0.0, unit_of(model.recorder).full_lock
    for _ in range(FRAMES):
        image = random.integers(0, 256, SHAPE, np.uint8)
        angle = float(np.clip(stream.step(image[np.newaxis])[0] / lock, -1, 1))
        largest = max(largest, abs(-pilot.run(image)[0] - angle))
    return largest
