"""Reading what people made: text, JSON and names of images; every failure one line with file and line."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from modules.errors import InputError

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
        raise InputError(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from None


def read_json(path: Path) -> object:
    """Returns the parsed JSON file; InputError with the line where it is none."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: is no JSON ({error.msg})") from None
    except RecursionError:
        raise InputError(f"{path}: is no JSON that can be read (nested too deeply)") from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yields (line number, object) for every non-blank line; InputError where a line is no JSON object."""
    # split on "\n" alone: str.splitlines also breaks at U+2028, which JSON allows inside a string
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            reason = getattr(error, "msg", "nested too deeply")
            raise InputError(f"{path}:{number}: is no JSON ({reason})") from None
        if not isinstance(row, dict):
            raise InputError(f'{path}:{number}: is no JSON object; write {{"image": ..., "caption": ...}}')
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


def image_name(name: str, where: str) -> str:
    """Returns `name` as a clean posix path inside the images folder.

    InputError for an empty, absolute or `../` path: a caption file must not reach outside its data set.
    """
    path = PurePosixPath(encodable(name, where).strip().replace("\\", "/"))
    if not path.name or "\0" in name:
        raise InputError(f"{where}: the image has no name; give a path relative to the images folder")
    if path.is_absolute() or PureWindowsPath(name.strip()).drive or ".." in path.parts:
        raise InputError(f"{where}: image {name!r} leaves the images folder; give a path relative to it")
    return str(path)


def encodable(text: str, where: str) -> str:
    """Returns `text`; InputError where JSON smuggled half a character in, which no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{where}: {text!r} holds half a Unicode character; save the file anew") from None
    return text


def caption_text(caption: object, where: str) -> str:
    """Returns the caption on one line, spaces collapsed; InputError where it is empty or no text."""
    if not isinstance(caption, str):
        raise InputError(f"{where}: the caption is {type(caption).__name__}, not text")
    text = " ".join(encodable(caption, where).split())
    if not text:
        raise InputError(f"{where}: the caption is empty; write one or remove the line")
    return text


def resolve_images(folder: Path, mentions: Mapping[str, str]) -> dict[str, Path]:
    """Returns the file of every mentioned image.

    InputError names the first mention whose file is absent, and how many are absent in all.

    Args:
        folder: the images folder.
        mentions: image name -> "file:line" that mentions it.
    """
    paths = {image: folder / image for image in mentions}
    absent = [image for image, path in paths.items() if not path.is_file()]
    if absent:
        more = f" ({len(absent)} of {len(paths)} images are absent)" if len(absent) > 1 else ""
        raise InputError(f"{mentions[absent[0]]}: image {absent[0]} is not in {folder}{more}")
    return paths


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


def locate_images(candidates: Iterable[Path], first: str) -> Path:
    """Returns the folder among `candidates` that holds the image `first`.

    Where none does: the first folder that exists, so that `resolve_images` can say what is absent there.
    InputError where no candidate is a folder.
    """
    folders = list(dict.fromkeys(candidates))
    for folder in folders:
        if (folder / first).is_file():
            return folder
    for folder in folders:
        if folder.is_dir():
            return folder
    raise InputError(f"{folders[0]}: no such folder of images (looked for {', '.join(map(str, folders))})")
