"""Writes the report of a captioning run: one self-contained HTML file, made from the run's files alone.

`python pipelines/caption.py report --run runs/caption/scenes/version_0` reads predictions.jsonl,
metrics.json, config.yaml and the TensorBoard event files in that folder and writes report.html beside them.
It needs no checkpoint and no GPU; photographs that have moved away are replaced by a placeholder.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any

from markupsafe import Markup
from rich.console import Console

from modules.caption_tokens import tokenize
from modules.images import read_as_shown
from modules.metrics.captions import CaptionScorer
from pipelines.captioning.attention import attention_panels, encoder_view, with_sentinel
from pipelines.captioning.runs import AGREEMENT, CaptionRun, Prediction, read_run
from pipelines.captioning.score import LABELS, controls_as_dict, remarks
from pipelines.reports.curves import best_step, monitored_metric
from pipelines.reports.figures import curve_chart, length_chart, score_chart, vocabulary_chart
from pipelines.reports.page import fit_within, jpeg_uri, write_page
from pipelines.reports.run_files import config_text
from pipelines.reports.summary import arguments, run_name, summary_rows

PHOTOGRAPH = 320  # pixels of the longer side


def report(run: Path) -> None:
    """Write RUN/report.html, a self-contained page about a run, and print its path.

    Args:
        run: Folder of a run, as fit prints it, or of a test of it.
    """
    print(write_report(run))


def write_report(run: Path) -> Path:
    """Path of RUN/report.html, written whole or not at all; raises InputError where RUN is no run."""
    with Console(stderr=True).status("reading the run") as status:
        results = read_run(Path(run))
        status.update(f"scoring {len(results.predictions):,} captions")
        scorer = CaptionScorer({row.image: row.references for row in results.predictions})
        hypotheses = {row.image: row.caption for row in results.predictions}
        per_image = scorer.per_image(hypotheses)
        metrics = _metrics(results, scorer, hypotheses)
        status.update("drawing the report")
        return write_page(
            results.folder / "report.html",
            Path(__file__).with_name("report.html.jinja"),
            name=run_name(results.folder),
            split=results.split,
            images=len(results.predictions),
            unreadable=results.unreadable,
            labels=LABELS,
            metrics=metrics,
            remarks=remarks(len(hypotheses), metrics["scores"], metrics["intervals"], metrics["controls"]),
            score_charts=_score_charts(metrics),
            judged=_judged(metrics),
            summary=_summary(results),
            curve_charts=_curve_charts(results),
            examples=_examples(results.predictions, per_image),
            **_language(results.predictions),
            sentinel_lists=sentinel_lists([row.sentinel for row in results.predictions]),
            config_text=config_text(results.folder),
        )


def choose_examples(per_image: Mapping[str, float], each: int = 4) -> dict[str, list[str]]:
    """Image ids of the best, median and worst scores; never one in two groups, fewer where images are few.

    The best and the median come in falling, the worst in rising order; equal scores in order of their ids.

    Args:
        per_image: Score of every image, higher is better.
        each: Images per group.
    """
    ranked = sorted(per_image, key=lambda image: (-per_image[image], image))
    count = len(ranked)
    best, median, worst = min(each, (count + 2) // 3), min(each, count // 3), min(each, (count + 1) // 3)
    middle = best + (count - best - median - worst) // 2
    return {
        "best": ranked[:best],
        "median": ranked[middle : middle + median],
        "worst": ranked[count - worst :][::-1],
    }


def _metrics(run: CaptionRun, scorer: CaptionScorer, hypotheses: dict[str, str]) -> dict[str, Any]:
    """Scores, intervals and controls as in metrics.json, computed where the file lacks one."""
    metrics: dict[str, Any] = {part: run.metrics.get(part) for part in ("scores", "intervals", "controls")}
    if not _has_all(metrics["scores"]):
        metrics["scores"] = scorer.score(hypotheses).as_dict()
    if not _has_all(metrics["intervals"]):
        metrics["intervals"] = scorer.bootstrap(hypotheses)
    saved = metrics["controls"] or {}
    if not _has_all(saved.get("constant")) or not all(_has_all(control) for control in saved.values()):
        metrics["controls"] = controls_as_dict(scorer.controls(hypotheses))
    return metrics


def _has_all(part: Any) -> bool:
    return isinstance(part, dict) and all(metric in part for metric in LABELS)


def _judged(metrics: dict[str, Any]) -> list[tuple[str, float, Sequence[float]]]:
    """Agreement as (label, mean, interval), where the run has any."""
    means, intervals = metrics["scores"], metrics["intervals"]
    return [
        (label, means[name], intervals[name])
        for name, label in AGREEMENT.items()
        if means.get(name) is not None and intervals.get(name)
    ]


def _score_charts(metrics: dict[str, Any]) -> list[Markup]:
    """BLEU and ROUGE-L, which end at 1, apart from CIDEr-D, which does not."""
    shares = {metric: label for metric, label in LABELS.items() if metric != "cider_d"}
    parts = metrics["scores"], metrics["intervals"], metrics["controls"]
    return [
        score_chart("shares", *parts, labels=shares),
        score_chart("cider", *parts, labels={"cider_d": LABELS["cider_d"]}),
    ]


def _curve_charts(run: CaptionRun) -> list[Markup]:
    """Loss, CIDEr-D and BLEU-4 over the steps; none for a run that was only tested."""
    curves = run.curves
    monitor = monitored_metric(run.config, default="val/cider_d")
    best = best_step(curves[monitor], monitor) if monitor in curves else None
    tags = {"train": "train/loss", "val": "val/loss"}
    losses = {label: curves[tag] for label, tag in tags.items() if tag in curves}
    charts = [curve_chart("loss", "Loss", losses, best)] if losses else []
    for metric in ("cider_d", "bleu4"):
        if f"val/{metric}" in curves:
            title = f"{LABELS[metric]}, free-running"
            charts.append(curve_chart(metric, title, {"val": curves[f"val/{metric}"]}, best, are_scores=True))
    return charts


def _examples(
    predictions: Sequence[Prediction], per_image: Mapping[str, Mapping[str, float]]
) -> list[dict[str, Any]]:
    rows = {row.image: row for row in predictions}
    groups = choose_examples({image: float(scores["cider_d"]) for image, scores in per_image.items()})
    return [
        {"title": title, "rows": [_example(rows[image], per_image[image]) for image in images]}
        for title, images in groups.items()
        if images
    ]


def _example(row: Prediction, scores: Mapping[str, float]) -> dict[str, Any]:
    """What the template shows of one image; `photograph` is None where the file is gone or broken."""
    example: dict[str, Any] = {"row": row, "scores": scores, "photograph": None, "words": [], "peak": None}
    try:
        image = read_as_shown(row.file, minimum_size=PHOTOGRAPH)[0] if row.file else None
    except (OSError, ValueError):
        image = None
    if image is None:
        return example
    example["photograph"] = jpeg_uri(fit_within(image, PHOTOGRAPH, PHOTOGRAPH))
    if row.attention:
        # long captions get smaller panels, so that the page stays light
        width = 160 if len(row.attention.words) <= 20 else 104
        seen = encoder_view(image, row.attention.resize)
        panels = attention_panels(seen, row.attention.alpha, row.attention.grid, width)
        pictures = [jpeg_uri(overlay, quality=72) for overlay in panels.overlays]
        said = row.attention.words
        if row.sentinel:
            said = with_sentinel(*zip(*row.sentinel, strict=True))
        example["words"] = list(zip(said, pictures, strict=True))
        example["peak"] = panels.peak
    return example


def _language(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Lengths and words of predicted captions against the references'."""
    predicted = [tokenize(row.caption) for row in predictions]
    references = [tokenize(text) for row in predictions for text in row.references]
    said = Counter(word for words in predicted for word in words)
    meant = Counter(word for words in references for word in words)
    over, under = _word_use(said, meant)
    return {
        "language_charts": [
            length_chart(
                "lengths", [len(words) for words in predicted], [len(words) for words in references]
            ),
            vocabulary_chart("ranks", list(said.values()), list(meant.values())),
        ],
        "word_lists": [("Said too often", over), ("Said too rarely", under)],
        "words_said": len(said),
        "words_meant": len(meant),
    }


def sentinel_lists(
    captions: Sequence[Sequence[tuple[str, float]]], count: int = 10, least: int = 5
) -> list[tuple[str, list[tuple[str, float, int]]]]:
    """Returns the words that looked at the picture least and most, as (word, mean weight, occurrences).

    Args:
        captions: Words with the weight of the sentinel; nothing where there is none.
        count: Words in each of the two lists.
        least: Occurrences that a word has to have.
    """
    weights: dict[str, list[float]] = {}
    for word, weight in (pair for caption in captions for pair in caption):
        weights.setdefault(word, []).append(weight)
    means = [(word, sum(of) / len(of), len(of)) for word, of in weights.items() if len(of) >= least]
    ranked = sorted(means, key=lambda row: (-row[1], row[0]))
    half = min(count, len(ranked) // 2)
    if half == 0:
        return []
    return [("Looked least", ranked[:half]), ("Looked most", ranked[: -half - 1 : -1])]


def _word_use(said: Counter[str], meant: Counter[str], count: int = 10) -> tuple[list[Any], list[Any]]:
    """The most over- and under-used words as (word, said, meant), both per 1,000 words.

    Ranked by their term of the Kullback-Leibler divergence, p log(p / q), which weighs the ratio by the
    frequency; half a count is added to either side, since a word may be missing there.
    """
    total_said, total_meant = max(1, said.total()), max(1, meant.total())

    def excess(word: str, ours: Counter[str], total: int, others: Counter[str], total_others: int) -> float:
        p = (ours[word] + 0.5) / total
        return p * log(p * total_others / (others[word] + 0.5))

    over = {word: excess(word, said, total_said, meant, total_meant) for word in said}
    under = {word: excess(word, meant, total_meant, said, total_said) for word in meant}
    lists = []
    for scores in (over, under):
        words = sorted((word for word in scores if scores[word] > 0), key=lambda word: (-scores[word], word))
        lists.append(
            [
                (word, 1000 * said[word] / total_said, 1000 * meant[word] / total_meant)
                for word in words[:count]
            ]
        )
    return lists[0], lists[1]


def _summary(run: CaptionRun) -> list[tuple[str, str]]:
    """What was run, as (label, text), from the configuration and metrics.json; absent parts are left out."""
    config, model = run.config, arguments(run.config.get("model"))
    trainer = arguments(config.get("trainer"))
    steps = None if trainer.get("max_steps") == -1 else trainer.get("max_steps")
    training = {key: trainer.get(key) for key in ("max_epochs", "precision", "gradient_clip_val")}
    decoding = arguments(run.metrics.get("decoding") or config.get("decoding"))
    decoding = {name: value for name, value in decoding.items() if value != ""}
    parts = {
        "Data": config.get("data"),
        "Encoder": model.get("encoder"),
        "Decoder": model.get("decoder"),
        "Training": {"max_steps": steps} | training | arguments(model.get("training")),
        "Decoding": decoding,
        "Checkpoint": run.metrics.get("checkpoint"),
    }
    return summary_rows(parts, run.metrics.get("seconds"))
