"""A full-text index of a file of captions: SQLite's FTS5 with Porter's stems, kept in the cache.

A photograph is a row: its caption, the other captions that it has, and where it lies. The index is made anew
when the captions' file has changed since.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import string
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.cache import cache_folder, writing_in
from modules.errors import InputError
from modules.whole_files import write_whole

_FORMAT = 2  # of the index: another number makes all of them anew
_PHOTOGRAPHS = "photographs.json"
_BEGIN, _END = "\x02", "\x03"  # around a word that was found
_APART = "\u200b"  # between two words that are written without a blank; it has no width
# words that tell no photograph from another; they are looked for where a query has no other word
_COMMON = " a an and are at be by for from in is it its of on or s t that the to with "
_BETWEEN = str.maketrans(dict.fromkeys({*string.punctuation, "\0"} - {"'", "-"}, " "))  # words of a query
# what was found in a photograph's own caption weighs twice as much as in its other ones
_BEST = "bm25(captions, 1.0, 0.5), rowid"
_HALF = "surrogatepass"  # a file's name need not be UTF-8

Parts = list[tuple[str, bool]]  # a caption in pieces, those that were looked for marked as true


class Found(NamedTuple):
    """A photograph whose captions fit a query."""

    image: str
    file: str  # where it lies, if the captions' file says so
    caption: Parts
    others: list[Parts]  # further captions of it with words that were looked for and that it lacks
    has_all: bool  # whether its captions have all words that were looked for


def _cache_of(captions: Path) -> Path:
    key = hashlib.sha256(str(captions.resolve()).encode("utf-8", "replace")).hexdigest()[:16]
    return cache_folder("captions", key)


def remember_photographs(captions: Path, folder: Path) -> None:
    """Notes in the cache, if it can be written, in which folder the photographs of these captions lie."""
    status = captions.stat()
    noted = [status.st_size, status.st_mtime_ns, str(folder.resolve())]
    with suppress(OSError):
        write_whole(_cache_of(captions) / _PHOTOGRAPHS, json.dumps(noted).encode())


def photographs_of(captions: Path) -> Path | None:
    """Returns the folder that was noted for these captions; None where they have changed since."""
    try:
        *state, folder = json.loads((_cache_of(captions) / _PHOTOGRAPHS).read_bytes())
        status = captions.stat()
    except (OSError, ValueError):
        return None
    return Path(folder) if state == [status.st_size, status.st_mtime_ns] else None


class CaptionIndex:
    """Photographs by the words of their captions.

    Args:
        path: Captions: jsonl or csv (image, caption) or COCO results, as `predict` writes them.

    Raises:
        InputError: The file is absent, broken or has no captions; the line is named.
    """

    def __init__(self, path: Path) -> None:
        try:
            status = path.stat()
        except OSError as error:
            remedy = "write it with: caption.py predict --images DIR"
            raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
        state = f"{_FORMAT} {status.st_size} {status.st_mtime_ns}"
        folder = _cache_of(path)
        self.file = folder / "index.sqlite"
        if not self._opens(state):
            data = _build(path, state)
            with writing_in(folder, "the index of captions"):
                write_whole(self.file, data)
            self._opens(state)

    def _opens(self, state: str) -> bool:
        """Opens the index; returns whether it is one of the captions as they are."""
        if not self.file.is_file():
            return False
        self._database = sqlite3.connect(f"{self.file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            found, self._photographs = self._database.execute("SELECT * FROM about").fetchone()
        except (sqlite3.DatabaseError, TypeError, ValueError):  # it was damaged
            found = None
        if found != state:
            self.close()
        return bool(found == state)

    def close(self) -> None:
        """Closes the index's file."""
        self._database.close()

    def __len__(self) -> int:
        return int(self._photographs)

    def search(self, query: str, limit: int) -> tuple[list[Found], int]:
        """Returns the photographs that fit best, and how many have all words of the query.

        Those with all words come first, then those with some. Words are found in all their forms (dog, dogs).

        Args:
            query: What a person typed; it has no operators.
            limit: Most photographs.

        Raises:
            InputError: The query has no word.
        """
        words = _words(query)
        try:
            return self._search(words, limit)
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self.file}: a damaged index of captions ({error}); delete it") from None

    def _search(self, words: list[str], limit: int) -> tuple[list[Found], int]:
        with_all, with_some = " ".join(words), " OR ".join(words)
        (number,) = self._database.execute(
            "SELECT count(*) FROM captions WHERE captions MATCH ?", [with_all]
        ).fetchone()
        best = self._best(with_all, limit)
        found = [self._found(row, with_all, True) for row in best]
        if len(found) < limit and len(words) > 1:
            known = set(best)
            some = [row for row in self._best(with_some, limit + len(best)) if row not in known]
            found += [self._found(row, with_some, False) for row in some[: limit - len(best)]]
        return found, number

    def _best(self, match: str, limit: int) -> list[int]:
        rows = self._database.execute(
            f"SELECT rowid FROM captions WHERE captions MATCH ? ORDER BY {_BEST} LIMIT ?", [match, limit]
        )
        return [row for (row,) in rows]

    def _found(self, row: int, match: str, has_all: bool) -> Found:
        marks = f"'{_BEGIN}', '{_END}'"
        image, file, caption, others = self._database.execute(
            f"SELECT image, file, highlight(captions, 0, {marks}), highlight(captions, 1, {marks}) "
            "FROM captions WHERE captions MATCH ? AND rowid = ?",
            [match, row],
        ).fetchone()
        said = _parts(caption)
        shown, others_shown = _marked(said), list[Parts]()
        for other in map(_parts, others.split("\n")):
            if not _marked(other) <= shown:
                others_shown.append(other)
                shown |= _marked(other)
        return Found(image.decode("utf-8", _HALF), file.decode("utf-8", _HALF), said, others_shown, has_all)


def _words(query: str) -> list[str]:
    """Returns the words to look for, each as a string of FTS5, in which nothing is an operator."""
    pieces = [piece for piece in query.translate(_BETWEEN).split() if any(map(str.isalnum, piece))]
    if not pieces:
        raise InputError(f"{query!r} has no word to look for; write some, as in: find dog in the snow")
    bare = ["".join(filter(str.isalnum, piece)).lower() for piece in pieces]
    telling = [piece for piece, word in zip(pieces, bare, strict=True) if f" {word} " not in _COMMON]
    # half a character is none
    return [f'"{_apart(piece).encode("utf-8", "replace").decode()}"' for piece in telling or pieces]


def _apart(text: str) -> str:
    """Returns a text in which every Chinese or Japanese character is a word, as captions' tokens have it."""
    if text.isascii():
        return text
    from modules.caption_tokens import CJK  # not for each search

    return CJK.sub(rf"{_APART}\g<0>{_APART}", text)


def _marked(parts: Parts) -> set[str]:
    """Returns the words of a caption that were looked for."""
    return {word for text, is_found in parts if is_found for word in text.lower().split()}


def _parts(marked: str) -> Parts:
    """Returns a marked caption in pieces."""
    parts: Parts = []
    for number, piece in enumerate(marked.replace(_APART, "").split(_BEGIN)):
        inside, end, after = piece.partition(_END)
        if number and end:
            parts += [(inside, True), (after, False)]
        else:
            parts.append((piece, False))
    return [(text, is_found) for text, is_found in parts if text]


def _build(path: Path, state: str) -> bytes:
    """Returns the index of a captions' file, as SQLite's file."""
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute(
                "CREATE VIRTUAL TABLE captions USING fts5(caption, others, image UNINDEXED, file UNINDEXED, "
                "tokenize = 'porter unicode61 remove_diacritics 2')"
            )
        except sqlite3.OperationalError as error:
            raise InputError(
                f"Python's SQLite cannot search texts ({error}); install one with FTS5"
            ) from None
        # of captions that fit alike, what the captioner was surer of comes first
        rows = sorted(_rows(path), key=lambda row: -row[0])
        if not rows:
            raise InputError(f"{path}: holds no captions")
        with database:
            database.executemany("INSERT INTO captions VALUES (?, ?, ?, ?)", (row[1:] for row in rows))
            database.execute("INSERT INTO captions(captions) VALUES ('optimize')")
            database.execute("CREATE TABLE about AS SELECT ? AS state, ? AS photographs", [state, len(rows)])
        return database.serialize()


def _rows(path: Path) -> Iterator[tuple[float, str, str, bytes, bytes]]:
    """Yields of every captioned image how sure the captioner was, and what the index keeps."""
    from pipelines.captioning.predictions import caption_of, image_of, prediction_rows  # not for each search

    for where, row in prediction_rows(path):
        image = row.get("image")
        if not isinstance(image, str) or not image.strip():
            image = image_of(row, where)
        if row.get("error") and not row.get("caption"):
            continue
        caption = caption_of(row, where)
        others = [" ".join(other.split()) for other in _others(row, where) if other != row["caption"]]
        try:
            score = float(str(row.get("score")))
        except ValueError:
            score = -math.inf
        file = row.get("file")
        name, place = (each.encode("utf-8", _HALF) for each in (image, file if isinstance(file, str) else ""))
        score = -math.inf if math.isnan(score) else score
        yield score, _kept(caption), _kept("\n".join(others)), name, place


def _others(row: Any, where: str) -> list[str]:
    """Returns the captions of a row that has several, best first."""
    captions = row.get("captions") or []
    if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
        raise InputError(f'{where}: "captions" is no list of texts')
    return captions


def _kept(text: str) -> str:
    """Returns a text as the index keeps it, without the marks of what was found."""
    return _apart(text.replace(_BEGIN, " ").replace(_END, " "))
