"""What the front doors share: a command by its name, a function as a command, one way to fail.

It imports no PyTorch, so that a command which needs none answers at once.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from inspect import getdoc, signature
from typing import Any, get_type_hints

from docstring_parser import parse

from data_prep import terminal
from modules.errors import InputError
from pipelines.arguments import Parser
from pipelines.options.known_options import check_early

QUICK_S = 1.0  # what takes longer to load says so
Command = Callable[[Sequence[str]], int | None]  # an exit status, where it is not 0


def function_command(door: str, package: str) -> Command:
    """Returns the command whose body is the function of its name in the package's module of that name.

    The module is imported when the command is called. Where the function takes one parameter `options`, a
    dataclass, its fields are the options. One such as `*query` takes words that stand without an option.

    Args:
        door: Name of the program, such as text.py.
        package: Where the commands' modules lie, such as pipelines.language.
    """

    def command(argv: Sequence[str]) -> None:
        name = argv[0]
        with loading():
            body: Callable[..., Any] = getattr(import_module(f"{package}.{name}"), name)
        options = get_type_hints(body).get("options")
        parser = Parser(prog=f"{door} {name}", description=explanation(options or body))
        if options is None:
            words = add_words(parser, body)
            parser.add_function_arguments(body, None, as_group=False)
            parsed = vars(parser.parse_args(list(argv[1:])))
            body(*(parsed.pop(words) if words else ()), **parsed)
        else:
            parser.add_class_arguments(options, None, as_group=False)
            body(options(**vars(parser.instantiate(parser.parse_args(list(argv[1:]))))))

    return command


def add_words(parser: Parser, body: Callable[..., Any]) -> str | None:
    """Lets a command begin with words, where its function takes them; returns the parameter's name."""
    taken = (p.name for p in signature(body).parameters.values() if p.kind is p.VAR_POSITIONAL)
    name = next(taken, None)
    if name is not None:
        said = {param.arg_name: param.description for param in parse(getdoc(body) or "").params}
        parser.add_argument(name, nargs="+", type=str, metavar=name.upper(), help=said[name])
    return name


def explanation(explained: Callable[..., Any]) -> str:
    """Returns what a docstring says before its list of arguments."""
    return (getdoc(explained) or "").partition("\n\nArgs:")[0]


def silence_libraries() -> None:
    """Keeps the terminal for what concerns the user: tips and deprecations of libraries are dropped."""
    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # annotations come from a memory map
        ".*smaller than the logging interval.*",
        ".*in eval mode at the start of training.*",  # a frozen encoder is meant to be
        ".*isinstance.treespec, LeafSpec.*",
        ".*`resource_tracker`.*",
        ".*when using `ckpt_path`, callbacks used.*",  # another --save_minutes
        ".*Checkpoint directory .* exists and is not empty.*",  # a resumed run goes on in its own folder
        ".*recommended to use `self.log.*sync_dist=True.*",  # every process has computed the same value
        ".*Trying to infer the `batch_size`.*",
        ".*requested to overfit but enabled .* dataloader shuffling.*",
    ):
        warnings.filterwarnings("ignore", message)


def run(main: Callable[[], int | None]) -> int:
    """Returns the exit status of a command: its own, or 2 after one line on what the user can mend."""
    silence_libraries()
    return terminal.run(main)


@contextmanager
def loading() -> Iterator[None]:
    """Says on stderr that something is loading, where it takes longer than QUICK_S."""
    timer = threading.Timer(QUICK_S, print, ["loading ..."], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def run_command(
    manual: str | None, commands: Mapping[str, Command], argv: Sequence[str] | None, task: str = ""
) -> int:
    """Returns the exit status of the command that the arguments begin with; without one prints the manual.

    Args:
        manual: What a front door's docstring says.
        commands: What to call with all arguments, by the first of them.
        argv: The arguments; by default those of the process.
        task: Whose options are known, such as caption.
    """
    given = list(sys.argv[1:] if argv is None else argv)

    def dispatch() -> int | None:
        if not given or given[0] in ("-h", "--help"):
            print(manual)
            return 0
        if given[0] not in commands:
            near = [f"; the nearest is {name!r}" for name in get_close_matches(given[0], commands, n=1)]
            raise InputError(f"no command {given[0]!r}{''.join(near)}; there are {', '.join(commands)}")
        check_early(task, given)
        return commands[given[0]](given)

    return run(dispatch)
