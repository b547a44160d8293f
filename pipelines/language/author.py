"""The `author` command: who of several authors wrote a text, by a model that learnt from texts of each."""

from __future__ import annotations

import json as jsonlib
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_prep.cache import cache_folder, in_turn, writing_in
from data_prep.terminal import saying_how_to_resume
from data_prep.text.authors import fingerprint
from data_prep.text.files import check_encoding, encoding_alone, read_pieces
from modules.errors import InputError
from modules.language.author_model import AuthorModel
from modules.text_codec import normalised
from pipelines.arguments import CONFIGS
from pipelines.devices import chosen_device
from pipelines.language.authorship.fit import AuthorCLI
from pipelines.running.comparisons import one_process

CONFIG = CONFIGS / "text" / "author.yaml"
LEAST_KNOWN = 0.5  # of a text's characters, for anything to be said of its author


def author(
    file: Path,
    train: Path | None = None,
    ckpt_path: Path | None = None,
    encoding: str | None = None,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Tell who of several authors most likely wrote a text, and by how many bits per character.

    With --train the model learns from a folder that has a folder of texts for each author, which takes
    minutes. It is kept in the cache: the next text of the same authors is told at once. A killed training
    goes on where it was.

    Args:
        file: text whose author is asked for.
        train: folder that has a folder of texts for each author.
        ckpt_path: model that fit --config configs/text/author.yaml made, in place of --train.
        encoding: of the file and of the texts in --train; by default UTF-8 or what a byte order mark says.
        device: auto, cpu, cuda, cuda:N or mps; auto takes an NVIDIA GPU where there is one.
        json: print one JSON object in place of the table.
    """
    if train is None and ckpt_path is None:
        raise InputError(
            "author needs either --train DIR, with a folder for each author, or --ckpt_path CKPT"
        )
    if train is not None and ckpt_path is not None:
        raise InputError("--train learns a model and --ckpt_path names one that was learnt; give one of them")
    text = _read(file, encoding)
    if "\0" in text:
        raise InputError(f"{file}: holds a NUL character and is no text; give a text file")
    if not text.strip():
        raise InputError(f"{file}: is empty; a text is needed")
    where = chosen_device(device)
    if train is not None:
        # what training prints is no part of an answer that a program reads
        with redirect_stdout(sys.stderr) if json else nullcontext():
            ckpt_path = trained(train, device, encoding)
    assert ckpt_path is not None
    model = AuthorModel.load(ckpt_path).to(where)
    bits, scored = model.bits_of(text)
    if scored < LEAST_KNOWN * len(text):
        raise InputError(
            f"{file}: {len(text) - scored:,} of its {len(text):,} characters are in no text of the authors; "
            "give a text in their script"
        )
    chances = model.calibration.probabilities(bits[None], np.array([scored]))[0]
    order = np.argsort(bits)
    if json:
        rows = [
            {"author": model.authors[at], "bits_per_char": bits[at], "probability": chances[at]}
            for at in order
        ]
        print(jsonlib.dumps({"file": str(file), "characters": len(text), "scored": scored, "authors": rows}))
        return
    table = Table(title=Text(f"{file.name}: {len(text):,} characters"))
    for heading in ("author", "bits per character", "more than the best", "probability"):
        table.add_column(heading, justify="left" if heading == "author" else "right")
    for at in order:
        more = f"{bits[at] - bits[order[0]]:.3f}"
        # as Text: a name is no markup
        table.add_row(Text(model.authors[at]), f"{bits[at]:.3f}", more, percent(chances[at]))
    Console().print(table)
    first, second = order[:2]
    print(
        f"likeliest: {model.authors[first]} ({percent(chances[first])} among these authors), by "
        f"{bits[second] - bits[first]:.3f} bits per character before {model.authors[second]}"
    )
    if scored < len(text):
        print(f"{len(text) - scored:,} characters are in no text of the authors and are not scored")


def _read(file: Path, encoding: str | None) -> str:
    if file.is_dir():
        raise InputError(f"{file}: is a folder, a file is needed")
    with encoding_alone():
        check_encoding(encoding)
        return normalised("".join(read_pieces(file, encoding)))


def percent(share: float) -> str:
    """Returns a probability as people read it; nothing is certain."""
    return "over 99.9 %" if share > 0.999 else "under 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def trained(root: Path, device: str, encoding: str | None = None) -> Path:
    """Returns the checkpoint of a fit on these texts, from the cache where it is there already.

    Args:
        root: Folder that has a folder of texts for each author.
        device: What trains, as `--device` names it.
        encoding: Of the texts; None for UTF-8 or what a byte order mark says.
    """
    runs = cache_folder("authors", fingerprint(root, encoding))
    resumed = saying_how_to_resume(lambda: "the same command goes on with the training")
    with writing_in(runs, "the model of these authors"), in_turn(runs / "training.lock", runs), resumed:
        finished = sorted(runs.glob("text/author/*/metrics.json"))
        if not finished:
            begun = sorted(runs.glob("text/author/*/checkpoints/last.ckpt"))
            goes_on = ["--ckpt_path", str(begun[-1])] if begun else []
            read_as = ["--data.encoding", encoding] if encoding else []
            words = ["--data.root", str(root), "--runs", str(runs), "--device", device, *read_as, *goes_on]
            fit = AuthorCLI(["fit", "--config", str(CONFIG), *words, *one_process(words)])
            if fit.ending.asked:  # it ended before its end, and is not what was asked for
                assert fit.run_folder is not None
                (fit.run_folder / "metrics.json").unlink(missing_ok=True)
                raise KeyboardInterrupt
            finished = sorted(runs.glob("text/author/*/metrics.json"))
    if not finished:
        raise InputError(f"{root}: training did not come to its end; the same command goes on with it")
    return finished[-1].parent / "checkpoints" / "best.ckpt"
