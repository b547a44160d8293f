"""Texts: train a language model, go on with a prompt, score a text, see gradients vanish.

    python pipelines/text.py fit                             Python's own source code, no data needed, minutes
    python pipelines/text.py fit --data.file FILE_OR_DIR --data.level character|word|byte
    python pipelines/text.py fit --config configs/text/min_char_rnn.yaml --data.file FILE   the listing
    python pipelines/text.py fit --ckpt_path RUN/checkpoints/last.ckpt          goes on where it was killed
    python pipelines/text.py fit --init CKPT --data.file FILE   begins with a trained model, adds characters
    python pipelines/text.py validate|test --ckpt_path RUN/checkpoints/best.ckpt
    python pipelines/text.py sample --ckpt_path CKPT --prompt "..." --length 500 --temperature 0.8 --seed 1
    python pipelines/text.py sample --ckpt_path CKPT --prompt_file FILE         a prompt of several lines
    python pipelines/text.py fit --config configs/text/music.yaml              tunes, from the package music21
    python pipelines/text.py sample --ckpt_path CKPT --prompt "X:1" --midi tune.mid --wav tune.wav
    python pipelines/text.py listen --file tunes.abc                            tunes as sound, on a page
    python pipelines/text.py complete --ckpt_path CKPT --prompt "what is the " --n 10
    python pipelines/text.py score --ckpt_path CKPT --file FILE [--per_token CSV] [--html PAGE] [--json]
    python pipelines/text.py score --ckpt_path CKPT --file FILE --dynamic 0.5      learns from it as it reads
    python pipelines/text.py fit --config configs/text/classify.yaml --data.file labelled.csv    text,label
    python pipelines/text.py classify --ckpt_path CKPT --file texts.csv --output labels.csv
    python pipelines/text.py author --train DIR_WITH_A_FOLDER_PER_AUTHOR --file X              who wrote it
    python pipelines/text.py correct --ckpt_path FORWARD BACKWARD --file FILE         likelier spellings
    python pipelines/text.py gradients                         |dJ/dh| over the distance, and a recall task
    python pipelines/text.py report --run RUN

COMMAND --help lists every option. Wrong input is one line on stderr and exit status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # run the code beside this file, not another copy that is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    from pipelines.arguments import CONFIGS, configures, given_values, with_config
    from pipelines.front_door import Command, function_command, loading, run_command
except ModuleNotFoundError as missing:  # in a shell without the environment, or before the set-up
    remedy = "activate the environment that has it, or set it up with: pip install -e ."
    print(f"error: {sys.executable} does not find {missing.name}; {remedy}", file=sys.stderr)
    sys.exit(2)


def train_or_evaluate(argv: Sequence[str]) -> None:
    """Runs fit, validate or test of the system that the configuration describes."""
    config = "python"
    if given_values(argv, "--data.file"):
        config = "word" if given_values(argv, "--data.level")[-1:] == ["word"] else "file"
    words = with_config(argv, CONFIGS / "text" / f"{config}.yaml")
    with loading():
        from pipelines.language.authorship.fit import AuthorCLI
        from pipelines.language.classifying.fit import ClassifierCLI
        from pipelines.language.fit import LanguageCLI

    parts = {"classifier": ClassifierCLI, "heads": AuthorCLI}
    next((cli for part, cli in parts.items() if configures(words, part)), LanguageCLI)(words)


COMMANDS: dict[str, Command] = {
    "fit": train_or_evaluate,
    "validate": train_or_evaluate,
    "test": train_or_evaluate,
    "sample": function_command("text.py", "pipelines.language"),
    "complete": function_command("text.py", "pipelines.language"),
    "score": function_command("text.py", "pipelines.language"),
    "author": function_command("text.py", "pipelines.language"),
    "classify": function_command("text.py", "pipelines.language"),
    "correct": function_command("text.py", "pipelines.language"),
    "listen": function_command("text.py", "pipelines.language"),
    "gradients": function_command("text.py", "pipelines.language"),
    "report": function_command("text.py", "pipelines.language"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    return run_command(__doc__, COMMANDS, argv, "text")


if __name__ == "__main__":
    sys.exit(main())
