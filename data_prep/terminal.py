"""What is printed never fails for want of a character, whatever encoding a terminal, pipe or file has."""

from __future__ import annotations

import codecs
import io
import sys

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
