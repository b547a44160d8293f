"""The `classify` command: the class of every text of a csv, by a trained classifier."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

from data_prep.csv_tables import read_csv
from modules.errors import InputError, check_at_least
from modules.language.classifier import TextClassifier
from modules.whole_files import write_whole
from pipelines.devices import chosen_device
from pipelines.output_files import outputs

ADDED = ("predicted", "probability")


def classify(
    ckpt_path: Path,
    file: Path,
    output: Path = Path("labels.csv"),
    column: str = "text",
    batch_size: int = 256,
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Tell the class of every text of a csv, by a model that fit --config configs/text/classify.yaml trained.

    All columns are kept. Two are added: predicted, the most probable class, and its probability. A text that
    is empty has neither.

    Args:
        ckpt_path: checkpoint of a classifier, such as RUN/checkpoints/best.ckpt.
        file: csv with a header, a row a text.
        output: csv to write.
        column: the column of the texts.
        batch_size: texts that are read side by side.
        device: auto, cpu, cuda, cuda:N or mps; auto takes an NVIDIA GPU where there is one.
        overwrite: replace the output where it exists.
    """
    check_at_least(1, batch_size=batch_size)
    with outputs({"output": output}, overwrite, (ckpt_path, file)):
        column = column.strip().lower()
        rows = [row for _, row in read_csv(file, (column,))]
        if not rows:
            raise InputError(f"{file}: holds no rows; a header with the column {column} and texts are needed")
        if taken := [name for name in ADDED if name in rows[0]]:
            raise InputError(f"{file}: has a column {taken[0]} already; rename it")
        model = TextClassifier.load(ckpt_path).to(chosen_device(device))
        columns = [*rows[0], *ADDED]
        told = [row for row in rows if row[column].strip()]
        found = model.classify([row[column] for row in told], batch_size)
        for row, of_row in zip(told, found, strict=True):
            row |= {"predicted": of_row.label, "probability": f"{of_row.probability:.4f}"}
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        write_whole(output, text.getvalue().encode())
    counts = Counter(of_row.label for of_row in found)
    for label, count in counts.most_common():
        print(f"{count:>8,} {label}")
    if len(told) < len(rows):
        print(f"{len(rows) - len(told):>8,} without a text")
    print(f"labels in {output}")
