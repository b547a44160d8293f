"""Tables of labels as people have them: cells with their file and line, whatever the header is called."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_prep.input_files import read_text
from modules.errors import InputError

# gamepads and their calibration miss full lock by a little
_LARGEST_EXCESS = 1.05
_RARE = 0.02  # a share of values
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")


@dataclass
class LabelFile:
    """The rows of a csv file by the lower-case names of their columns.

    Args:
        path: the file.
        header: names of the columns.
        rows: cells of each row, without the space around them.
        lines: line of each row.
        header_line: line of the header; 0 where the file has none.
        delimiter: what parts the cells; only where it is no comma may a number have one.
        notes: what is to be said of the file, a line each.
    """

    path: Path
    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    header_line: int
    delimiter: str = ","
    notes: list[str] = field(default_factory=list)

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
        return np.array([self.number(row, name) for row in range(len(self))])

    def number(self, row: int, name: str) -> float:
        """Returns the number in one cell; NaN and InputError as `numbers` has them."""
        cell = self.rows[row][self.header.index(name)]
        if self.delimiter != "," and _DECIMAL_COMMA.fullmatch(cell):
            cell = cell.replace(",", ".")
        return number(cell, name, self.path, self.lines[row])


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


def delimiter_of(text: str) -> str:
    """Returns what parts the cells of a csv: comma, semicolon or tab."""
    first = text.lstrip(" \r\n").partition("\n")[0]
    # a semicolon before a comma: without a header, numbers may have commas in them
    for delimiter in ("\t", ";"):
        if first.count(delimiter) > 1:
            return delimiter
    return max(",;\t", key=first.count)  # the comma, where none of them occurs


def read_labels(path: Path, header: list[str] | None = None, drop_cut_end: bool = False) -> LabelFile:
    """Returns the rows of a csv file; blank lines are passed over.

    InputError with file and line: no UTF-8 text, an open quote, a row of another width than the header.

    Args:
        path: file with commas, semicolons or tabs between its cells.
        header: names of the columns of a file that has no header line.
        drop_cut_end: leave out a last line that ends early, as after a power failure, and note it.
    """
    text = read_text(path)
    if drop_cut_end:
        text = text.rstrip("\0")  # which some file systems leave behind after a power failure
    delimiter = delimiter_of(text)
    # strict: an unclosed quote is an error, not a cell that swallows the rest of the file
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    table = LabelFile(path, list(header or []), [], [], 0, delimiter)
    lines = text.rstrip("\n").count("\n") + 1
    is_cut = drop_cut_end and not text.endswith("\n")
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
            elif is_cut and begun == lines and len(cells) < len(table.header) and table.rows:
                table.notes.append(f"{path}:{begun}: the last line is cut off; it was left out")
            elif len(cells) != len(table.header):
                is_wide = delimiter == "," and len(cells) > len(table.header)
                hint = "; numbers with decimal commas need semicolons between the cells" if is_wide else ""
                raise InputError(
                    f"{path}:{begun}: {len(cells)} cells under {len(table.header)} columns{hint}"
                )
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


def commands(values: np.ndarray, name: str, where: Callable[[int], str]) -> tuple[np.ndarray, list[str]]:
    """Returns shares of full lock within -1 to 1 (N,), and what was done to those beyond.

    A tiny excess, as of a gamepad at full lock, becomes full lock; a rare value far beyond becomes unknown.
    InputError where there are many such.

    Args:
        values: as the file has them, NaN where unknown (N,).
        name: of their column, for messages.
        where: "file:line" of a row.
    """
    size, notes = np.abs(values), []
    slight = (size > 1) & (size <= _LARGEST_EXCESS)
    beyond = size > _LARGEST_EXCESS
    if slight.any():
        row = int(slight.argmax())
        notes.append(
            f"{where(row)}: {name} is {values[row]:.6g}; {int(slight.sum()):,} such became full lock"
        )
    if beyond.any():
        row = int(beyond.argmax())
        said = f"{where(row)}: {name} is {values[row]:g}; it has to be from -1 to 1"
        if beyond.sum() > _RARE * len(values):
            raise InputError(said)
        notes.append(f"{said}; {int(beyond.sum()):,} such are unknown and left out of training")
    return np.where(beyond, np.nan, values.clip(-1, 1)), notes


def nested(root: Path, name: str) -> list[Path]:
    """Returns the file of this name in the folder; where it is not there, those in the folders below it."""
    if (root / name).is_file():
        return [root / name]
    return sorted(path for path in root.glob(f"*/{name}") if path.is_file())


def _sample(names: Sequence[str]) -> list[str]:
    # from the whole length: of a large set any part may be absent
    return [names[i] for i in np.linspace(0, len(names) - 1, min(len(names), 60)).astype(int)]


def local_files(root: Path, names: Sequence[str]) -> list[str]:
    """Returns the files that a table names, as they are called below root.

    Back-slashes of Windows become slashes. Paths of another machine lead to no file: then the
    longest end of the paths counts under which there are some.

    Args:
        root: folder of the table.
        names: files, or frames in them as `CONTAINER#NUMBER`.
    """
    if any(_is_there(root, name) for name in _sample(names)):
        return list(names)
    parts = [name.replace("\\", "/").split("/") for name in names]
    for length in range(max(map(len, parts)), 0, -1):
        ends = ["/".join(part[-length:]) for part in parts]
        if any(_is_there(root, end) for end in _sample(ends)):
            return ends
    return list(names)


def _is_there(root: Path, name: str) -> bool:
    container, mark, _ = name.partition("#")
    try:
        return (root / name).is_file() or (bool(mark) and (root / container).exists())
    except (OSError, ValueError):  # no name of a file at all
        return False


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
    sample = _sample(names)
    choices = [(f"{folder}/" if folder else "", suffix) for folder in folders for suffix in suffixes]
    found = [sum((root / f"{lead}{n}{suffix}").is_file() for n in sample) for lead, suffix in choices]
    return choices[int(np.argmax(found))]
