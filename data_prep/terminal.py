"""What every command does at a terminal: it prints whatever the encoding, and has one way to fail."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modules.errors import InputError

_SHOWN = "seqsight-shown"


def print_what_can_be_shown() -> None:
    """Lets stdout write ? for a character that its encoding lacks, which stderr says once.

    Windows writes to files and pipes in an old encoding of the country, such as cp1252. Half a character, as
    a file's name can hold, has no place in UTF-8 either.
    """
    said: list[str] = []

    def shown(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        if not said and not error.encoding.startswith("utf"):
            said.append(error.object[error.start])
            encoding = getattr(sys.stdout, "encoding", error.encoding)
            print(
                f"note: output in {encoding} has no {said[0]!a}, which is written as ?, as others may be; "
                "PYTHONIOENCODING=utf-8 writes them all",
                file=sys.stderr,
            )
        return "?" * (error.end - error.start), error.end

    codecs.register_error(_SHOWN, shown)
    # what a test or a notebook puts in its place takes all characters
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_SHOWN)


def run(main: Callable[[], int | None]) -> int:
    """Returns the exit status of a command: its own, or 2 after one line on what the user can mend."""
    print_what_can_be_shown()
    try:
        try:
            return main() or 0
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # who reads has seen enough, as `head` has; what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except InputError as error:
        # under several processes one of them speaks, on every machine
        if not any(int(os.environ.get(name) or 0) for name in ("LOCAL_RANK", "SLURM_LOCALID")):
            print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        # what is foreseen is said where it happens; a disk that fills or goes away can be met anywhere
        if error.errno is None:
            raise
        reason = f"cannot be read or written ({error.strerror})"
        print(f"error: {error.filename or 'a file'}: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(": ".join(["stopped", *map(str, stop.args)]), file=sys.stderr)
        return 130


@contextmanager
def saying_how_to_resume(how: Callable[[], str]) -> Iterator[None]:
    """Lets the line that a command ends with after Ctrl-C say how it goes on.

    Ctrl-C stays what it is, also where Lightning makes an end of the program of it.

    Args:
        how: Returns that; nothing where all is to be done again.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as ended:
        stop = ended.__context__ if isinstance(ended, SystemExit) else ended
        if not isinstance(stop, KeyboardInterrupt):
            raise
        said = how()
        raise KeyboardInterrupt(*([said] if said else stop.args)) from None
