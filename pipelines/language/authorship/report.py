"""Writes the page of a model of authors: scores, who was taken for whom, how sure it was, the curves."""

from __future__ import annotations

from pathlib import Path

from modules.errors import InputError
from pipelines.reports.curves import read_curves
from pipelines.reports.figures import curve_chart
from pipelines.reports.page import write_page
from pipelines.reports.run_files import config_text, read_config, read_metrics
from pipelines.reports.summary import run_name, run_parts, summary_rows

CURVES = {  # title -> tags by label
    "Loss (nats a character)": {"train": "train/loss", "val": "val/loss"},
    "Passages told right": {"val": "val/accuracy"},
}


def write_report(run: Path) -> Path:
    """Returns the path of RUN/report.html, made of the run's metrics.json, config.yaml and event files.

    InputError where metrics.json is missing.
    """
    metrics, config, curves = read_metrics(run), read_config(run), read_curves(run)
    if not metrics:
        raise InputError(f"{run}: no metrics.json, which a fit writes at its end; there is nothing to show")
    charts = []
    for title, tags in CURVES.items():
        shown = {label: curves[tag] for label, tag in tags.items() if tag in curves}
        if shown:
            charts.append(curve_chart("".join(filter(str.isalpha, title)), title, shown, None))
    return write_page(
        run / "report.html",
        Path(__file__).with_name("report.html.jinja"),
        name=run_name(run),
        metrics=metrics,
        systems={"this run": metrics["scores"], **metrics["baselines"]},
        curve_charts=charts,
        summary=summary_rows(run_parts(config, metrics, "decoder", "heads"), metrics.get("seconds")),
        config_text=config_text(run),
    )
