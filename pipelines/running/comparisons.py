"""Fits that one command makes one after the other and takes up again: what the `compare` commands share.

What is finished stands in a table of JSON lines, compare.jsonl: one row a fit, written when it has ended. A
comparison that was killed goes on with the fit at which it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from data_prep.append_log import append_lines, truncate
from data_prep.input_files import read_jsonl
from data_prep.terminal import saying_how_to_resume
from modules.errors import LARGEST_SEED, InputError
from modules.whole_files import write_whole
from pipelines.cli import RunCLI
from pipelines.output_files import written_by_one
from pipelines.reports.run_files import read_metrics

TABLE = "compare.jsonl"

Rows = dict[tuple[str, str], dict[str, Any]]


def listed(names: str) -> list[str]:
    """Returns names that commas separate, each once."""
    return list(dict.fromkeys(name.strip() for name in names.split(",")))


def seeds_of(given: str) -> list[str]:
    """Returns seeds that commas separate; InputError where one is no whole number that NumPy takes."""
    seeds = listed(given)
    if wrong := [seed for seed in seeds if not seed.isdecimal() or int(seed) > LARGEST_SEED]:
        raise InputError(f"seeds: {wrong[0]!r} is no whole number from 0 to {LARGEST_SEED}")
    return listed(",".join(str(int(seed)) for seed in seeds))


def settings_of(words: Sequence[str]) -> str:
    """Returns what the fits of one comparison have in common, as a short hash; of files what they say."""
    digest = hashlib.sha256()
    for word in words:
        path = Path(word)
        if path.suffix == ".yaml" and path.is_file():  # a comment is no other option
            word = json.dumps(yaml.safe_load(path.read_bytes()), sort_keys=True)
        digest.update(word.encode())
    return digest.hexdigest()[:16]


def one_process(words: Sequence[str]) -> list[str]:
    """Returns what keeps a fit to one process, where its options do not name its device: cuda:1 is one.

    A second process would begin the command that makes the fit once more, and wait for the first.
    """
    named = [device for word, device in pairwise(words) if word == "--device" and ":" in device]
    return [] if named else ["--trainer.devices", "1"]


def of_seed(seed: str) -> list[str]:
    """Returns what lets everything that a fit draws depend on a seed: weights, dropout, order of batches."""
    return ["--model.training.seed", seed, "--data.seed", seed, "--seed_everything", seed]


def compared_rows(
    output: Path,
    task: str,
    seeds: Sequence[str],
    settings: Mapping[str, str],
    parts: Sequence[str],
    fit: Callable[[str, str, list[str]], RunCLI],
    kinds: Sequence[str] | None = None,
) -> Rows:
    """Returns the rows of all kinds and seeds; fits what is missing, or goes on with what was killed.

    InputError where the table has rows of other options, or another process writes it.

    Args:
        output: folder of the comparison.
        task: of the door, such as caption.
        seeds: a first row of every kind comes before the second of any.
        settings: of each kind that the table may have.
        parts: of metrics.json that a row keeps.
        fit: is given kind, seed, and further options, such as folder, name and checkpoint.
        kinds: that are wanted; by default all.
    """
    output.mkdir(parents=True, exist_ok=True)
    resumed = saying_how_to_resume(lambda: "the same command goes on")
    with written_by_one(output / TABLE, "output"), resumed:
        rows = _finished(output, settings, parts)
        for seed in seeds:
            for kind in kinds or settings:
                if (kind, seed) not in rows:
                    folder = output / "fits" / task / f"{kind}-{seed}"
                    begun = sorted(folder.glob("version_*/checkpoints/last.ckpt"), key=_written)
                    _sign(folder, settings[kind], output, bool(begun))
                    print(f"{folder.name}: {'goes on' if begun else 'begins'}", flush=True)
                    goes_on = ["--ckpt_path", str(begun[-1])] if begun else []
                    place = ["--runs", str(output / "fits"), "--name", folder.name]
                    if fit(kind, seed, [*place, *goes_on]).ending.asked:
                        raise KeyboardInterrupt  # it ended before its end
                    row = {"kind": kind, "seed": seed, "settings": settings[kind], **_fitted(folder, parts)}
                    append_lines(output / TABLE, [row])
                    rows[kind, seed] = row
    return rows


def _finished(output: Path, settings: Mapping[str, str], parts: Sequence[str]) -> Rows:
    table = output / TABLE
    if table.is_dir():
        raise InputError(f"{table}: is a folder, and the table would be there; choose another --output")
    if not table.is_file():
        return {}
    _end(table)
    rows: Rows = {}
    for number, row in read_jsonl(table):
        if row.get("settings") != settings.get(str(row.get("kind")), row.get("settings")):
            raise _other_options(output)
        lacking = [name for name in ("kind", "seed", "run", "checkpoint") if name not in row]
        lacking += [name for name in parts if row.get(name) is None]
        if lacking:
            raise InputError(
                f"{table}:{number}: has no {lacking[0]}; remove the line, and its fit is made again"
            )
        rows[str(row["kind"]), str(row["seed"])] = row
    return rows


def _end(table: Path) -> None:
    """Cuts off what a killed run wrote half; a whole row that only lacks its newline stays."""
    content = table.read_bytes()
    end = content.rfind(b"\n") + 1
    if end == len(content):
        return
    try:
        json.loads(content[end:])
    except ValueError:
        truncate(table, end)
    else:
        write_whole(table, content + b"\n")


def _sign(folder: Path, settings: str, output: Path, is_begun: bool) -> None:
    """Writes what a fit is made with before it has a row; InputError where other options began it."""
    signed = folder / "settings.txt"
    if is_begun and signed.is_file() and signed.read_text() != settings:
        raise _other_options(output)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(signed, settings.encode())


def _other_options(output: Path) -> InputError:
    return InputError(f"{output}: holds a comparison with other options; choose another --output")


def _fitted(folder: Path, parts: Sequence[str]) -> dict[str, Any]:
    found = list(folder.glob("version_*/metrics.json"))
    if not found:
        raise InputError(
            f"{folder}: its fit was not tested, so there is nothing to compare; leave out "
            "trainer.limit_test_batches and trainer.fast_dev_run"
        )
    run = max(found, key=_written).parent
    metrics = read_metrics(run)
    checkpoint = run / "checkpoints" / "best.ckpt"
    return {"run": str(run), "checkpoint": str(checkpoint), **{part: metrics[part] for part in parts}}


def _written(path: Path) -> float:
    return path.stat().st_mtime
