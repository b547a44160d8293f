"""What the three front doors share: a command by its name, a function as a command, one way to fail.

It imports no PyTorch, so that a command which needs none answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from inspect import getdoc, signature
from typing import Any

from modules.errors import InputError
from pipelines.arguments import Parser, with_bare_flags

Command = Callable[[Sequence[str]], None]


def function_command(program: str, module: str) -> Command:
    """Returns the command whose body is the function of its name in a module, imported when it is called."""

    def command(argv: Sequence[str]) -> None:
        body: Callable[..., Any] = getattr(import_module(module), argv[0])
        explained = (getdoc(body) or "").partition("\n\nArgs:")[0]
        parser = Parser(prog=f"{program} {argv[0]}", description=explained)
        parser.add_function_arguments(body, None)
        flags = [f"--{name}" for name, p in signature(body).parameters.items() if p.default is False]
        body(**vars(parser.parse_args(with_bare_flags(argv[1:], *flags))))

    return command


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
    ):
        warnings.filterwarnings("ignore", message)


def run(main: Callable[[], Any]) -> int:
    """Returns the exit status of a command: 0, or 2 after one line on what the user can mend."""
    silence_libraries()
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # who reads has seen enough, as `head` has; what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except InputError as error:
        # under several processes one of them speaks
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def run_command(manual: str | None, commands: Mapping[str, Command], argv: Sequence[str] | None) -> int:
    """Returns the exit status of the command that the arguments begin with; without one prints the manual.

    Args:
        manual: What a front door's docstring says.
        commands: What to call with all arguments, by the first of them.
        argv: The arguments; by default those of the process.
    """
    given = list(sys.argv[1:] if argv is None else argv)

    def dispatch() -> None:
        if not given or given[0] in ("-h", "--help"):
            print(manual)
            return
        if given[0] not in commands:
            near = [f"; the nearest is {name!r}" for name in get_close_matches(given[0], commands, n=1)]
            raise InputError(f"no command {given[0]!r}{''.join(near)}; there are {', '.join(commands)}")
        commands[given[0]](given)

    return run(dispatch)
