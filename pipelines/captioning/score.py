"""The `score` command: any system's captions against references, or against the photographs themselves."""

import json as jsonlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from modules.caption_tokens import segmentation_advice
from modules.errors import InputError, tell
from modules.metrics.captions import METRICS, CaptionScorer, CaptionScores, Controls
from modules.metrics.diversity import n_best_scores
from pipelines.captioning.official import LABELS as OFFICIAL
from pipelines.captioning.official import official_scores
from pipelines.captioning.predictions import listed, match, read_predictions, read_references, resolver

LABELS = {
    "bleu1": "BLEU-1",
    "bleu2": "BLEU-2",
    "bleu3": "BLEU-3",
    "bleu4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider_d": "CIDEr-D",
}
N_BEST_LABELS = {
    "oracle_cider_d": "CIDEr-D of the best of them",
    "self_bleu4": "BLEU-4 with each other (low: they differ)",
    "distinct_1": "different words / all words",
    "distinct_2": "different pairs of words / all pairs",
    "self_cider": "self-CIDEr (0 the same, 1 nothing in common)",
}
REMEDY = (
    "Try more images, longer training, an encoder with ImageNet weights (--model.encoder.weights imagenet), "
    "and check that the captions belong to their images."
)
_COUNTS = {
    "images": "images",
    "distinct_captions": "distinct captions",
    "vocabulary_used": "vocabulary used",
    "mean_length": "mean length (words)",
}


def score(
    predictions: Path,
    references: Path | None = None,
    images: Path | None = None,
    subset: Path | None = None,
    ckpt_path: Path | None = None,
    device: str = "auto",
    official: bool = False,
    json: bool = False,
) -> None:
    """Print the scores of any system's captions: BLEU-1..4, ROUGE-L and CIDEr-D of the COCO evaluation.

    Of several captions an image (predict --captions 5) it also says how good the best is and how they differ.

    Beside them stand the scores of two controls that never look at the image: the best constant caption and
    the system's own captions shuffled among the images. Missing, duplicate or unknown images are an error.
    With --images a captioner says how well each caption fits its photograph, also without references.

    Args:
        predictions: captions to score: jsonl or csv (image, caption) or COCO results JSON.
        references: Flickr token file, csv or jsonl (image, caption), COCO captions or Karpathy's JSON.
        images: folder of the photographs, for the agreement of captions with them.
        subset: score only the images listed in this text file, one name a line (Flickr_8k.devImages.txt).
        ckpt_path: checkpoint of the captioner that judges agreement; by default the ready-made one.
        device: where it runs: auto, cpu, cuda, cuda:N or mps.
        official: also METEOR and SPICE, which need Java and pycocoevalcap; what is missing is said.
        json: print one JSON object in place of the table.
    """
    if references is None and images is None:
        raise InputError("needs --references FILE, --images DIR or both to score captions against")
    if official and references is None:
        raise InputError("official: METEOR and SPICE compare captions with --references FILE")
    said = read_predictions(predictions)
    result: dict[str, Any] = {"intervals": {}}
    shown: list[Table] = []
    lines: list[str] = []
    cider: dict[str, float] = {}
    if references is None:
        hypotheses = said.captions if subset is None else listed(said, subset)
    else:
        # COCO's 25,000 references take some seconds
        with Console(stderr=True).status("tokenizing and scoring"):
            known = read_references(references)
            hypotheses, sentences = match(said, known, subset)
            written = [text for texts in sentences.values() for text in texts]
            for path, texts in ((predictions, list(hypotheses.values())), (references, written)):
                if advice := segmentation_advice(texts):
                    tell(f"WARNING: {path}: {advice}")
            scorer = CaptionScorer(sentences)
            scores = scorer.score(hypotheses)
            intervals = scorer.bootstrap(hypotheses)
            controls = scorer.controls(hypotheses)
            cider = {image: each["cider_d"] for image, each in scorer.per_image(hypotheses).items()}
        blind = controls_as_dict(controls)
        result = scores.as_dict() | {"intervals": dict(intervals), "controls": blind}
        shown.append(scores_table(scores, controls, intervals))
        lines += remarks(scores.images, scores.as_dict(), intervals, blind)
        resolve = resolver(known)
        several = {resolve(image): captions for image, captions in said.n_best.items()}
        lists = {image: several.get(image, [caption]) for image, caption in hypotheses.items()}
        if any(len(captions) > 1 for captions in lists.values()):
            result["n_best"] = n_best_scores(scorer, lists)
            shown.append(n_best_table(result["n_best"], max(map(len, lists.values()))))
        if official:
            with Console(stderr=True).status("METEOR and SPICE"):
                more, missing = official_scores(hypotheses, sentences)
            result |= more
            lines += [f"{OFFICIAL[name]} {value:.3f}" for name, value in more.items()]
            for line in missing:
                tell(f"note: {line}")
    if images is not None:
        from pipelines.captioning.photographs.agreement import judge_captions  # PyTorch

        judged = judge_captions(hypotheses, images, predictions, ckpt_path, device, cider)
        result["intervals"] |= judged.intervals
        result |= judged.means | {"agreement_images": len(judged.per_image), "per_image": judged.per_image}
        result["judge_is_writer"] = judged.is_writer
        shown.append(judged.table())
        lines += judged.remarks()
    if json:
        print(jsonlib.dumps(result))
        return
    for table in shown:
        Console().print(table)
    for line in lines:
        print(line)


def scores_table(
    scores: CaptionScores, controls: Controls, intervals: Mapping[str, tuple[float, float]]
) -> Table:
    """Returns the table of a system's scores with their intervals, beside the controls' scores."""
    constant_caption, constant = controls["constant"]
    shuffled = controls.get("shuffled")
    # as Text: a caption is no markup
    legend = Text(f"constant: “{constant_caption}” for every image; shuffled: the captions of other images")
    table = Table(title="Caption scores", caption=legend)
    table.add_column("")
    for column in ("score", "95 % interval", "constant", "shuffled"):
        table.add_column(column, justify="right")
    systems = [vars(scores), vars(constant), vars(shuffled) if shuffled else None]
    for name in METRICS:
        own, *others = (f"{system[name]:.3f}" if system else "-" for system in systems)
        low, high = intervals[name]
        table.add_row(LABELS[name], f"[bold]{own}[/bold]", f"{low:.3f} - {high:.3f}", *others)
    table.add_section()
    for name, label in _COUNTS.items():
        form = ".1f" if name == "mean_length" else ",d"
        own, *others = (f"{system[name]:{form}}" if system else "-" for system in systems)
        table.add_row(label, own, "", *others)
    return table


def n_best_table(scores: Mapping[str, float], most: int) -> Table:
    """Returns the table of what several captions of each image are worth."""
    table = Table(title=f"Up to {most} captions of each image")
    table.add_column("")
    table.add_column("mean", justify="right")
    for name, label in N_BEST_LABELS.items():
        table.add_row(label, f"{scores[name]:.3f}")
    return table


def remarks(
    images: int,
    scores: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]],
    controls: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Returns what a reader of the scores should know, a sentence each; of most scores there is nothing.

    Args:
        images: How many were scored.
        scores: As metrics.json holds them, as do the others.
        intervals: Of 95 %, by metric.
        controls: Scores without a look at the image, by control.
    """
    if images == 1:
        return ["CIDEr-D of a single image is 0 by definition: it counts words that tell images apart."]
    control, best = max(
        ((name, each["cider_d"]) for name, each in controls.items()), key=lambda pair: pair[1]
    )
    low, high = intervals["cider_d"]
    if low > best:
        return []
    return [
        "The captions are no better than captions written without a look at the image: CIDEr-D "
        f"{scores['cider_d']:.3f} ({low:.3f} to {high:.3f}) against {best:.3f} of the {control} control. "
        f"{REMEDY}"
    ]


def controls_as_dict(controls: Controls) -> dict[str, dict[str, Any]]:
    """Returns the controls as metrics.json holds them: scores by name, the constant one with its caption."""
    caption, constant = controls["constant"]
    result: dict[str, dict[str, Any]] = {"constant": constant.as_dict() | {"caption": caption}}
    if "shuffled" in controls:
        result["shuffled"] = controls["shuffled"].as_dict()
    return result
