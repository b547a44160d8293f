"""Tables of images and what is said of them: commas, semicolons or tabs between the cells."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.input_files import read_text
from modules.errors import InputError

CAPTIONS = ("image", "caption")
csv.field_size_limit(2**31 - 1)  # a cell may hold a book; Python's own limit is 131,072 characters
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_csv(path: Path, columns: Sequence[str] = CAPTIONS) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields ("file:line", row) of a csv whose header has these columns; no image is needed.

    The header tells what stands between the cells. InputError with file and line: another header, two columns
    of one name, a row of another width, an open quote, no UTF-8 text.
    """
    text = read_text(path)
    delimiter = _delimiter(text, columns)
    if text.lstrip()[:1] in ("{", "[") and not _fits(_first(text, delimiter), columns):
        named = " and ".join(columns)
        raise InputError(f"{path}:1: is JSON; a csv is needed, with the columns {named}")
    # strict: an unclosed quote is an error, not a caption that swallows the rest of the file
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    try:
        for fields in reader:
            where, line = f"{path}:{line}", reader.line_num + 1
            if not any(field.strip() for field in fields):
                continue
            if not header:
                header = _header(fields, columns, where)
            elif len(fields) != len(header):
                raise InputError(
                    f"{where}: {len(fields)} fields under {len(header)} columns;"
                    f" a {columns[-1]} that holds a {_DELIMITERS[delimiter]} stands in double quotes"
                )
            else:
                yield where, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}:{line}: is no csv ({error}); is a double quote left open?") from None


def is_csv(text: str) -> bool:
    """Returns whether a text begins with a header of images and captions."""
    return any(_fits(_first(text, delimiter), CAPTIONS) for delimiter in _DELIMITERS)


def _delimiter(text: str, columns: Sequence[str]) -> str:
    return next((delimiter for delimiter in _DELIMITERS if _fits(_first(text, delimiter), columns)), ",")


def _first(text: str, delimiter: str) -> list[str]:
    first = text.lstrip("\r\n").partition("\n")[0]
    return [cell.strip().strip('"').strip().lower() for cell in first.split(delimiter)]


def _fits(header: list[str], columns: Sequence[str]) -> bool:
    return all(name in header for name in columns)


def _header(fields: list[str], columns: Sequence[str], where: str) -> list[str]:
    header = [field.strip().lower() for field in fields]
    lacking = [repr(column) for column in columns if header.count(column) != 1]
    if lacking:
        found = ", ".join(fields)[:80]
        raise InputError(f"{where}: needs one column {' and one '.join(lacking)}, the columns are: {found}")
    if twice := [name for name in header if name and header.count(name) > 1]:
        raise InputError(f"{where}: two columns are called {twice[0]!r}; rename one")
    return header
