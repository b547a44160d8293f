"""The `score` command: any system's numbers against what the pictures show."""

import json as jsonlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from data_prep.csv_tables import read_csv
from data_prep.house_numbers.formats.folder import read_numbers_file
from data_prep.image_names import image_name
from data_prep.input_files import read_jsonl
from modules.errors import InputError, first_five
from modules.house_numbers.scoring import number_scores

SHOWN = {"accuracy": "whole numbers", "digit_accuracy": "digits", "length_accuracy": "lengths"}


def score(predictions: Path, numbers: Path, json: bool = False) -> None:
    """Print how many numbers of any system are right as a whole, and digits and lengths.

    Missing, duplicate or unknown pictures are an error. A picture without a number counts as wrong.

    Args:
        predictions: Numbers to score: csv (image, number), as read writes it, or jsonl.
        numbers: What the pictures show: csv (image, number).
        json: Print one JSON object in place of the table.
    """
    true, _, _ = read_numbers_file(numbers)
    said = read_predictions(predictions)
    lacking, unknown = true.keys() - said.keys(), said.keys() - true.keys()
    if lacking:
        raise InputError(
            f"{predictions}: no number of {len(lacking)} picture(s): {first_five(sorted(lacking))}"
        )
    if unknown:
        raise InputError(f"{numbers}: lacks {len(unknown)} picture(s): {first_five(sorted(unknown))}")
    read = [said[image] for image in true]
    scores, low_high = number_scores(read, list(true.values())), interval(read, list(true.values()))
    if json:
        print(jsonlib.dumps(scores | {"pictures": len(true), "interval": low_high}))
        return
    Console().print(scores_table(scores, low_high, {}))
    print(f"{len(true):,} pictures")


def read_predictions(path: Path) -> dict[str, str]:
    """Returns number by image of a csv or jsonl of a system; the number may be empty."""
    numbers: dict[str, str] = {}
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        rows = [
            (f"{path}:{number}", {key: str(value) for key, value in row.items() if value is not None})
            for number, row in read_jsonl(path)
        ]
    else:
        rows = list(read_csv(path, ("image", "number")))
    for where, row in rows:
        if "image" not in row:
            raise InputError(f'{where}: has no "image"')
        image, number = image_name(row["image"], where), row.get("number", "").strip()
        if image in numbers:
            raise InputError(f"{where}: image {image} occurs twice")
        if number and not (number.isascii() and number.isdigit()):
            raise InputError(f"{where}: the number is {number!r}; it has to be digits alone, or empty")
        numbers[image] = number
    if not numbers:
        raise InputError(f"{path}: holds no numbers")
    return numbers


def interval(read: Sequence[str], true: Sequence[str]) -> tuple[float, float]:
    """Returns the 95 % interval of the share of numbers read right (Wilson 1927)."""
    n, z = len(true), 1.96
    share = sum(a == b for a, b in zip(read, true, strict=True)) / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - reach), min(1.0, middle + reach)


def scores_table(
    scores: Mapping[str, float], low_high: tuple[float, float], controls: Mapping[str, Mapping[str, float]]
) -> Table:
    """Returns the table of a system's scores with the interval of the first, above the controls'."""
    table = Table(title="Shares read right")
    table.add_column("")
    for heading in SHOWN.values():
        table.add_column(heading, justify="right")
    table.add_column("95 % interval", justify="right")
    own = [f"{scores[name]:.3f}" for name in SHOWN]
    table.add_row("read", *own, f"{low_high[0]:.3f} - {low_high[1]:.3f}", style="bold")
    for label, values in controls.items():
        table.add_row(label, *(f"{values[name]:.3f}" for name in SHOWN))
    return table


def remarks(
    accuracy: float, low_high: tuple[float, float], controls: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Returns what a reader of the scores should know; of most scores there is nothing.

    Args:
        accuracy: Share of whole numbers.
        low_high: Its interval.
        controls: Scores by name; the most frequent number stands last.
    """
    if not controls:
        return []
    name, blind = list(controls.items())[-1]
    if low_high[0] > blind["accuracy"]:
        return []
    return [
        f"The reader is no better than the {name}: {accuracy:.3f} against {blind['accuracy']:.3f}. "
        "Try longer training, more pictures, and check that the numbers belong to them."
    ]
