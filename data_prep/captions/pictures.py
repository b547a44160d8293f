"""Pictures to caption, wherever people have them: folders, files, lists of files, archives, videos."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tarfile import EOFHeaderError, HeaderError, ReadError  # type: ignore[attr-defined]
from typing import Any

import numpy as np

from data_prep.input_files import list_files, read_text
from data_prep.videos import SUFFIXES as VIDEO_SUFFIXES
from data_prep.videos import Frames, frame_times
from modules.errors import InputError
from modules.images import CutImage, UnreadableImage, decode_image, read_as_shown, rgb_image

LIST_SUFFIX = ".txt"
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_DAMAGED = (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: In the rows of captions.
        file: That holds it: the picture's own, an archive or a video.
        member: Its name in an archive.
        frame: Its number in a video.
        time: Of the frame, in seconds from the first.
    """

    name: str
    file: Path
    member: str | None = None
    frame: int | None = None
    time: float | None = None


def list_pictures(inputs: Sequence[Path], every: float = 1.0) -> list[Picture]:
    """Returns all pictures, each once, in the order of the inputs; those of a folder by their names.

    Names are those within the folder or archive. Where there are several inputs they begin with the input.

    Args:
        inputs: Folders, walked recursively; picture files; text files with a path a line, from the list's own
            folder; zip and tar archives; videos.
        every: Seconds between the frames of a video.

    Raises:
        InputError: An input is missing, empty, or cannot be read.
    """
    if not inputs:
        raise InputError("images: nothing to caption; name a folder, files, an archive or a video")
    if not every > 0:
        raise InputError(f"every is {every}; it has to be above 0 seconds")
    found: dict[str, Picture] = {}
    for path in inputs:
        for picture in _pictures_of(path, every, alone=len(inputs) == 1):
            found.setdefault(picture.name, picture)
    return list(found.values())


def _pictures_of(path: Path, every: float, alone: bool) -> Iterator[Picture]:
    if path.is_dir():
        for file in list_files(path):
            yield Picture(file.relative_to(path).as_posix() if alone else file.as_posix(), file)
    elif not path.exists():
        raise InputError(f"{path}: no such file or folder")
    elif path.suffix.lower() == LIST_SUFFIX:
        lines = [line.strip() for line in read_text(path).splitlines()]
        names = [line for line in lines if line and not line.startswith("#")]
        if not names:
            raise InputError(f"{path}: names no picture; a list has a path a line")
        for name in names:
            yield Picture(name, path.parent / name)
    elif path.suffix.lower() in VIDEO_SUFFIXES:
        times = frame_times(path)
        # the first frame at or after each moment; times are rounded to less than this
        moments = np.arange(0.0, times[-1] + 1e-3, every)
        for number in np.unique(np.searchsorted(times, moments - 1e-3).clip(max=len(times) - 1)).tolist():
            time = round(float(times[number]), 3)
            name = path.name if alone else path.as_posix()
            yield Picture(f"{name}#{_clock(time)}", path, frame=number, time=time)
    elif path.name.lower().endswith(ARCHIVE_SUFFIXES):
        for member in _members(path):
            yield Picture(member if alone else f"{path.as_posix()}/{member}", path, member)
    else:
        if alone:  # of many files one that is no picture is a row's error
            read_as_shown(path, 1)
        yield Picture(path.name if alone else path.as_posix(), path)


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


def _clock(seconds: float) -> str:
    """Returns hours, minutes and seconds."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes) // 60:02}:{int(minutes) % 60:02}:{rest:06.3f}"


def _members(path: Path) -> list[str]:
    """Returns the visible files in an archive, in its order."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
        elif tarfile.is_tarfile(path):
            with tarfile.open(path, tarinfo=WholeTar) as tar:
                # what is stored twice is a link to the first
                names = [entry.name for entry in tar if entry.isfile() or entry.islnk()]
        else:
            raise InputError(f"{path}: is no zip or tar archive that can be read")
    except _DAMAGED as error:
        raise InputError(f"{path}: a damaged archive ({error})") from None
    # what programs leave beside the pictures
    visible = [
        name for name in names if not any(part.startswith((".", "__MACOSX")) for part in Path(name).parts)
    ]
    if not visible:
        raise InputError(f"{path}: the archive holds no file")
    return visible


class PictureReader:
    """Reads pictures; an archive or a video stays open for the next one. Each process opens its own."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._opened: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_file": None, "_opened": None}  # a worker process opens its own

    def read(self, picture: Picture, minimum_size: int | None = None) -> tuple[np.ndarray, str]:
        """Returns the picture as (Hh, Ww, 3) RGB bytes, and what is wrong with it, if anything.

        Args:
            picture: Of `list_pictures`.
            minimum_size: As in `read_image`.

        Raises:
            UnreadableImage: There is no picture to see.
        """
        if picture.frame is not None:
            frame = self._open(picture.file, Frames).frame(picture.frame)
            if isinstance(frame, str):
                raise UnreadableImage(picture.name, frame)
            return rgb_image(frame, picture.name), ""
        if picture.member is None:
            return read_as_shown(picture.file, minimum_size)
        try:
            data = self._open(picture.file, _Archive).bytes_of(picture.member)
        except (*_DAMAGED, KeyError) as error:
            raise UnreadableImage(picture.name, f"cannot be read from the archive ({error})") from None
        try:
            return decode_image(data, picture.name, minimum_size), ""
        except CutImage as error:
            return error.image, error.reason

    def _open(self, file: Path, kind: Any) -> Any:
        if self._file != file:
            self._file, self._opened = file, kind(file)
        return self._opened


class _Archive:
    """An open zip or tar file. A compressed tar is read forward: members in order cost no second pass."""

    def __init__(self, path: Path) -> None:
        self.opened = zipfile.ZipFile(path) if zipfile.is_zipfile(path) else tarfile.open(path)  # noqa: SIM115

    def __del__(self) -> None:
        if hasattr(self, "opened"):
            self.opened.close()

    def bytes_of(self, member: str) -> bytes:
        """Returns the bytes of a file in the archive."""
        if isinstance(self.opened, zipfile.ZipFile):
            return self.opened.read(member)
        file = self.opened.extractfile(member)
        if file is None:
            raise KeyError(f"{member} is no file")
        with file:
            return file.read()
