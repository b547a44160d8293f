"""Pictures of any size of collection, here or in an object store: what reading tasks share out among them.

Folders, pictures, lists and archives as `pictures` reads them, on any file system of fsspec, such as
`s3://bucket/photos`. Single pictures are listed. An archive, such as a shard in WebDataset's layout, is only
named: who reads it finds what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec
import numpy as np

from data_prep.captions.archives import DAMAGED, Archive, is_archive, pictures_among
from data_prep.captions.pictures import ATTENTION_SUFFIX, LIST_SUFFIX, names_listed
from data_prep.input_files import list_undrawn, read_text
from data_prep.videos import SUFFIXES as VIDEO_SUFFIXES
from modules.errors import InputError
from modules.images import UnreadableImage, decode_as_shown, read_as_shown


@dataclass
class Sources:
    """What there is to read.

    Attributes:
        pictures: Where each single picture lies, by its name in the rows of captions.
        archives: Where each archive lies, by what its pictures' names begin with.
    """

    pictures: dict[str, str] = field(default_factory=dict)
    archives: dict[str, str] = field(default_factory=dict)

    def shares(self, size: int) -> list[list[tuple[str, str, bool]]]:
        """Returns (name, place, is an archive) in lists of single pictures, and lists of one archive.

        Args:
            size: Most single pictures in a list.
        """
        pictures = [(name, place, False) for name, place in self.pictures.items()]
        archives = [[(name, place, True)] for name, place in self.archives.items()]
        return [*archives, *(pictures[start : start + size] for start in range(0, len(pictures), size))]


class ReadPicture(NamedTuple):
    """A picture, or what stands in its place.

    Attributes:
        name: In the rows of captions; of a damaged archive its place.
        image: (Hh, Ww, 3) RGB bytes; None where there is nothing to see.
        wrong: What is wrong with it, if anything.
        is_archive: Whether it stands for an archive that could not be read to its end.
    """

    name: str
    image: np.ndarray | None
    wrong: str = ""
    is_archive: bool = False


def is_remote(place: str) -> bool:
    """Returns whether a place is written as an address, such as s3://bucket/a.tar."""
    return "://" in place


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Turns what a file system says of a place into one line that names it."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{place}: no such file or folder") from None
    except (ImportError, ValueError, OSError) as error:
        # a package that is missing says itself what installs it
        raise InputError(f"{place}: cannot be reached ({' '.join(str(error).split())})") from None


def list_sources(inputs: Sequence[str]) -> Sources:
    """Returns what there is to read, each place once.

    Names are those of `list_pictures`: within the folder or archive, and where there are several inputs they
    begin with the input. An archive in a folder or in a list is read as one that is named by itself.

    Args:
        inputs: Folders, walked recursively; picture files; text files with a path or an address a line, from
            the list's own folder; zip and tar archives; patterns of addresses (`s3://bucket/*.tar`).

    Raises:
        InputError: An input is missing, empty, a video, or its file system cannot be reached.
    """
    found = Sources()
    places = [match for place in inputs for match in _matches(place)]
    for place in places:
        with naming(place):
            for name, file in _found_at(place, alone=len(places) == 1):
                kind = found.archives if is_archive(file) else found.pictures
                kind.setdefault(name, file)
    return found


def _matches(place: str) -> list[str]:
    if not is_remote(place) or not set("*?[") & set(place):
        return [place]
    with naming(place):
        system, path = fsspec.core.url_to_fs(place)
        matches = sorted(system.glob(path))
    if not matches:
        raise InputError(f"{place}: no such file or folder")
    return [system.unstrip_protocol(match) for match in matches]


def _found_at(place: str, alone: bool) -> Iterator[tuple[str, str]]:
    """Yields name and place of what an input holds; that of an archive alone is empty."""
    system, path = fsspec.core.url_to_fs(place)
    if system.isdir(path):
        for inside, file in _files_in(place, system, path):
            name = inside if alone else f"{place.rstrip('/')}/{inside}"
            yield (f"{name}/" if is_archive(file) else name), file
    elif not system.exists(path):
        raise InputError(f"{place}: no such file or folder")
    elif place.lower().endswith(LIST_SUFFIX):
        text = system.cat_file(path).decode("utf-8-sig") if is_remote(place) else read_text(Path(place))
        parent = place.rpartition("/")[0]
        for name in names_listed(text, place):
            is_whole = is_remote(name) or name.startswith("/") or not parent
            file = name if is_whole else f"{parent}/{name}"
            shown = name if alone else file  # two lists may name alike what lies in their folders
            yield (f"{shown}/" if is_archive(name) else shown), file
    elif PurePosixPath(place).suffix.lower() in VIDEO_SUFFIXES:
        raise InputError(f"{place}: is a video, which --engine local reads")
    elif is_archive(place):
        yield ("" if alone else f"{place}/"), place
    else:
        yield (PurePosixPath(place).name if alone else place), place


def _files_in(place: str, system: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yields path within the folder and place of its visible files."""
    if not is_remote(place):
        for file in list_undrawn(Path(place), ATTENTION_SUFFIX):
            yield file.relative_to(place).as_posix(), str(file)
        return
    inside = [file.removeprefix(path).lstrip("/") for file in system.find(path)]
    visible = sorted(
        (
            name
            for name in inside
            if not name.endswith(ATTENTION_SUFFIX)
            and not any(part.startswith(".") for part in PurePosixPath(name).parts)
        ),
        key=lambda name: name.split("/"),
    )
    if not visible:
        raise InputError(f"{place}: the folder is empty; it should hold images")
    for name in visible:
        yield name, f"{place.rstrip('/')}/{name}"


def read_share(share: Sequence[tuple[str, str, bool]], minimum_size: int | None) -> Iterator[ReadPicture]:
    """Yields every picture of a list of `Sources.shares`; nothing that is wrong with one ends the others.

    Args:
        share: Names, places, and whether each is an archive.
        minimum_size: As in `read_image`.
    """
    for name, place, of_archive in share:
        if of_archive:
            yield from _read_archive(name, place, minimum_size)
        else:
            yield _read_single(name, place, minimum_size)


def _read_single(name: str, place: str, minimum_size: int | None) -> ReadPicture:
    try:
        if not is_remote(place):
            return ReadPicture(name, *read_as_shown(place, minimum_size))
        system, path = fsspec.core.url_to_fs(place)
        return _decoded(name, system.cat_file(path), minimum_size)
    except UnreadableImage as error:
        return ReadPicture(name, None, error.reason)
    except (OSError, ValueError, ImportError) as error:
        return ReadPicture(name, None, _line(error))


def _read_archive(name: str, place: str, minimum_size: int | None) -> Iterator[ReadPicture]:
    ended: list[str] = []  # why it was not read to its end
    count = 0
    try:
        with fsspec.open(place, "rb") as file:
            for member, content in pictures_among(_until_damage(Archive(file), ended)):
                count += 1
                if isinstance(content, str):
                    yield ReadPicture(f"{name}{member}", None, content)
                else:
                    yield _decoded(f"{name}{member}", content, minimum_size)
    except (*DAMAGED, ValueError, ImportError) as error:
        ended.append(_line(error))
    if ended:
        said = f"a damaged archive ({ended[0]}); what lies behind the first {count:,} pictures is not read"
        yield ReadPicture(place, None, said, True)
    elif not count:
        yield ReadPicture(place, None, "the archive holds no file", True)


def _until_damage(archive: Archive, ended: list[str]) -> Iterator[tuple[str, bytes | str]]:
    """Yields the contents of an archive, and says in `ended` what came in place of its end."""
    try:
        yield from archive.contents()
    except DAMAGED as error:
        ended.append(_line(error))


def _decoded(name: str, data: bytes, minimum_size: int | None) -> ReadPicture:
    try:
        return ReadPicture(name, *decode_as_shown(data, name, minimum_size))
    except UnreadableImage as error:
        return ReadPicture(name, None, error.reason)


def _line(error: BaseException) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
