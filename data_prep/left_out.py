"""Files that are left out are named: the first twenty where they are left out, all of them in a list."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from data_prep.cache import cache_root
from modules.errors import printable, tell
from modules.whole_files import write_whole

SHOWN = 20


def naming(headline: str, named: Sequence[str], listing: Path) -> str:
    """Returns lines that name what is left out: the headline with the first, then others, a line each.

    Args:
        headline: What is left out, and how many.
        named: All of them, at least one; with the reason where there is one.
        listing: File that all are written to where they are more than twenty.
    """
    first, *others = map(printable, named[:SHOWN])
    lines = [f"{headline}, the first {first}", *(f"  {name}" for name in others)]
    if len(named) > SHOWN:
        write_list(listing, named)
        lines.append(f"  and {len(named) - SHOWN:,} more; all are listed in {listing}")
    return "\n".join(lines)


def warn_of(wrong: Sequence[str], others: str) -> None:
    """Names the first on stderr, a line each, and how many others there are.

    Args:
        wrong: Lines on what is wrong, with names.
        others: What is said behind their number, such as "more cannot be read".
    """
    for line in wrong[:SHOWN]:
        tell(f"warning: {line}")
    if len(wrong) > SHOWN:
        tell(f"warning: {len(wrong) - SHOWN:,} {others}")


def write_list(listing: Path, named: Sequence[str]) -> None:
    """Writes names, a line each."""
    write_whole(listing, "".join(f"{name}\n" for name in named).encode(errors="backslashreplace"))


def listing_of(data: Path, part: str, cache: Path | None = None) -> Path:
    """Returns the file in the cache that lists what is left out of a data set.

    Args:
        data: Folder of the data set.
        part: Of it, such as train.
        cache: Folder of all caches; `cache_root()` if not given.
    """
    data = data.resolve()
    key = hashlib.sha256(str(data).encode(errors="surrogateescape")).hexdigest()[:8]
    return (cache or cache_root()) / "left_out" / f"{data.name}-{key}-{part}.txt"
