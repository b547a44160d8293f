"""The `score` command: how probable a language model finds a file, as a whole and unit by unit."""

from __future__ import annotations

import csv
import json as jsonlib
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_prep.progress import Bar
from data_prep.text.files import encoding_alone, find_text, read_pieces
from modules.errors import InputError, tell
from modules.language.dynamic_evaluation import DynamicReader
from modules.language.surprise import TextReader, TextScore, Unit, opening
from modules.text_codec import Level
from pipelines.arguments import run_folder_of
from pipelines.language.coloured_text import MOST_BITS, coloured, surprise_pieces
from pipelines.language.loaded_model import load_model
from pipelines.language.runs import read_held_out
from pipelines.output_files import outputs
from pipelines.reports.page import write_page

UNITS_ON_PAGE = 50_000  # a page with more takes a browser long to show
PART = 2_000  # characters read between two moves of the bar
_BLANK = re.compile(r"\s")
COLUMNS = ("offset", "text", "log_prob", "bits", "expected", "expected_probability")


def score(
    ckpt_path: Path,
    file: Path,
    encoding: str | None = None,
    dynamic: float = 0.0,
    per_token: Path | None = None,
    html: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Print how probable a language model finds a text file: log-probability, perplexity, bits per character.

    The file is read once from its beginning to its end, the state carried along, however large it is. A unit
    that the model has never seen has the probability of the mark of unknown ones. Bits per character also
    count what spelling it takes; where a model was trained without that mark such units are left out.

    Args:
        ckpt_path: checkpoint of a language model, such as RUN/checkpoints/best.ckpt.
        file: the text.
        encoding: of the file; by default UTF-8 or what its byte order mark says.
        dynamic: learn from the file while reading it: learning rate of a step after every 64 units, such as
            0.5; 0 keeps the weights. What is said of a unit depends on the text before it alone.
        per_token: csv, a row a unit: where, what, log-probability (nats), bits, and what was expected.
        html: page with the text, a unit's ground the darker the more bits it costs.
        device: auto, cpu, cuda, cuda:N or mps; auto takes an NVIDIA GPU where there is one.
        overwrite: replace the csv and the page where they exist.
        json: print one JSON object in place of the table.
    """
    if not 0 <= dynamic < math.inf:
        raise InputError(f"dynamic is {dynamic}; it has to be 0 or more, such as 0.5")
    with ExitStack() as files:
        files.enter_context(outputs({"per_token": per_token, "html": html}, overwrite, (ckpt_path, file)))
        model = load_model(ckpt_path, device)
        readers = [TextReader(model.codec, model.decoder)]
        if dynamic:
            learning = DynamicReader(model.decoder, opening(model.codec), dynamic)
            readers.insert(0, TextReader(model.codec, model.decoder, reader=learning))
        reader = readers[0]
        shown: list[Unit] = []
        table = None if per_token is None else files.enter_context(_table_of_units(per_token))
        offset = 0
        for units in _read(readers, file, encoding):
            if html is not None and len(shown) < UNITS_ON_PAGE:
                shown += units[: UNITS_ON_PAGE - len(shown)]
            for unit in units:
                if table is not None:
                    table.writerow(_row(offset, unit))
                offset += len(unit.text)
        if not reader.score.scored_units:
            nothing = "no character in it is known to the model" if reader.score.units else "is empty"
            raise InputError(f"{file}: {nothing}; there is nothing to score")
        level, run = model.codec.level, run_folder_of(ckpt_path)
        baselines = {"uniform": reader.score.uniform_bits_per_char(model.decoder.output.possible)}
        if dynamic:
            baselines["weights kept"] = readers[-1].score.bits_per_char
            if not reader.score.bits_per_char <= baselines["weights kept"]:  # NaN is not, either
                tell(f"WARNING: learning made the text less probable; try less than --dynamic {dynamic:g}")
        held_out = read_held_out(run) if run is not None else {}
        if html is not None:
            write_page(
                html,
                Path(__file__).with_name("score.html.jinja"),
                name=file.name,
                level=level,
                score=reader.score,
                unknown=count_of_unknown(level, reader.score) if reader.score.unknown else "",
                baselines=baselines,
                held_out=told_held_out(held_out),
                text=coloured(surprise_pieces(shown)),
                shown=len(shown),
                most_bits=MOST_BITS,
            )
    if json:
        print(jsonlib.dumps(score_as_dict(file, level, reader.score, baselines, held_out)))
    else:
        Console().print(score_table(file, level, reader.score, baselines, held_out))


def _read(readers: Sequence[TextReader], file: Path, encoding: str | None) -> Iterator[list[Unit]]:
    """Yields what the first reader finds the units of a file like, some at a time, under a bar."""
    if file.is_dir():
        raise InputError(f"{file}: is a folder; name a text file")
    first, *others = readers
    with encoding_alone():
        size = find_text(file, encoding=encoding).size
        with Bar() as bar:
            task = bar.add_task("scoring", total=size)
            for piece in read_pieces(file, encoding):
                for part in _parts(piece, first.codec.level):
                    for other in others:
                        other.push(part)
                    yield first.push(part)
                    bar.advance(task, len(part.encode(errors="surrogatepass")))
            for other in others:
                other.flush()
            yield first.flush()


def _parts(text: str, level: Level) -> Iterator[str]:
    """Yields a text a little at a time; words are not cut."""
    start = 0
    while start < len(text):
        end = start + PART
        if level == "word":
            blank = _BLANK.search(text, end)
            end = blank.end() if blank else len(text)
        yield text[start:end]
        start = end


def score_as_dict(
    file: Path, level: str, score: TextScore, baselines: dict[str, float], held_out: dict[str, float]
) -> dict[str, Any]:
    """Returns what `--json` prints: log_prob in nats, perplexity of a unit, bits of a character.

    Baselines are of this file; `held_out` is of another text, that which the run did not train on.
    """
    return {
        "file": str(file),
        "level": level,
        "log_prob": score.log_prob,
        "perplexity": score.perplexity,
        "bits_per_char": score.bits_per_char,
        "characters": score.characters,
        "units": score.units,
        "unknown_units": score.unknown,
        "scored_units": score.scored_units,
        "scored_characters": score.scored_characters,
        "baselines": baselines,
        "held_out": held_out,
    }


def score_table(
    file: Path, level: str, score: TextScore, baselines: dict[str, float], held_out: dict[str, float]
) -> Table:
    """Returns the table of the command."""
    # as Text: a file's name is no markup
    title = Text(f"{file.name}: {score.characters:,} characters")
    legend = [count_of_unknown(level, score) if score.unknown else "", told_held_out(held_out)]
    table = Table(title=title, caption=Text("\n".join(filter(None, legend))), min_width=56)
    table.add_column("")
    table.add_column("this model", justify="right", style="bold")
    for name in baselines:
        table.add_column(name, justify="right")
    bits = (f"{value:.3f}" for value in (score.bits_per_char, *baselines.values()))
    table.add_row("bits per character", *bits)
    table.add_row(f"perplexity per {level}", f"{score.perplexity:,.2f}")
    table.add_row("log-probability (nats)", f"{score.log_prob:,.1f}")
    table.add_row(f"{level}s", f"{score.units:,}")
    return table


def told_held_out(held_out: dict[str, float]) -> str:
    """Returns one line on the text that the run held out, which is another one than the file."""
    figures = ", ".join(f"{name} {bits:.3f}" for name, bits in held_out.items())
    return f"bits per character of another text, the run's own held-out one: {figures}" if figures else ""


def count_of_unknown(level: str, score: TextScore) -> str:
    """Returns how many units the model has never seen and what became of them."""
    fate = "left out" if score.scored_units < score.units else "counted as <unk> and spelt out"
    return f"unknown to the model: {score.unknown:,} of {score.units:,} {level}s, {fate}"


@contextmanager
def _table_of_units(path: Path) -> Iterator[Any]:
    """Gives a csv writer; the file appears when all is written, and not at all if something fails before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8", errors="surrogatepass", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(COLUMNS)
            yield writer
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _row(offset: int, unit: Unit) -> list[Any]:
    """Returns a row of the csv; a unit without a probability has none there."""
    expected = f"{math.exp(unit.expected_log_prob):.6g}"
    if math.isnan(unit.log_prob):
        return [offset, unit.text, "", "", unit.expected, expected]
    return [offset, unit.text, f"{unit.log_prob:.9g}", f"{unit.bits:.6g}", unit.expected, expected]
