"""Files that a command writes: what would stop it is said before long work begins."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be made ({error.strerror})") from None
    # a file is tried: permissions say little of /proc, of a disk mounted for reading and of long names
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --{option}") from None


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
    with ExitStack() as held:
        named = {option: path for option, path in files.items() if path is not None}
        for option, path in named.items():
            others = [other for name, other in named.items() if name != option]
            check_output(path, option, overwrite, (*taken, *others))
            held.enter_context(written_by_one(path, option))
        yield


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
