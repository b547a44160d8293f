"""Writes the report of a language model's run: one self-contained HTML file.

`python pipelines/text.py report --run runs/text/NAME/version_0` reads the run's checkpoint, held_out.txt,
samples.jsonl, metrics.json, config.yaml and TensorBoard event files and writes report.html beside them. What
is missing is left out; only the checkpoint must be there.
"""

from __future__ import annotations

import math
from pathlib import Path

from markupsafe import Markup
from rich.console import Console

from modules.decoders.language import LanguageDecoder
from modules.errors import InputError
from modules.language.language_model import LanguageModel
from modules.language.surprise import TextReader
from modules.parameters import parameters_of
from pipelines.arguments import has_part
from pipelines.language.authorship.report import write_report as write_author_report
from pipelines.language.coloured_text import MOST_BITS
from pipelines.language.music.judging import COUNTED
from pipelines.language.music.player import sample_player
from pipelines.language.report_surprise import surprise_section
from pipelines.language.report_units import unit_section
from pipelines.language.runs import Sample, TextRun, read_baselines, read_text_run, remarks
from pipelines.reports.curves import best_step, monitored_metric
from pipelines.reports.figures import curve_chart
from pipelines.reports.page import write_page
from pipelines.reports.run_files import config_text, existing_run, read_config, read_metrics
from pipelines.reports.summary import arguments, run_name, summary_rows

MOST_SAMPLES = 8
CURVES = {  # title -> tags by label
    "Loss (nats a unit)": {"train": "train/loss", "val": "val/loss"},
    "Bits per character": {"val": "val/bits_per_char"},
    "Smoothed loss (nats a chunk)": {"train": "train/smooth_loss"},
}


def report(run: Path) -> None:
    """Write RUN/report.html, a self-contained page about a run, and print its path.

    Args:
        run: Folder of a run, as fit prints it.
    """
    folder = existing_run(Path(run))
    config, metrics = read_config(folder), read_metrics(folder)
    if has_part(config, "classifier") or "classes" in metrics:
        raise InputError(f"{folder}: a classifier's run has no page; its scores stand in metrics.json")
    is_of_authors = has_part(config, "heads") or "authors" in metrics
    print(write_author_report(folder) if is_of_authors else write_report(folder))


def write_report(run: Path) -> Path:
    """Path of RUN/report.html, written whole or not at all; raises InputError where RUN is no run."""
    with Console(stderr=True).status("reading the run") as status:
        results = read_text_run(Path(run))
        model = LanguageModel.load(results.checkpoint)
        reader = TextReader(model.codec, model.decoder)
        if results.held_out:
            status.update("reading the held-out text")
        units = reader.push(results.held_out) + reader.flush()
        section = None
        if isinstance(model.decoder, LanguageDecoder) and units:
            status.update("watching single units")
            section = unit_section(model.decoder, model.codec, results.held_out)
        status.update("drawing the report")
        samples = choose_samples(results.samples)
        systems = _systems(results, reader, model.decoder.output.possible)
        return write_page(
            results.folder / "report.html",
            Path(__file__).with_name("report.html.jinja"),
            name=run_name(results.folder),
            level=model.codec.level,
            vocabulary=model.decoder.output.possible,
            parameters=parameters_of(model.decoder),
            split=results.metrics.get("split"),
            scores=_scores(results),
            held_out=reader.score if units else None,
            systems=systems,
            remarks=remarks(dict(systems)),
            summary=_summary(results),
            curve_charts=_curve_charts(results),
            samples=samples,
            players=[sample_player(sample.prompt + sample.text) for sample in samples],
            tunes=results.metrics.get("tunes"),
            counted=COUNTED,
            environments=results.metrics.get("environments"),
            surprise=surprise_section(units, model.codec.level) if units else None,
            most_bits=MOST_BITS,
            units=section,
            config_text=config_text(results.folder),
        )


def choose_samples(samples: list[Sample]) -> list[Sample]:
    """At most MOST_SAMPLES, the first and the last among them, each about as many times later as the next."""
    if len(samples) <= MOST_SAMPLES:
        return samples
    first, last = (max(1, samples[place].iteration) for place in (0, -1))
    wanted = [first * (last / first) ** (step / (MOST_SAMPLES - 1)) for step in range(MOST_SAMPLES)]
    nearest = {
        min(
            range(len(samples)), key=lambda place: abs(math.log(max(1, samples[place].iteration) / iteration))
        )
        for iteration in wanted
    }
    return [samples[place] for place in sorted(nearest)]


def _scores(run: TextRun) -> dict[str, float]:
    """The scores of the whole split from metrics.json, nothing where it holds none."""
    scores = run.metrics.get("scores")
    found = scores if isinstance(scores, dict) else {}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _systems(run: TextRun, reader: TextReader, possible: int) -> list[tuple[str, float]]:
    """This run beside what it has to beat, as (name, bits per character), the best first."""
    bits = {}
    if "bits_per_char" in _scores(run):
        bits["this run"] = _scores(run)["bits_per_char"]
    elif reader.score.units:
        bits["this run"] = reader.score.bits_per_char
    bits |= read_baselines(run.folder)
    if reader.score.units:
        bits.setdefault("uniform", reader.score.uniform_bits_per_char(possible))
    return sorted(bits.items(), key=lambda item: item[1])


def _curve_charts(run: TextRun) -> list[Markup]:
    """What was logged over the steps; none for a run whose event files are gone."""
    monitor = monitored_metric(run.config, default="val/bits_per_char")
    best = best_step(run.curves[monitor], monitor) if monitor in run.curves else None
    charts = []
    for title, tags in CURVES.items():
        curves = {label: run.curves[tag] for label, tag in tags.items() if tag in run.curves}
        if curves:
            name = "".join(filter(str.isalpha, title))  # of the ids within the page
            charts.append(curve_chart(name, title, curves, best))
    return charts


def _summary(run: TextRun) -> list[tuple[str, str]]:
    """What was run, as (label, text), from the configuration and metrics.json; absent parts are left out."""
    model, trainer = arguments(run.config.get("model")), arguments(run.config.get("trainer"))
    kept = (
        "max_epochs",
        "max_steps",
        "max_time",
        "precision",
        "gradient_clip_val",
        "gradient_clip_algorithm",
    )
    training = {key: trainer[key] for key in kept if trainer.get(key) not in (None, -1)}
    parts = {
        "Data": run.config.get("data"),
        "Decoder": model.get("decoder"),
        "Training": training | arguments(model.get("training")),
        "Checkpoint": run.metrics.get("checkpoint") or run.checkpoint,
    }
    return summary_rows(parts, run.metrics.get("seconds"))
