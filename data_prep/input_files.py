"""Reading what people made: text, JSON, YAML and folders; every failure one line with file and line."""

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import yaml

from modules.errors import InputError, tell

# what programs for photographs, and telephones, lay beside a picture
SIDECARS = ".xmp", ".aae"
SPLITS = ("train", "val", "test")

# what the formats people have call our three splits; COCO's restval is validation data meant for training
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "restval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def read_text(path: Path) -> str:
    """Returns the UTF-8 text of a file less its byte order mark; InputError names the line of a bad byte."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, a file is needed") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: is not UTF-8 text; name a text file, saved as UTF-8") from None


def read_json(path: Path) -> object:
    """Returns the parsed JSON file; InputError with the line where it is none."""
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: is no JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON that can be read ({_given_up(error)})") from None


def read_yaml(path: Path) -> object:
    """Returns the parsed YAML file; InputError with the line where it is none."""
    text = read_text(path)
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: is no YAML ({error.problem})") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no YAML ({' '.join(str(error).split())})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no YAML that can be read ({_given_up(error)})") from None


def _given_up(error: Exception) -> str:
    """Returns why a parser cannot go on: of nesting, numbers of thousands of digits, dates that are none."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    # Python's advice on long numbers is for who writes programs
    return str(getattr(error, "msg", error)).partition(";")[0]


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yields (line number, object) for every non-blank line; InputError where a line is no JSON object."""
    # split on "\n" alone: str.splitlines also breaks at U+2028, which JSON allows inside a string
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{number}: is no JSON ({_given_up(error)})") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: is no JSON object, as every line has to be")
        yield number, row


def split_name(name: str, where: str) -> str:
    """Returns "train", "val" or "test" for any of their usual names (dev, valid, restval, ...).

    Args:
        name: the split as the data calls it.
        where: "file:line" for the message.
    """
    split = _SPLIT_NAMES.get(name.strip().lower())
    if split is None:
        raise InputError(f"{where}: split {name!r} is none of {', '.join(_SPLIT_NAMES)}")
    return split


def existing_folder(root: Path) -> Path:
    """Returns `root` if it is a folder that holds something; InputError otherwise."""
    if not root.exists():
        raise InputError(f"{root}: no such folder")
    if not root.is_dir():
        raise InputError(f"{root}: is a file, a folder is needed")
    try:
        if not any(root.iterdir()):
            raise InputError(f"{root}: the folder is empty")
    except PermissionError:
        raise InputError(f"{root}: no permission to read this folder") from None
    return root


def list_files(folder: Path | str) -> list[Path]:
    """Returns every visible file in the folder and its sub-folders, sorted, whatever it holds.

    Hidden files and folders are passed over; links are followed, but never into a folder they lie in.
    InputError for a missing folder, a file in its place, an empty folder, or one that may not be read.
    """
    root = Path(folder)
    if not root.exists():
        raise InputError(f"{root}: no such folder")
    if not root.is_dir():
        raise InputError(f"{root}: is a file, a folder of images is needed")
    files = list(walk_files(root))
    if not files:
        raise InputError(f"{root}: the folder is empty; it should hold images")
    return files


def list_undrawn(folder: Path, *suffixes: str) -> list[Path]:
    """Returns the files of `list_files` but those that a command drew there, and sidecars of photographs.

    How many these are is said on stderr. InputError where there is no other.

    Args:
        folder: Of what is to be read.
        suffixes: Of what was drawn, such as .attention.jpg.
    """
    kept = list_files(folder)
    for what, endings in (("drawn pictures", suffixes), ("sidecars of photographs", SIDECARS)):
        files, kept = kept, [file for file in kept if not file.name.lower().endswith(endings)]
        left_out = f"{len(files) - len(kept):,} {what} ({', '.join(f'*{ending}' for ending in endings)})"
        if not kept:
            raise InputError(f"{folder}: holds only {left_out}; name the folder of the pictures themselves")
        if len(kept) < len(files):
            tell(f"note: {folder}: {left_out} are left out")
    return kept


def walk_files(
    folder: Path, without: Collection[str] = (), above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[Path]:
    """Yields the visible regular files below the folder, and links to none, in the order of their names.

    Links are followed, but never into a folder they lie in.

    Args:
        folder: It exists.
        without: Names of sub-folders that are passed over.
        above: Folders it lies in.

    Raises:
        InputError: A folder cannot be read.
    """
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            visible = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); nothing was listed") from None
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in visible:
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:  # a link to itself, or to where nothing may be read
            is_folder, is_file = False, True
        if is_folder and entry.name not in without:
            yield from walk_files(folder / entry.name, without, above | {here})
        # a link that leads nowhere was meant to be a file: whoever reads it says what is wrong
        elif is_file or (entry.is_symlink() and not Path(entry).exists()):
            yield folder / entry.name
