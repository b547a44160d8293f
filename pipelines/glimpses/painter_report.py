"""Writes the report of a painter's run: one self-contained HTML file.

It reads metrics.json, paintings.png, paintings.gif, paintings.jsonl, config.yaml and TensorBoard event files
and writes report.html beside them. What is missing is left out; only metrics.json must be there.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator
from rich.console import Console

from data_prep.input_files import read_jsonl
from modules.errors import InputError
from pipelines.reports.curves import best_step, monitored_metric, read_curves
from pipelines.reports.figures import curve_chart
from pipelines.reports.page import write_page
from pipelines.reports.run_files import config_text, existing_run, read_config, read_metrics
from pipelines.reports.summary import run_name, run_parts, summary_rows
from pipelines.reports.svg import STYLE, SYSTEM, as_svg, new_figure


def write_painter_report(run: Path) -> Path:
    """Path of RUN/report.html, written whole or not at all; raises InputError where RUN is no run."""
    folder = existing_run(Path(run))
    metrics, config, curves = read_metrics(folder), read_config(folder), read_curves(folder)
    if "scores" not in metrics:
        raise InputError(f"{folder}: no metrics.json with scores, so this is no finished run; test writes it")
    with Console(stderr=True).status("drawing the report"):
        monitor = monitored_metric(config, "val/bits_per_pixel")
        best = best_step(curves[monitor], monitor) if monitor in curves else None
        charts = []
        shown = {label: f"{label}/bits_per_pixel" for label in ("train", "val")}
        bits = {label: curves[tag] for label, tag in shown.items() if tag in curves}
        if bits:
            charts.append(curve_chart("bits", "Bits per pixel, at most", bits, best))
        if metrics.get("kl_bits"):
            charts.append(_kl_chart(metrics["kl_bits"]))
        return write_page(
            folder / "report.html",
            Path(__file__).with_name("painter_report.html.jinja"),
            name=run_name(folder),
            split=metrics.get("split"),
            scores=metrics["scores"],
            controls=metrics.get("controls") or {},
            read=metrics.get("read"),
            parameters=metrics.get("parameters"),
            curve_charts=charts,
            sheet=_data_uri(folder / "paintings.png"),
            animation=_data_uri(folder / "paintings.gif"),
            rows=[row for _, row in read_jsonl(path)]
            if (path := folder / "paintings.jsonl").is_file()
            else [],
            summary=summary_rows(run_parts(config, metrics, "pictures", "painter"), metrics.get("seconds")),
            config_text=config_text(folder),
        )


def _data_uri(path: Path) -> str | None:
    """Returns a picture as a `data:` address; None where there is no such file."""
    if not path.is_file():
        return None
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _kl_chart(bits: Sequence[Any]) -> Markup:
    """Returns the bits that the latents of every step cost: where the painter decides what it paints."""
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure()
        axes.bar(np.arange(1, len(bits) + 1), [float(value) for value in bits], color=SYSTEM)
        axes.set(title="KL of every step (bits)", xlabel="step")
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        axes.set_axisbelow(True)
        axes.grid(axis="y")
        return as_svg(figure, "kl", "Bits of the latents by step")
