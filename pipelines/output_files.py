"""Files that a command writes: what would stop it is said before long work begins."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath

import filelock
from PIL import Image

from modules.errors import InputError

LONGEST_NAME = 255  # bytes of a file's name that every file system takes


def check_output(path: Path, option: str, overwrite: bool | None, taken: Iterable[Path] = ()) -> None:
    """Makes the folder of a file that is to be written; InputError where it cannot or must not be written.

    Args:
        path: The file.
        option: That names it, without dashes.
        overwrite: Whether it may exist; None where the command has no such option.
        taken: What else is read or written; nothing that exists in a folder among them is replaced.
    """
    # as long as the name of any file that is written on the way
    trial = path.parent / f".{path.name}.{os.getpid():024}"
    if len(os.fsencode(trial.name)) > LONGEST_NAME:
        raise InputError(f"{path}: cannot be written (the name is too long); choose another --{option}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; --{option} names a file")
    if path.exists() and not path.is_file():  # a device or a pipe, whose place a file would take
        raise InputError(f"{path}: is no regular file; choose another --{option}")
    if path.resolve() in {other.resolve() for other in taken}:
        raise InputError(f"{path}: is read or written already; choose another --{option}")
    read = [other for other in taken if other.is_dir() and path.resolve().is_relative_to(other.resolve())]
    if path.exists() and read:
        raise InputError(f"{path}: lies in {read[0]}, where nothing is replaced; choose another --{option}")
    if path.exists() and not overwrite:
        other_way = "" if overwrite is None else " or give --overwrite"
        raise InputError(f"{path}: exists already; choose another --{option}{other_way}")
    if path.exists() and _is_picture(path):
        raise InputError(f"{path}: is a picture, which nothing here replaces; choose another --{option}")
    make_folder(path.parent, option)
    # a file is tried: permissions say little of /proc, of a disk mounted for reading and of long names
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --{option}") from None


def make_folder(folder: Path, option: str) -> None:
    """Makes a folder and those above it where they lack; InputError where that cannot be.

    Args:
        folder: May exist.
        option: That names it or a file in it, without dashes.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{folder}: is a file, and a folder is needed; choose another --{option}") from None
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another --{option}") from None


def written_by_command(output: Path) -> Callable[[Path], bool]:
    """Returns what tells the rows that a command itself writes from the files that it reads.

    Args:
        output: Its file of rows, beside which its part files lie.
    """
    resolve = cache(Path.resolve)  # asked once a folder, not once a file
    own = resolve(output)

    def is_own(path: Path) -> bool:
        is_its_name = path.name == own.name or path.name.startswith(f"{own.name}.part-")
        return is_its_name and resolve(path.parent) == own.parent

    return is_own


def drawn_path(folder: Path, name: str, suffix: str) -> Path:
    """Returns where something is drawn of a picture: NAME and the suffix, a name that is too long shortened.

    Args:
        folder: Of all of them.
        name: Of the picture in its row.
        suffix: Such as .attention.jpg.
    """
    # a name may be a path anywhere; what is drawn stays in the folder
    parts = [part for part in PurePosixPath(name.replace("\0", "_")).parts if part not in ("/", "..")]
    path = folder.joinpath(*parts[:-1], f"{parts[-1]}{suffix}")
    # with the dots and the process number of the file that is written first
    room = LONGEST_NAME - len(suffix) - 12
    encoded = os.fsencode(path.name.removesuffix(suffix))
    if len(encoded) <= room:
        return path
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    # a letter that the cut halves is dropped
    kept = encoded[: room - len(digest) - 1].decode(errors="ignore")
    return path.with_name(f"{kept}-{digest}{suffix}")


@contextmanager
def outputs(
    files: Mapping[str, Path | None], overwrite: bool | None, taken: Iterable[Path] = ()
) -> Iterator[None]:
    """Checks files that are to be written, and holds them for this command.

    Args:
        files: By the options that name them, without dashes; None for one that was not asked for.
        overwrite: Whether they may exist; None where the command has no such option.
        taken: What is read.
    """
    named = {option: path for option, path in files.items() if path is not None}
    with ExitStack() as held:
        held.enter_context(no_folders_in_vain(*(path.parent for path in named.values())))
        for option, path in named.items():
            others = [other for name, other in named.items() if name != option]
            check_output(path, option, overwrite, (*taken, *others))
            held.enter_context(written_by_one(path, option))
        yield


@contextmanager
def no_folders_in_vain(*folders: Path | None) -> Iterator[None]:
    """Takes folders that are made for a command away again where it fails before it writes to them.

    Args:
        folders: Which may exist already, and then stay; None for one that was not asked for.
    """
    wanted = [path for folder in folders if folder is not None for path in (folder, *folder.parents)]
    made = [path for path in wanted if not path.exists()]
    try:
        yield
    except BaseException:
        for path in made:  # the innermost of each first
            with suppress(OSError):  # something lies in it
                path.rmdir()
        raise


@contextmanager
def written_by_one(path: Path, option: str) -> Iterator[None]:
    """Holds a file for this command; InputError where another one is writing it.

    Args:
        path: The file that will be written.
        option: That names it, without dashes.
    """
    lock = path.with_name(f".{path.name}.lock")
    held = filelock.FileLock(lock)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        owner = lock.read_text(encoding="utf-8", errors="replace").strip() or "unknown"
        raise InputError(
            f"{path}: is being written by another command (process {owner}); "
            f"wait for it, or choose another --{option}"
        ) from None
    try:
        lock.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        lock.unlink(missing_ok=True)
        held.release()


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path):
            return True
    except Exception:  # Pillow raises whatever comes up in a file that is none
        return False
