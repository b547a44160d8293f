"""Text files: finding them, telling them from other files, and decoding them piece by piece."""

from __future__ import annotations

import codecs
import io
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from data_prep.input_files import walk_files
from data_prep.progress import Bar
from modules.errors import InputError

_CHUNK = 1 << 20  # bytes read at a time
_LONGEST_WORD = 10_000  # characters
_SAMPLE = 1 << 16  # bytes that tell whether a file is text
# the longer marks first: UTF-32's begins with UTF-16's
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# bytes that stand in no text: control characters but for tab, line feed, form feed, return and escape
_CONTROLS = bytes(set(range(32)) - {*b"\t\n\x0c\r\x1b"})
_ENCODINGS = (
    "utf-8",
    "utf-16",
    "utf-32",
    "cp1252",
    "latin-1",
    "gb18030",
    "big5",
    "shift_jis",
    "euc_kr",
    "koi8_r",
)


@dataclass(frozen=True)
class TextFile:
    """A file to read; `name` is its posix path below the folder that was given, or its own name."""

    name: str
    path: Path
    size: int  # bytes


@dataclass
class TextFiles:
    """The text files of a FILE or folder, sorted by name.

    Args:
        root: What was given.
        files: Those that hold anything.
        left_out: Names of files in the folder that are no text.
        encoding: Of all files; None for UTF-8 or what a byte order mark says.
    """

    root: Path
    files: list[TextFile]
    left_out: list[str] = field(default_factory=list)
    encoding: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def find_text(
    root: Path,
    pattern: str | None = None,
    encoding: str | None = None,
    without: Collection[str] = (),
) -> TextFiles:
    """Returns the text files of a FILE, or of a folder and its sub-folders.

    Hidden files and folders and empty files are passed over; files of a folder that are no text are left out
    and named. Links are followed, and each file is taken once. InputError where nothing is left.

    Args:
        root: File or folder.
        pattern: Only files of a folder whose name matches, such as *.txt.
        encoding: Of all files; None for UTF-8 or what a byte order mark says.
        without: Names of sub-folders that are passed over.
    """
    check_encoding(encoding)
    if root.is_dir():
        return _find_in_folder(root, pattern, encoding, without)
    size = _status(root).st_size
    if pattern is not None:
        raise InputError(f"{root}: is a file; data.pattern chooses files of a folder")
    if not size:
        raise InputError(f"{root}: is empty; a text is needed")
    if _is_binary(root, encoding):
        raise InputError(f"{root}: is no text (binary); give a text file, or name its --data.encoding")
    return TextFiles(root, [TextFile(root.name, root, size)], encoding=encoding)


def _find_in_folder(
    root: Path, pattern: str | None, encoding: str | None, without: Collection[str]
) -> TextFiles:
    found = TextFiles(root, [], encoding=encoding)
    chosen: dict[tuple[int, int], TextFile] = {}
    for path in walk_files(root, without):
        if not path.is_file() or not fnmatch(path.name, pattern or "*"):
            continue
        status = _status(path)
        if status.st_size:
            file = TextFile(path.relative_to(root).as_posix(), path, status.st_size)
            key = status.st_dev, status.st_ino
            first = chosen.setdefault(key, file)
            # a text of two names is read by that which is no link
            if first is not file and _is_linked(first.path, root) and not _is_linked(path, root):
                chosen[key] = file
    for file in chosen.values():
        if _is_binary(file.path, encoding):
            found.left_out.append(file.name)
        else:
            found.files.append(file)
    found.files.sort(key=lambda file: file.name)
    found.left_out.sort()
    if not found.files:
        wanted = f"file named {pattern} that holds text" if pattern else "text file"
        others = f" ({len(found.left_out)} others, the first {found.left_out[0]})" if found.left_out else ""
        raise InputError(f"{root}: no {wanted} in this folder{others}")
    return found


def _is_linked(path: Path, root: Path) -> bool:
    return path.resolve() != root.resolve() / path.relative_to(root)


def _status(path: Path) -> os.stat_result:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not stat.S_ISREG(status.st_mode):  # reading a named pipe would wait for ever
        raise InputError(f"{path}: is no regular file; save the text to a file first")
    return status


@contextmanager
def encoding_alone() -> Iterator[None]:
    """Has complaints name --encoding, for commands whose option is not data.encoding."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace("data.encoding", "encoding")) from None


def check_encoding(encoding: str | None) -> None:
    """InputError for the name of no encoding."""
    if encoding is None:
        return
    try:
        "\n".encode(encoding)  # LookupError for what turns no text into bytes, too
    except (LookupError, UnicodeError, ValueError):
        near = get_close_matches(encoding.lower(), _ENCODINGS, n=1, cutoff=0.0)[0]
        raise InputError(
            f"data.encoding is {encoding!r}; the nearest is {near!r} of {', '.join(_ENCODINGS)} and others"
        ) from None


def _is_binary(path: Path, encoding: str | None) -> bool:
    with _opened(path) as stream:
        sample = stream.read(_SAMPLE)
    if encoding is None and any(sample.startswith(mark) for mark, _ in _MARKS):
        return False
    if encoding is not None and len("\n".encode(encoding)) > 1:
        return False
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return b"\0" in sample or controls > len(sample) / 50


def _opened(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_pieces(path: Path, encoding: str | None = None, bar: Progress | None = None) -> Iterator[str]:
    r"""Yields the text of a file in pieces of about a million characters, each but the last up to a blank.

    Line ends are \n, whatever they are in the file; a byte order mark is left away.

    Args:
        path: The file.
        encoding: Its encoding; None for UTF-8 or what its byte order mark says.
        bar: Its only task is moved along by the bytes that were read.

    Raises:
        InputError: The file cannot be read, or holds bytes that are no text: with line, byte and remedy.
    """
    kept = ""  # behind the last blank of what was decoded
    for text in _decoded(path, encoding, bar):
        text = kept + text
        last = range(len(text), max(0, len(text) - _LONGEST_WORD), -1)
        # a long text without blanks is cut anywhere
        otherwise = len(text) if len(text) > _LONGEST_WORD else 0
        if end := next((at for at in last if text[at - 1].isspace()), otherwise):
            yield text[:end]
        kept = text[end:]
    if kept:
        yield kept


def _decoded(path: Path, encoding: str | None, bar: Progress | None) -> Iterator[str]:
    with _opened(path) as stream:
        sample = stream.read(4)
        stream.seek(0)
        marked = next((name for mark, name in _MARKS if sample.startswith(mark)), None)
        name = encoding or marked or "utf-8"
        if codecs.lookup(name).name == "utf-8":
            name = "utf-8-sig"
        decoder = codecs.getincrementaldecoder(name)("strict")
        normalised = io.IncrementalNewlineDecoder(decoder, translate=True)  # type: ignore[arg-type]
        offset, line, begun = 0, 1, False
        while True:
            try:
                chunk = stream.read(_CHUNK)
                text = normalised.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                # it counts from the bytes that were left over from the chunk before
                before = error.object[: error.start]
                line += before.decode(name, "replace").count("\n")
                byte = offset + len(chunk) - len(error.object) + error.start
                raise InputError(_wrong_bytes(path, line, byte, name, encoding)) from None
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
            if "\0" in text:
                line += text[: text.index("\0")].count("\n")
                raise InputError(f"{path}:{line}: holds a NUL character and is no text; remove it")
            if text:
                # of an encoding that names its order of bytes the mark is a character
                yield text if begun else text.removeprefix("\ufeff")
                begun = True
            if not chunk:
                return
            offset += len(chunk)
            line += text.count("\n")
            if bar is not None:
                bar.advance(bar.task_ids[0], len(chunk))


def _wrong_bytes(path: Path, line: int, byte: int, name: str, encoding: str | None) -> str:
    where = f"{path}:{line}: byte {byte:,} is not {name.removesuffix('-sig').upper()}"
    if encoding is None:
        return (
            f"{where}; save the file as UTF-8 or name its encoding, such as --data.encoding cp1252 (Windows)"
        )
    return f"{where}, which data.encoding names; save the file as UTF-8 or name the right one"


def bytes_bar(description: str, total: int) -> Progress:
    """Returns a bar on stderr with one task; it shows only where the work takes longer than a moment.

    Args:
        description: What is done.
        total: Bytes to go through.
    """
    columns = (
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bar = Bar(*columns, visible=total >= 1_000_000)
    bar.add_task(description, total=total)
    return bar
