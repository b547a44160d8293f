"""Steers a DonkeyCar by the model in this folder. It needs onnxruntime, OpenCV and NumPy, and no PyTorch.

from donkey_part import SeqsightPilot
V.add(SeqsightPilot("FOLDER"), inputs=["cam/image_array"],
      outputs=["pilot/angle", "pilot/throttle"], run_condition="run_pilot")
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime


class SeqsightPilot:
    """A part that remembers: call `run` once a frame. After a pause it starts afresh by itself.

    Args:
        folder: What `steer.py export` wrote.
        throttle: Said by models that have learnt no throttle.
        pause_s: After so long without a frame, as when a person drives, it starts afresh.
    """

    def __init__(self, folder: str | Path, throttle: float = 0.2, pause_s: float = 0.5) -> None:
        self.about = json.loads((Path(folder) / "steer.json").read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        graph = str(Path(folder) / self.about["graph"]["file"])
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.throttle, self.pause_s = throttle, pause_s
        self.reset()

    def reset(self) -> None:
        """Forgets what it saw."""
        self.seen: list[np.ndarray] = []
        self.at = 0.0
        self.state = {name: np.array([values], np.float32) for name, values in self.about["state"].items()}

    def run(self, image: np.ndarray | None) -> tuple[float, float]:
        """Returns angle, -1 at the left, and throttle for an RGB image (rows, columns, 3) of bytes."""
        if image is None or time.monotonic() - self.at > self.pause_s:
            self.reset()
        if image is None:
            return 0.0, 0.0
        frame, many = seen_by_the_model(image, self.about["frames"]), self.about["frames"]["count"]
        self.at, before = time.monotonic(), (self.seen or [frame])[-1]
        self.seen = ([*self.seen, frame] if self.seen else [frame] * many)[-many:]
        inputs = {"frames": np.stack(self.seen)[np.newaxis], **self.state}
        if self.about["flow"]:
            inputs["flow"] = flow_by_cell(before, frame, self.about["flow"])
        names = self.about["graph"]["outputs"]
        said = dict(zip(names, self.session.run(names, inputs), strict=True))
        self.state = {name: said[f"next_{name}"] for name in self.state}
        throttle = float(said["throttle"][0]) if "throttle" in said else self.throttle
        return float(np.clip(-said["angle"][0], -1, 1)), float(np.clip(throttle, -1, 1))

    def shutdown(self) -> None:
        """Called by the vehicle at its end."""


def seen_by_the_model(image: np.ndarray, about: dict[str, Any]) -> np.ndarray:
    """Returns the image cropped and resized (3, H, W), as in training."""
    first = min(int(len(image) * about["crop_top"]), len(image) - 1)
    view = image[first : max(first + 1, len(image) - int(len(image) * about["crop_bottom"]))]
    smaller = min(about["height"], view.shape[0]), min(about["width"], view.shape[1])
    if smaller != view.shape[:2]:
        view = cv2.resize(view, smaller[::-1], interpolation=cv2.INTER_AREA)
    if smaller != (about["height"], about["width"]):
        view = cv2.resize(view, (about["width"], about["height"]), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(view.transpose(2, 0, 1))


def flow_by_cell(before: np.ndarray, after: np.ndarray, about: dict[str, Any]) -> np.ndarray:
    """Returns the mean optical flow (1, K) between two frames (3, H, W), cell by cell, as in training."""
    grey = [cv2.cvtColor(cv2.merge(list(frame)), cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    (height, width), widest, smallest = grey[0].shape, about["widest"], about["smallest"]
    scale = max(min(1.0, widest / width), smallest / min(height, width))
    if scale != 1:
        size = max(smallest, round(scale * width)), max(smallest, round(scale * height))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        grey = [cv2.resize(each, size, interpolation=how) for each in grey]
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    method.setFinestScale(about["finest_scale"])
    method.setVariationalRefinementIterations(about["refinements"])
    flow = method.calc(grey[0], grey[1], None)  # type: ignore[call-overload]
    cells = [means(part, about["rows"], about["columns"]) for part in (flow[..., 0], flow[..., 1])]
    return np.float32(about["factor"] / flow.shape[1]) * np.concatenate(cells)[np.newaxis]


def means(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Returns the mean of each cell of a grid, row after row; cells share the pixels on their borders."""
    edges = [
        [(n * size // many, -(-(n + 1) * size // many)) for n in range(many)]
        for size, many in zip(values.shape, (rows, columns), strict=True)
    ]
    cells = [values[a:b, c:d].mean() for a, b in edges[0] for c, d in edges[1]]
    return np.array(cells, np.float32)
