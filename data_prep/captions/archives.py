"""Zip and tar archives of pictures: their visible files, and how a damaged one is told from a whole one."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path, PurePosixPath
from tarfile import EOFHeaderError, HeaderError, ReadError  # type: ignore[attr-defined]
from typing import IO, Any, TypeVar

from PIL import Image

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
DAMAGED = (
    *(OSError, EOFError, RuntimeError, NotImplementedError, UnicodeError, LookupError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
)
LARGEST = 2**30  # bytes of a file: a small archive can hold one that fills the memory
Member = TypeVar("Member")


class WholeTar(tarfile.TarInfo):
    """A header of a tar file; says so where it is damaged, or where the archive lacks its end.

    tarfile itself takes both for the end: the pictures behind would be lost and nothing said.
    """

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> Any:
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:
            raise
        except HeaderError as error:
            raise ReadError(f"{error} after {tarfile.offset:,} bytes") from None


def is_archive(name: str) -> bool:
    """Returns whether a file's name is that of an archive."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def pictures_among(members: Iterable[tuple[str, Member]]) -> Iterator[tuple[str, Member]]:
    """Yields the visible members, each name once, less what only accompanies a picture.

    WebDataset's shards hold samples: files that follow one another and are alike up to the first dot of the
    file's name, as 17.jpg, 17.json and 17.txt. Of a sample with a picture only the picture is taken.

    Args:
        members: Names in the archive's order, each with whatever is known of it.
    """
    seen: set[str] = set()
    for _, sample in groupby(filter(_is_visible, members), key=_sample_of):
        of_sample = {name: member for name, member in sample if name not in seen}
        seen.update(of_sample)
        pictures = {name: member for name, member in of_sample.items() if _is_picture(name)}
        yield from (pictures or of_sample).items()


def _is_visible(member: tuple[str, object]) -> bool:
    path = PurePosixPath(member[0])
    # what programs leave beside the pictures
    return bool(path.name) and not any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _sample_of(member: tuple[str, object]) -> tuple[str, str]:
    path = PurePosixPath(member[0])
    return str(path.parent), path.name.partition(".")[0]


@cache
def _picture_suffixes() -> frozenset[str]:
    # the last are read with one more package, which need not be there to know them
    return frozenset(Image.registered_extensions()) | {".heic", ".heif", ".avif"}


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _picture_suffixes()


class Archive:
    """An open zip or tar file. A compressed tar is read forward: members in order cost no second pass.

    Args:
        file: Its path, or a file opened for reading that can seek.

    Raises:
        ReadError: It is neither.
    """

    def __init__(self, file: Path | IO[bytes]) -> None:
        self.opened: zipfile.ZipFile | tarfile.TarFile
        if not isinstance(file, Path):
            file.seek(0)
        # asked first: a zip as the last file of a tar makes it look like one
        if not tarfile.is_tarfile(file) and zipfile.is_zipfile(file):
            self.opened = zipfile.ZipFile(file)
            return
        if isinstance(file, Path):
            self.opened = tarfile.open(file, tarinfo=WholeTar)  # noqa: SIM115
        else:
            file.seek(0)
            self.opened = tarfile.open(fileobj=file, tarinfo=WholeTar)  # noqa: SIM115

    def __del__(self) -> None:
        if hasattr(self, "opened"):
            self.opened.close()

    @cached_property
    def _headers(self) -> dict[str, Any]:
        """Of a tar, by name: tarfile would go through all of them for each."""
        opened: Any = self.opened
        return {entry.name: entry for entry in opened}

    def _entries(self) -> Iterator[tuple[str, Any]]:
        """Yields name and header of the files, in the archive's order."""
        if isinstance(self.opened, zipfile.ZipFile):
            yield from ((entry.filename, entry) for entry in self.opened.infolist() if not entry.is_dir())
        else:
            # what is stored twice is a link to the first
            yield from ((entry.name, entry) for entry in self.opened if entry.isfile() or entry.islnk())

    def names(self) -> Iterator[str]:
        """Yields the names of the files, in the archive's order."""
        return (name for name, _ in self._entries())

    def contents(self) -> Iterator[tuple[str, bytes | str]]:
        """Yields name and bytes of the files in one pass, with the reason in place of what cannot be read."""
        for name, entry in self._entries():
            try:
                found: bytes | str = self.bytes_of(entry)
            except DAMAGED as error:
                found = not_readable(error)
            yield name, found

    def bytes_of(self, member: str | zipfile.ZipInfo | tarfile.TarInfo) -> bytes:
        """Returns the bytes of a file in the archive; one of `DAMAGED` where there are none."""
        opened: Any = self.opened
        if isinstance(opened, zipfile.ZipFile):
            entry: Any = opened.getinfo(member) if isinstance(member, str) else member
            _check_size(entry.file_size)
            return opened.read(entry)
        header: Any = self._headers[member] if isinstance(member, str) else member
        _check_size(header.size)
        file = opened.extractfile(header)
        if file is None:
            raise KeyError(f"{member} is no file")
        with file:
            return bytes(file.read())


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise OSError(f"{size:,} bytes are more than a picture has")


def not_readable(error: Exception) -> str:
    """Returns why there is no picture, in one line."""
    return f"cannot be read from the archive ({error})"
