"""What data modules say, once however many processes there are."""

from collections.abc import Mapping, Sized
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_only

from modules.errors import printable

FEW = 20  # where half of so many are right, the 95 % interval is 30 to 70 %


@rank_zero_only
def say(line: str) -> None:
    """Prints a line, or several, once however many processes there are and whatever the names in it hold."""
    print("\n".join(map(printable, line.split("\n"))), flush=True)


def say_drawn(drawn: str, own: str) -> None:
    """Says that nobody named a folder, so that drawn data are taken, and how one's own are."""
    say(f"data: drawn {drawn}; --data.root DIR takes your own {own}")


def say_few(root: Path, splits: Mapping[str, Sized], what: str, remedy: str) -> None:
    """Warns where so few items validate or test that their scores say little.

    Args:
        root: Folder of the data set.
        splits: Items of each split.
        what: They are, in the plural.
        remedy: How more of them are had.
    """
    few = [(name, len(splits[name])) for name in ("val", "test") if 0 < len(splits[name]) < FEW]
    if few:
        (first, count), *others = few
        said = f"only {count} {what} in {first}" + "".join(f" and {n} in {name}" for name, n in others)
        say(f"warning: {root}: {said}: scores of so few say little; {remedy}")
