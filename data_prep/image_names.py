"""Names of images as people write them, their files and splits; every failure one line with file and line."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from modules.errors import InputError

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)  # most are: in no folder, nothing to clean


def image_name(name: str, where: str) -> str:
    """Returns `name` as a clean posix path inside the images folder.

    InputError for an empty, absolute or `../` path: a table must not reach outside its data set.
    """
    if _PLAIN_NAME.fullmatch(name):
        return name
    path = PurePosixPath(encodable(name, where).strip().replace("\\", "/"))
    if not path.name or "\0" in name:
        raise InputError(f"{where}: the image has no name; give a path relative to the images folder")
    if path.is_absolute() or PureWindowsPath(name.strip()).drive or ".." in path.parts:
        raise InputError(f"{where}: image {name!r} leaves the images folder; give a path relative to it")
    return str(path)


def encodable(text: str, where: str, *, errors: str = "strict") -> str:
    """Returns `text`; InputError where JSON smuggled half a character in, which no file can hold.

    Args:
        text: Of a file.
        where: "file:line" for the message.
        errors: As of `str.encode`; surrogateescape for the name of a file, which can be no UTF-8.
    """
    try:
        text.encode(errors=errors)
    except UnicodeEncodeError:
        raise InputError(f"{where}: {text!r} holds half a Unicode character; save the file anew") from None
    return text


def plain_name(name: str) -> str:
    """Returns what two spellings of a name have in common: neither case nor how accents are composed.

    Nor spaces around it, strokes of Windows, and how a byte is written that is no UTF-8: JSON escapes it.
    """
    written = name.encode(errors="backslashreplace").decode().strip().replace("\\", "/")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", written).casefold())


def resolve_images(folder: Path, mentions: Mapping[str, str]) -> dict[str, Path]:
    """Returns the file of every mentioned image, whose name may differ in case or in composed accents.

    InputError names the first mention whose file is absent, and how many are absent in all.

    Args:
        folder: the images folder.
        mentions: image name -> "file:line" that mentions it.
    """
    names: dict[Path, dict[str, list[str]]] = {}
    found = {image: _find(folder, image, names) for image in mentions}
    absent = [image for image, path in found.items() if path is None]
    if absent:
        more = f" ({len(absent)} of {len(found)} images are absent)" if len(absent) > 1 else ""
        raise InputError(f"{mentions[absent[0]]}: image {absent[0]} is not in {folder}{more}")
    return {image: path for image, path in found.items() if path is not None}


def _find(folder: Path, image: str, names: dict[Path, dict[str, list[str]]]) -> Path | None:
    """Returns the file of that name, else the only one of that name in another spelling.

    Args:
        folder: that the name starts from.
        image: the name.
        names: of what is in folders, by plain name; folders that are looked into are added.
    """
    given = folder / image
    if given.is_file():
        return given
    path = folder
    for part in PurePosixPath(image).parts:
        if (path / part).exists():
            path /= part
            continue
        if path not in names:
            names[path] = {}
            for entry in path.iterdir() if path.is_dir() else ():
                names[path].setdefault(plain_name(entry.name), []).append(entry.name)
        same = names[path].get(plain_name(part), [])
        if len(same) != 1:
            return None
        path /= same[0]
    return path if path.is_file() else None


def locate_images(candidates: Iterable[Path], first: str) -> Path:
    """Returns the folder among `candidates` that holds the image `first`.

    Where none does: the first folder that exists, so that `resolve_images` can say what is absent there.
    InputError where no candidate is a folder.
    """
    folders = list(dict.fromkeys(candidates))
    for folder in (*(f for f in folders if (f / first).is_file()), *folders):
        if _find(folder, first, {}) is not None:
            return folder
    for folder in folders:
        if folder.is_dir():
            return folder
    raise InputError(f"{folders[0]}: no such folder of images (looked for {', '.join(map(str, folders))})")


def assign_splits(images: Iterable[str], source: Path) -> dict[str, str]:
    """Returns a split for every image of a data set that has none: 80 % train, 10 % val, 10 % test.

    The split follows from a hash of the image's name, so adding images never moves another. The exception are
    folders so small that a split would be empty: with no train image the one of the lowest hash trains; with
    no val image the train image of the highest hash validates (or, with one train image only, the lowest test
    image). Such an image goes back once others fill its split. InputError for fewer than two images.

    Args:
        images: Their names.
        source: File or folder that names them.
    """
    position = {
        image: int.from_bytes(hashlib.blake2b(image.encode(), digest_size=8).digest()) / 2**64
        for image in images
    }
    if len(position) < 2:
        raise InputError(f"{source}: holds one labelled image; training and validation need at least two")
    split = {
        image: "train" if place < 0.8 else "val" if place < 0.9 else "test"
        for image, place in position.items()
    }
    ordered = sorted(position, key=lambda image: (position[image], image))
    if "train" not in split.values():
        split[ordered[0]] = "train"
    if "val" not in split.values():
        train = [image for image in ordered if split[image] == "train"]
        split[train[-1] if len(train) > 1 else ordered[1]] = "val"
    return split


def hold_out(splits: dict[str, list[Any]]) -> None:
    """Moves every 20th of "train" to "val": without validation nothing could choose a checkpoint."""
    train = splits["train"]
    splits["val"], splits["train"] = train[::20], [r for i, r in enumerate(train) if i % 20]
