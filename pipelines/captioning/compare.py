"""The `compare` command: the family of caption decoders, trained alike, in one table and on one page.

Every decoder is fitted once a seed with the options of `fit`; the encoder reads each image once for all of
them. What is finished stands in `compare.jsonl`: a comparison that was killed goes on where it stopped.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from modules.captioning.batch import CaptionBatch
from modules.captioning.captioner import Captioner
from modules.decoders.captions import DECODERS
from modules.errors import InputError
from modules.images import read_as_shown
from modules.parameters import parameters_of
from modules.vocabulary import Vocabulary
from pipelines.arguments import CONFIGS, Parser, read_config, with_config
from pipelines.captioning.attention import attention_panels, encoder_view, with_sentinel
from pipelines.captioning.fit import CaptionCLI
from pipelines.captioning.runs import read_run
from pipelines.reports.page import duration, fit_within, jpeg_uri, write_page
from pipelines.reports.summary import arguments
from pipelines.running.comparisons import compared_rows, listed, of_seed, one_process, seeds_of, settings_of

PARTS = ("scores", "intervals", "controls", "seconds")  # of metrics.json in a row
SHOWN = 10  # images on the page
MEASURED, WORDS, REPEATS = 32, 12, 3  # images and words a caption of the speeds
METRICS = {"bleu4": "BLEU-4", "cider_d": "CIDEr-D"}
# what makes each decoder, by the name of its row
FAMILY = {kind: ["--model.decoder.kind", kind, "--model.decoder.hard", "false"] for kind in DECODERS} | {
    "show_attend_tell_hard": ["--model.decoder.kind", "show_attend_tell", "--model.decoder.hard", "true"]
}


def compare(argv: Sequence[str]) -> None:
    """Trains what is not trained yet, prints the table and writes the page."""
    own = _parser().parse_args(list(argv[1:]))
    kinds = listed(own.kinds)
    if unknown := [kind for kind in kinds if kind not in FAMILY]:
        raise InputError(f"kinds: there is no decoder {unknown[0]!r}; there are {', '.join(FAMILY)}")
    seeds = seeds_of(own.seeds)
    root = [] if own.data.root is None else ["--data.root", own.data.root]
    given = with_config(["fit", "--config", own.config, *root], CONFIGS / "caption" / "compare.yaml")
    _check_hard(kinds, Path(given[2]))
    settings = dict.fromkeys(FAMILY, settings_of(given))

    def fit(kind: str, seed: str, more: list[str]) -> CaptionCLI:
        return CaptionCLI([*given, *FAMILY[kind], *one_process(given), *of_seed(seed), *more])

    rows = compared_rows(own.output, "caption", seeds, settings, PARTS, fit, kinds)
    chosen = {kind: [rows[kind, seed] for seed in seeds] for kind in kinds}
    models = {kind: Captioner.load(of_kind[0]["checkpoint"]) for kind, of_kind in chosen.items()}
    summary = [_summary(kind, of_kind, models[kind]) for kind, of_kind in chosen.items()]
    Console().print(_table(summary))
    page = write_page(
        own.output / "compare.html",
        Path(__file__).with_name("compare.html.jinja"),
        name=own.output.name,
        rows=summary,
        metrics=METRICS,
        seeds=len(seeds),
        images=_images(Path(chosen[kinds[0]][0]["run"]), models),
        controls=chosen[kinds[0]][0]["controls"],
        arguments=" ".join(given[1:]),
    )
    print(page)


def _check_hard(kinds: Sequence[str], config: Path) -> None:
    """Raises InputError where the fit of a wanted row would be refused after those before it."""
    hard = "show_attend_tell_hard"
    training = arguments(arguments(read_config(config).get("model")).get("training"))
    if hard in kinds and training.get("reinforce_epochs"):
        rest = ",".join(kind for kind in kinds if kind != hard)
        raise InputError(
            f"{config}: model.training.reinforce_epochs is given, and hard attention learns from a reward of "
            f"its own; leave {hard} out with --kinds {rest or next(iter(FAMILY))}"
        )


def _parser() -> Parser:
    parser = Parser(
        prog="caption.py compare",
        description="Train the family of caption decoders alike, and compare them in a table and on a page.",
    )
    parser.add_argument(
        "--config", type=str, default="configs/caption/compare.yaml", help="What all fits have alike."
    )
    parser.add_argument("--data.root", type=str | None, default=None, help="Folder of the captioned images.")
    parser.add_argument("--kinds", type=str, default=",".join(FAMILY), help="Decoders, separated by commas.")
    parser.add_argument("--seeds", type=str, default="0,1,2", help="Seeds, separated by commas.")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/caption/compare"), help="Folder of table, page and fits."
    )
    return parser


def _summary(kind: str, rows: Sequence[dict[str, Any]], model: Captioner) -> dict[str, Any]:
    """Returns a line of the table: means over the seeds."""
    assert model.decoder is not None
    training, decoding = speeds(model)
    return {
        "kind": kind,
        "scores": {name: statistics.mean(row["scores"][name] for row in rows) for name in METRICS},
        "intervals": {
            name: [statistics.mean(row["intervals"][name][end] for row in rows) for end in (0, 1)]
            for name in METRICS
        },
        "seeds": {name: [f"{row['scores'][name]:.3f}" for row in rows] for name in METRICS},
        "parameters": parameters_of(model.decoder),
        "training": training,
        "decoding": decoding,
        "time": duration(statistics.mean(row["seconds"]["fit"] for row in rows)),
    }


def speeds(model: Captioner) -> tuple[float, float]:
    """Returns captions trained a second and images captioned a second, on random annotations."""
    generator = torch.Generator().manual_seed(0)
    encoder = model.encoder
    annotations = torch.rand(MEASURED, encoder.locations, encoder.annotation_size, generator=generator)
    decoder, vocabulary = model.decoder, model.vocabulary
    assert decoder is not None and vocabulary is not None
    tokens = torch.randint(4, len(vocabulary), (MEASURED, WORDS + 2), generator=generator)
    tokens[:, 0], tokens[:, -1] = Vocabulary.BOS, Vocabulary.EOS
    names = [str(number) for number in range(MEASURED)]
    batch = CaptionBatch(annotations, torch.arange(MEASURED), tokens, names, [[]] * MEASURED)
    views = annotations.unsqueeze(1).expand(-1, 2, -1, -1) if model.mirrored else annotations

    def train() -> None:
        decoder.train()
        model.losses(batch, annotations)[0].backward()
        decoder.zero_grad()

    def decode() -> None:
        decoder.eval()
        model.caption(views, names)

    return MEASURED / _seconds(train), MEASURED / _seconds(decode)


def _seconds(run: Callable[[], None]) -> float:
    """Returns the median of a few runs, after one that warms up."""
    times = []
    for _ in range(REPEATS + 1):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    # it fits 80 columns: how long a fit took is on the page
    table = Table(title="Means over the seeds, with half of their 95 % intervals")
    table.add_column("", no_wrap=True)
    for column in (*METRICS.values(), "size", "train/s", "write/s"):
        table.add_column(column, justify="right")
    for row in rows:
        halves = {name: (high - low) / 2 for name, (low, high) in row["intervals"].items()}
        scores = [f"{row['scores'][name]:.3f} ±{halves[name]:.3f}" for name in METRICS]
        speed = [f"{row[name]:.0f}" for name in ("training", "decoding")]
        table.add_row(row["kind"], *scores, f"{row['parameters'] / 1e6:.1f} M", *speed)
    return table


def _images(run: Path, models: dict[str, Captioner]) -> list[dict[str, Any]]:
    """Returns the same images of the scored split as each decoder captions them, with its attention."""
    found = [row for row in read_run(run).predictions if row.file and row.file.is_file()]
    chosen = found[:: max(1, len(found) // SHOWN)][:SHOWN]
    files = [row.file for row in chosen if row.file]
    captions = {kind: model.caption_images(files, keep_alpha=True) for kind, model in models.items()}
    images = []
    for place, (row, file) in enumerate(zip(chosen, files, strict=True)):
        image = read_as_shown(file, minimum_size=320)[0]
        said = []
        for kind, model in models.items():
            caption = captions[kind][place]
            words: list[tuple[str, str]] = []
            if caption.alpha is not None and caption.words:
                seen = encoder_view(image, model.resize)
                panels = attention_panels(seen, caption.alpha.numpy(), model.encoder.grid, 104)
                names = caption.words
                if model.has_sentinel:
                    names = with_sentinel(names, caption.sentinel)
                pictures = [jpeg_uri(panel, 72) for panel in panels.overlays]
                words = list(zip(names, pictures, strict=True))
            said.append({"kind": kind, "text": caption.text, "words": words})
        shown = jpeg_uri(fit_within(image, 320, 320))
        images.append({"name": row.image, "photograph": shown, "references": row.references, "said": said})
    return images
