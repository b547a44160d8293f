"""The `complete` command: the most probable words or line after a prompt, as a search box shows them."""

from __future__ import annotations

import json as jsonlib
import math
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from modules.errors import InputError, check_at_least
from modules.language.completion import Boundary, Completions
from modules.language.completion import complete as most_probable
from modules.language.continuation import MARKERS, Prompt, primed_decoder, read_prompt
from modules.language.features import is_word_character
from modules.language.surprise import SurpriseReader, opening
from modules.text_codec import TextCodec
from modules.word_tokens import JOIN
from pipelines.language.coloured_text import printable
from pipelines.language.loaded_model import given_prompt, load_model

SHOWN = 40  # characters of the prompt before each completion


def complete(
    ckpt_path: Path,
    prompt: str = "",
    prompt_file: Path | None = None,
    n: int = 10,
    until: Literal["word", "line"] = "word",
    beam_size: int = 200,
    max_length: int = 80,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Print the most probable continuations of a prompt, as a search box would, and how probable they are.

    A continuation is what follows up to the end of the next word or of the line. A word is letters, marks,
    digits and underscores, with what stands before them; its probability is that of just this and then an
    end.

    Args:
        ckpt_path: checkpoint of a language model, such as RUN/checkpoints/best.ckpt.
        prompt: text to go on with, as at the beginning of a line.
        prompt_file: UTF-8 file with the prompt, less the line break at its end.
        n: how many continuations.
        until: what a continuation ends with: word or line.
        beam_size: beginnings that the search follows at a time; more find what a narrow search misses.
        max_length: most characters, words or bytes of a continuation.
        device: auto, cpu, cuda, cuda:N or mps; auto takes an NVIDIA GPU where there is one.
        json: print one JSON object in place of the table.
    """
    check_at_least(1, n=n, beam_size=beam_size, max_length=max_length)
    prompt, name = given_prompt(prompt, prompt_file)
    model = load_model(ckpt_path, device)
    start = read_prompt(model.codec, prompt, name)
    reader = SurpriseReader(model.decoder, opening(model.codec))
    reader.read(start.tokens)
    ends = boundary(model.codec, until)
    search = partial(most_probable, model.decoder.step, reader.following.unsqueeze(0), reader.state, ends)
    with Console(stderr=True).status("searching"):
        wanted = n
        while True:
            found = search(n=wanted, beam_size=beam_size, max_length=max_length)
            rows = _distinct(model.codec, start, found)
            if len(rows) >= n or len(found.best) < wanted:
                break
            wanted *= 2  # some read the same, as bytes that are no text do
    if not rows:
        raise InputError(f"{ckpt_path}: gives no continuation a probability; its training may have diverged")
    rows = rows[:n]
    is_exact = found.is_exact or found.missed <= rows[-1]["log_prob"]
    if json:
        result = {"prompt": prompt, "until": until, "completions": rows, "exact": is_exact}
        print(jsonlib.dumps(result))
    else:
        Console().print(_table(prompt, until, rows, n, -math.inf if is_exact else found.missed))


def boundary(codec: TextCodec, until: Literal["word", "line"]) -> Boundary:
    """Where a continuation ends, for the units of this codec."""
    units = codec.vocabulary.words
    markers = torch.zeros(len(units), dtype=torch.bool)
    markers[list(MARKERS)] = True
    none = torch.zeros_like(markers)
    if until == "line":
        line_breaks = torch.tensor([unit in ("\n", "<0a>") for unit in units])
        return Boundary(none, line_breaks, none, markers, begun=True)
    if codec.level == "word":
        words = [unit != JOIN and any(map(is_word_character, unit)) for unit in units]
        return Boundary(none, none, torch.tensor(words) & ~markers, markers)
    if codec.level == "byte":
        # beyond ASCII a byte is a part of a character, most of which are letters
        letters = [i in MARKERS or (i >= 132) or is_word_character(chr(i - 4)) for i in range(len(units))]
    else:
        letters = [i in MARKERS or is_word_character(unit) for i, unit in enumerate(units)]
    part_of_word = torch.tensor(letters)
    return Boundary(part_of_word & ~markers, ~part_of_word, none, markers)


def _distinct(codec: TextCodec, prompt: Prompt, found: Completions) -> list[dict[str, Any]]:
    """The completions as text, the most probable first; two that read the same are one."""
    log_probs: dict[tuple[str, bool], float] = {}
    for completion in found.best:
        decoder = primed_decoder(codec, prompt.tokens)
        text = "".join(decoder.push(token) for token in completion.tokens) + decoder.flush()
        text = text.removeprefix(" ") if prompt.blank_held else text
        key = text, completion.finished
        before = log_probs.get(key, -math.inf)
        log_probs[key] = max(before, completion.log_prob) + math.log1p(
            math.exp(-abs(before - completion.log_prob))
        )
    ranked = sorted(log_probs.items(), key=lambda item: -item[1])
    return [
        {"text": text, "log_prob": log_prob, "probability": math.exp(log_prob), "finished": finished}
        for (text, finished), log_prob in ranked
    ]


def _table(prompt: str, until: str, rows: list[dict[str, Any]], n: int, missed: float) -> Table:
    """Returns the table; `missed` is the log-probability that others can have, if not -inf."""
    together = sum(row["probability"] for row in rows)
    legend = f"together {together:.1%} of all {until}s that could follow; "
    if missed == -math.inf:
        legend += "no other is more probable"
    else:
        legend += f"the beam was full: others can have up to {math.exp(missed):.2%} (--beam_size)"
    if len(rows) < n:
        legend += f"; the search found {len(rows)} of {n} (--beam_size, --max_length)"
    table = Table(title=f"Most probable, to the end of the {until}", caption=legend)
    table.add_column("", justify="right")
    table.add_column("continuation", overflow="fold", min_width=40)
    table.add_column("probability", justify="right")
    before = _one_line(prompt[-SHOWN:])
    for rank, row in enumerate(rows, start=1):
        # as Text: neither is markup
        shown = Text(("…" if len(prompt) > SHOWN else "") + before, style="dim")
        shown.append(_one_line(row["text"]) or "↵", style="bold not dim")
        shown.append("" if row["finished"] else " …", style="dim")
        table.add_row(str(rank), shown, f"{row['probability']:.2%}")
    return table


def _one_line(text: str) -> str:
    return printable(text).replace("␣", " ")
