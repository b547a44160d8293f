"""What a user is told in a line: the one exception for everything that he can get wrong, and notes."""

import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

LARGEST_SEED = 2**32 - 1  # that NumPy takes


class InputError(ValueError):
    """A file, folder, option or checkpoint the user gave is wrong.

    The message is a single line that names the file (and the line number), the cause and the remedy. The
    command line prints it and exits with status 2; a traceback would only hide it.
    """

    def __str__(self) -> str:
        # what a message quotes from a file may hold line breaks
        return printable(" ".join(super().__str__().splitlines()))


def printable(text: str) -> str:
    """Returns a text in which nothing steers a terminal: file names can hold anything."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def tell(line: str) -> None:
    """Prints one line on stderr, so that stdout keeps to results, whatever the names in it hold."""
    print(printable(line), file=sys.stderr, flush=True)


def first_five(names: Iterable[str]) -> str:
    """Returns the first five names on one line, for a message that also says how many there are."""
    names = list(names)
    shown = [name if name.isprintable() else ascii(name) for name in names[:5]]
    return ", ".join(shown + ["..."] * (len(names) > 5))


def check_ranges(
    options: object,
    group: str,
    *,
    positive: tuple[str, ...] = (),
    not_negative: tuple[str, ...] = (),
    below_one: tuple[str, ...] = (),
) -> None:
    """Raises InputError for the first option outside its range; an option that is None is not checked.

    Args:
        options: A dataclass of options.
        group: What stands before their names on the command line.
        positive: Names of those above 0.
        not_negative: Names of those at least 0.
        below_one: Names of those from 0 to below 1.
    """
    for names, fits, wanted in (
        (positive, lambda value: value > 0, "above 0"),
        (not_negative, lambda value: value >= 0, "0 or more"),
        (below_one, lambda value: 0 <= value < 1, "from 0 to below 1"),
    ):
        for name in names:
            value = getattr(options, name)
            if value is not None and not fits(value):
                raise InputError(f"{group}.{name} is {value}; it has to be {wanted}")


def check_at_least(least: int, **values: int | float | None) -> None:
    """Raises InputError for the first option below the least value; one that is None is not checked."""
    for name, value in values.items():
        if value is not None and not value >= least:  # nor is NaN
            raise InputError(f"{name} is {value}; it has to be at least {least}")


def check_seed(seed: int, name: str) -> None:
    """Raises InputError for a seed that is no whole number of 32 bits: others are made of it, of 64 bits."""
    check_at_least(0, **{name: seed})
    if seed > LARGEST_SEED:
        raise InputError(f"{name} is {seed}; it has to be below {LARGEST_SEED + 1}")


def check_choice(choices: Sequence[str], **values: str) -> None:
    """Raises InputError for the first option that is none of the choices; it names the nearest of them."""
    for name, value in values.items():
        if value not in choices:
            near = get_close_matches(str(value).lower(), choices, n=1, cutoff=0.0)[0]
            raise InputError(f"{name} is {value!r}; the nearest is {near!r} of {', '.join(choices)}")
