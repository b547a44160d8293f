"""Writes the report of `drive`: one self-contained HTML page about a closed loop on drawn roads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.driving.road.scene import Road
from data_prep.driving.road.vehicle import RATE_HZ
from pipelines.reports.page import write_page
from pipelines.steering.loop.charts import offset_chart, path_chart, said_chart
from pipelines.steering.loop.closed_loop import (
    INTERVENTION_M,
    PENALTY_S,
    ClosedLoopResult,
    Conditions,
    ModelDrive,
)

MOST_ROADS = 20  # that are drawn


def write_drive_page(
    path: Path,
    results: Mapping[str, ClosedLoopResult],
    driven: ModelDrive,
    roads: Sequence[Road],
    conditions: Conditions,
    checkpoints: Sequence[str],
    seed: int,
) -> Path:
    """Returns the path of the page, written whole or not at all.

    Args:
        path: The file to write.
        results: How the model and the controls drove, by name.
        driven: What else is known of the model's drive.
        roads: That were driven on.
        conditions: Latency and gusts.
        checkpoints: Of the models.
        seed: Of the set of roads.
    """
    told = {name: result.to_dict() for name, result in results.items()}
    model, told_model = driven.result, told["model"]
    by_road = zip(told_model["interventions_by_road"], told_model["lateral_rmse_m_by_road"], strict=True)
    worst = [number for number, _ in sorted(enumerate(by_road), key=lambda item: item[1], reverse=True)]
    spread = driven.spread_rad
    cards: list[dict[str, Any]] = []
    for number in sorted(worst[:MOST_ROADS]):
        back = np.flatnonzero(model.intervened[:, number])
        cards.append(
            {
                "number": number,
                "speed": float(model.speed_mps[:, number].mean()),
                "rmse": told_model["lateral_rmse_m_by_road"][number],
                "back_at_s": [float(step + 1) / RATE_HZ for step in back],
                "charts": [
                    path_chart(f"path{number}", model, roads[number], number),
                    offset_chart(f"offset{number}", results, number),
                    said_chart(f"said{number}", model, spread[:, number], number),
                ],
            }
        )
    return write_page(
        path,
        Path(__file__).with_name("drive_page.html.jinja"),
        systems=told,
        conditions=conditions.described(),
        checkpoints=checkpoints,
        seed=seed,
        seconds=told_model["elapsed_s"] / len(roads),
        cards=cards,
        roads=len(roads),
        spread=float(spread.mean()) if np.isfinite(spread).all() else None,
        intervention_m=INTERVENTION_M,
        penalty_s=PENALTY_S,
    )
