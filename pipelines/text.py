"""Texts: train a language model, go on with a prompt, score a text, see gradients vanish.

    python pipelines/text.py fit                             Python's own source code, no data needed, minutes
    python pipelines/text.py fit --data.file FILE_OR_DIR --data.level character|word|byte
    python pipelines/text.py fit --config configs/text/min_char_rnn.yaml --data.file FILE   the listing
    python pipelines/text.py fit --ckpt_path RUN/checkpoints/last.ckpt          goes on where it was killed
    python pipelines/text.py validate|test --ckpt_path RUN/checkpoints/best.ckpt
    python pipelines/text.py sample --ckpt_path CKPT --prompt "..." --length 500 --temperature 0.8 --seed 1
    python pipelines/text.py complete --ckpt_path CKPT --prompt "what is the " --n 10
    python pipelines/text.py score --ckpt_path CKPT --file FILE [--per_token CSV] [--html PAGE] [--json]
    python pipelines/text.py gradients                         |dJ/dh| over the distance, and a recall task
    python pipelines/text.py report --run RUN

COMMAND --help lists every option. Wrong input is one line on stderr and exit status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from inspect import getdoc, signature
from typing import Any

from pipelines.arguments import CONFIGS, Parser, with_bare_flags, with_config
from pipelines.cli import run_command


def train_or_evaluate(argv: Sequence[str]) -> None:
    from pipelines.language import LanguageCLI

    given = " ".join(argv).replace("=", " ")
    config = "python"
    if "--data.file" in given:
        config = "word" if "--data.level word" in given else "file"
    LanguageCLI(with_config(argv, CONFIGS / "text" / f"{config}.yaml"))


def simple(module: str) -> Callable[[Sequence[str]], None]:
    """Returns the command whose body is the function of its name in a module, imported when it is called."""

    def command(argv: Sequence[str]) -> None:
        body: Callable[..., Any] = getattr(import_module(module), argv[0])
        explained = (getdoc(body) or "").partition("\n\nArgs:")[0]
        parser = Parser(prog=f"text.py {argv[0]}", description=explained)
        parser.add_function_arguments(body, None)
        flags = [f"--{name}" for name, p in signature(body).parameters.items() if p.default is False]
        body(**vars(parser.parse_args(with_bare_flags(argv[1:], *flags))))

    return command


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "fit": train_or_evaluate,
    "validate": train_or_evaluate,
    "test": train_or_evaluate,
    "sample": simple("pipelines.continuing"),
    "complete": simple("pipelines.continuing"),
    "score": simple("pipelines.scoring_text"),
    "gradients": simple("pipelines.gradients"),
    "report": simple("pipelines.reports.text"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    return run_command(__doc__, COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
