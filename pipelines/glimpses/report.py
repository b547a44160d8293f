"""Writes the report of a reader's run: one self-contained HTML file.

`python pipelines/house_numbers.py report --run runs/house_numbers/NAME/version_0` reads predictions.jsonl,
metrics.json, config.yaml and TensorBoard event files and writes report.html beside them. What is missing is
left out; only predictions.jsonl must be there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.ticker import LogLocator, NullLocator
from rich.console import Console

from data_prep.input_files import read_jsonl
from modules.errors import InputError
from modules.house_numbers.options import ReaderOptions
from pipelines.arguments import has_part
from pipelines.glimpses.painter_report import write_painter_report
from pipelines.glimpses.score import SHOWN
from pipelines.glimpses.trace import Trace, draw_trace, labels_of
from pipelines.reports.curves import best_step, monitored_metric, read_curves
from pipelines.reports.figures import curve_chart
from pipelines.reports.page import jpeg_uri, write_page
from pipelines.reports.run_files import config_text, existing_run, read_config, read_metrics
from pipelines.reports.summary import arguments, run_name, run_parts, summary_rows
from pipelines.reports.svg import RUNS, STYLE, as_svg, new_figure

EXAMPLES = 6  # of each kind


def report(run: Path) -> None:
    """Write RUN/report.html, a self-contained page about a run, and print its path.

    Args:
        run: Folder of a run, as fit prints it.
    """
    folder = existing_run(Path(run))
    scores = read_metrics(folder).get("scores") or {}
    paints = has_part(read_config(folder), "painter") or "bits_per_pixel" in scores
    print(write_painter_report(folder) if paints else write_report(folder))


def choose_examples(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Returns names of pictures by kind: read right with the least doubt and the most, and read wrong.

    Args:
        rows: With image, true, number and probability.
    """
    right = sorted((row for row in rows if row["number"] == row["true"]), key=lambda row: -row["probability"])
    wrong = sorted((row for row in rows if row["number"] != row["true"]), key=lambda row: -row["probability"])
    # of many digits first: they show more of the way
    sure = sorted(right[: max(EXAMPLES, len(right) // 4)], key=lambda row: -len(row["number"]))
    return {
        "Read right": [row["image"] for row in sure[:EXAMPLES]],
        "Read right, with doubt": [row["image"] for row in right[len(sure) :][-EXAMPLES:]],
        "Read wrong": [row["image"] for row in wrong[:EXAMPLES]],
    }


def png_text(picture: np.ndarray) -> str:
    """Returns an RGB picture as the text that a row of predictions keeps."""
    return base64.b64encode(cv2.imencode(".png", picture[..., ::-1])[1].tobytes()).decode("ascii")


def write_report(run: Path) -> Path:
    """Path of RUN/report.html, written whole or not at all; raises InputError where RUN is no run."""
    folder = existing_run(Path(run))
    rows = _rows(folder / "predictions.jsonl")
    metrics, config, curves = read_metrics(folder), read_config(folder), read_curves(folder)
    with Console(stderr=True).status("drawing the report"):
        monitor = monitored_metric(config, "val/accuracy")
        best = best_step(curves[monitor], monitor) if monitor in curves else None
        charts = []
        if "train/loss" in curves:
            charts.append(curve_chart("loss", "Loss", {"train": curves["train/loss"]}, best))
        shown = {"whole numbers": "val/accuracy", "digits": "val/digit_accuracy"}
        validated = {label: curves[tag] for label, tag in shown.items() if tag in curves}
        if validated:
            charts.append(curve_chart("accuracy", "Share read right", validated, best, are_scores=True))
        return write_page(
            folder / "report.html",
            Path(__file__).with_name("report.html.jinja"),
            name=run_name(folder),
            split=metrics.get("split"),
            pictures=len(rows),
            shown=SHOWN,
            scores=metrics.get("scores") or {},
            interval=(metrics.get("intervals") or {}).get("accuracy"),
            controls=metrics.get("controls") or {},
            by_length=metrics.get("by_length") or {},
            curve_charts=charts,
            operations=_operations_chart(metrics.get("multiply_adds") or {}),
            counts=metrics.get("multiply_adds") or {},
            by_size=metrics.get("by_size") or {},
            sizes_chart=_sizes_chart(metrics),
            parameters=metrics.get("parameters"),
            examples=_examples(rows, arguments(config.get("model")).get("reader") or {}),
            summary=summary_rows(run_parts(config, metrics, "pictures", "reader"), metrics.get("seconds")),
            config_text=config_text(folder),
        )


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise InputError(
            f"{path.parent}: no predictions.jsonl, so this is no finished run; fit or test writes it"
        )
    rows = []
    for number, row in read_jsonl(path):
        texts = [row.get(name) for name in ("image", "true", "number")]
        if not all(isinstance(text, str) for text in texts) or not isinstance(
            row.get("probability"), float | int
        ):
            raise InputError(
                f"{path}:{number}: needs image, true, number and probability; write the file again with test"
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: no numbers; write the file again with test")
    return rows


def _examples(rows: Sequence[dict[str, Any]], reader: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns what the template shows: groups of pictures with their windows."""
    by_image = {row["image"]: row for row in rows}
    groups = []
    for title, images in choose_examples(rows).items():
        shown = [{"row": by_image[image], "sheet": _sheet(by_image[image], reader)} for image in images]
        if shown:
            groups.append({"title": title, "rows": shown})
    return groups


def _sheet(row: Mapping[str, Any], reader: Mapping[str, Any]) -> str | None:
    """Returns the drawing of a row as a data address; None where the row keeps no picture."""
    try:
        data = np.frombuffer(base64.b64decode(row["picture"]), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        options = ReaderOptions(**reader)
        labels = labels_of(row["number"], row["digits"], options.glimpses, options.backward)
        places = [(float(x), float(y)) for x, y in row["places"]]
    except (KeyError, TypeError, ValueError, binascii.Error, cv2.error):
        return None
    if picture is None:
        return None
    if not places:
        return jpeg_uri(cv2.resize(picture[..., ::-1], (320, 320), interpolation=cv2.INTER_CUBIC))
    if len(labels) != len(places):
        return None
    headline = f"{row['number']}, {100 * row['probability']:.0f} %"
    return jpeg_uri(
        draw_trace(Trace(np.ascontiguousarray(picture[..., ::-1]), places, options.sides, labels, headline))
    )


def _sizes_chart(metrics: Mapping[str, Any]) -> Markup | None:
    """Returns the share read right over the picture's side, with its interval; None where it is not known."""
    by_size = metrics.get("by_size") or {}
    if not by_size:
        return None
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure()
        sides = [int(size) for size in by_size]
        shares = np.array([part["accuracy"] for part in by_size.values()])
        low, high = np.array([part["interval"] for part in by_size.values()]).T
        axes.errorbar(sides, shares, (shares - low, high - shares), fmt="o-", color=RUNS[0], lw=1.4, ms=3)
        axes.set(title="Read right", xlabel="side (pixels)", ylabel="share of whole numbers", ylim=(0, 1))
        axes.set_xticks(sides)
        axes.grid()
        return as_svg(figure, "sizes", "Share of whole numbers read right over the side of the picture")


def _operations_chart(operations: Mapping[str, Mapping[str, int]]) -> Markup | None:
    """Returns the multiply-adds of one picture over its side, by system."""
    if not operations:
        return None
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure()
        for (label, counts), colour in zip(operations.items(), RUNS, strict=False):
            sides = [int(size) for size in counts]
            axes.plot(
                sides,
                [count / 1e6 for count in counts.values()],
                "o-",
                color=colour,
                lw=1.4,
                ms=3,
                label=label,
            )
        axes.set(
            title="Cost of a picture", xlabel="side (pixels)", ylabel="million multiply-adds", yscale="log"
        )
        axes.set_xticks(sides)
        # the page has plain text alone: no powers of ten
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid()
        figure.legend(loc="outside lower center", ncols=1)
        return as_svg(figure, "operations", "Multiply-adds over the side of the picture")
