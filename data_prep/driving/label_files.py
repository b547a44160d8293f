"""Tables of labels as people have them: cells with their file and line, whatever the header is called."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.input_files import read_text
from modules.errors import InputError


@dataclass
class LabelFile:
    """The rows of a csv file by the lower-case names of their columns.

    Args:
        path: the file.
        header: names of the columns.
        rows: cells of each row, without the space around them.
        lines: line of each row.
        header_line: line of the header; 0 where the file has none.
    """

    path: Path
    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    header_line: int

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, row: int) -> str:
        """Returns "file:line" of a row."""
        return f"{self.path}:{self.lines[row]}"

    def find(self, *names: str) -> str | None:
        """Returns the first of the names that is a column; none where no column is called so."""
        return next((name for name in names if name in self.header), None)

    def need(self, what: str, *names: str) -> str:
        """Returns the first of the names that is a column; InputError where no column is called so.

        Args:
            what: what the column holds, for the message.
            names: what it may be called.
        """
        found = self.find(*names)
        if found is None:
            wanted = names[0] if len(names) == 1 else f"one of {', '.join(names)}"
            raise InputError(
                f"{self.path}:{max(1, self.header_line)}: no column for the {what} ({wanted}); "
                f"the columns are: {', '.join(self.header)[:120]}"
            )
        return found

    def texts(self, name: str) -> list[str]:
        """Returns the cells of a column."""
        place = self.header.index(name)
        return [row[place] for row in self.rows]

    def numbers(self, name: str) -> np.ndarray:
        """Returns a column as float64, NaN for an empty cell or nan; InputError for anything else."""
        place = self.header.index(name)
        values = np.empty(len(self.rows))
        for row, cells in enumerate(self.rows):
            values[row] = number(cells[place], name, self.path, self.lines[row])
        return values


def number(cell: str, name: str, path: Path, line: int) -> float:
    """Returns the number in a cell, NaN for an empty one; InputError with file and line if it is none."""
    if not cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        raise InputError(f"{path}:{line}: {name} is {cell[:40]!r}, which is no number") from None
    if math.isinf(value):
        raise InputError(f"{path}:{line}: {name} is infinite")
    return value


def read_labels(path: Path, header: list[str] | None = None) -> LabelFile:
    """Returns the rows of a csv file; blank lines are passed over.

    InputError with file and line: no UTF-8 text, an open quote, a row of another width than the header.

    Args:
        path: file with commas, semicolons or tabs between its cells.
        header: names of the columns of a file that has no header line.
    """
    text = read_text(path)
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)  # the comma, where none of them occurs
    # strict: an unclosed quote is an error, not a cell that swallows the rest of the file
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    table = LabelFile(path, list(header or []), [], [], 0)
    line = 1
    try:
        for fields in reader:
            begun, line = line, reader.line_num + 1
            cells = [cell.strip() for cell in fields]
            if not any(cells):
                continue
            if not table.header:
                table.header, table.header_line = [cell.lower() for cell in cells], begun
                _check_header(table)
            elif len(cells) != len(table.header):
                raise InputError(f"{path}:{begun}: {len(cells)} cells under {len(table.header)} columns")
            else:
                table.rows.append(cells)
                table.lines.append(begun)
    except csv.Error as error:
        raise InputError(f"{path}:{line}: is no csv ({error}); is a double quote left open?") from None
    if not table.rows:
        raise InputError(f"{path}: holds no rows of labels")
    return table


def _check_header(table: LabelFile) -> None:
    twice = next((name for name in table.header if name and table.header.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{table.path}:{table.header_line}: has two columns {twice!r}")


def nanoseconds(labels: LabelFile, name: str) -> np.ndarray:
    """Returns a column of whole numbers as int64: float64 would round nanoseconds since 1970 to 256."""
    place = labels.header.index(name)
    values = np.empty(len(labels), np.int64)
    for row, cells in enumerate(labels.rows):
        try:
            values[row] = int(cells[place])
        except (ValueError, OverflowError):
            raise InputError(
                f"{labels.where(row)}: {name} is {cells[place][:40]!r}; a whole number is needed"
            ) from None
    return values


def nested(root: Path, name: str) -> list[Path]:
    """Returns the file of this name in the folder; where it is not there, those in the folders below it."""
    if (root / name).is_file():
        return [root / name]
    return sorted(path for path in root.glob(f"*/{name}") if path.is_file())


def image_folder(
    root: Path, folders: Sequence[str], names: Sequence[str], suffixes: Sequence[str]
) -> tuple[str, str]:
    """Returns the folder below root and the suffix with which most images are there: ("center/", ".jpg").

    Where none is there, the first of each.

    Args:
        root: folder of the labels.
        folders: where the images may lie; "" is the folder of the labels.
        names: names of the images.
        suffixes: what may follow a name.
    """
    # a sample from the whole length: of a large set any part may be absent
    sample = [names[i] for i in np.linspace(0, len(names) - 1, min(len(names), 60)).astype(int)]
    choices = [(f"{folder}/" if folder else "", suffix) for folder in folders for suffix in suffixes]
    found = [sum((root / f"{lead}{n}{suffix}").is_file() for n in sample) for lead, suffix in choices]
    return choices[int(np.argmax(found))]
