"""House numbers: a reader that takes glimpses of a picture, and a painter that adds strokes to a canvas.

    python pipelines/house_numbers.py fit                               drawn plates, no data needed, minutes
    python pipelines/house_numbers.py fit --config configs/house_numbers/drawn.yaml        better, an hour
    python pipelines/house_numbers.py fit --config configs/house_numbers/folder.yaml --data.root DIR
    python pipelines/house_numbers.py fit --ckpt_path RUN/checkpoints/last.ckpt   goes on where it was killed
    python pipelines/house_numbers.py validate|test --ckpt_path RUN/checkpoints/best.ckpt
    python pipelines/house_numbers.py read --images DIR --ckpt_path CKPT --output out.csv [--trace DIR]
    python pipelines/house_numbers.py score --predictions out.csv --numbers numbers.csv [--json]
    python pipelines/house_numbers.py fit --config configs/house_numbers/painter.yaml      trains a painter
    python pipelines/house_numbers.py paint --number 1247 --n 16 --output sheet.png [--animation paint.gif]
    python pipelines/house_numbers.py report --run RUN
    python pipelines/house_numbers.py export --ckpt_path CKPT --output DIR       ONNX, for use without PyTorch

configs/house_numbers holds svhn, folder and meters for data of your own. COMMAND --help lists every option.
Wrong input is one line on stderr and exit status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # run the code beside this file, not another copy that is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    from pipelines.arguments import CONFIGS, configures, with_config
    from pipelines.front_door import Command, function_command, loading, run_command
except ModuleNotFoundError as missing:  # in a shell without the environment, or before the set-up
    remedy = "activate the environment that has it, or set it up with: pip install -e ."
    print(f"error: {sys.executable} does not find {missing.name}; {remedy}", file=sys.stderr)
    sys.exit(2)

TASK = "house_numbers"


def train_or_evaluate(argv: Sequence[str]) -> None:
    """Runs fit, validate or test."""
    words = with_config(argv, CONFIGS / TASK / "plates.yaml")
    with loading():
        from pipelines.glimpses.fit import ReaderCLI
        from pipelines.glimpses.fit_painter import PainterCLI

    (PainterCLI if configures(words, "painter") else ReaderCLI)(words)


COMMANDS: dict[str, Command] = {
    "fit": train_or_evaluate,
    "validate": train_or_evaluate,
    "test": train_or_evaluate,
    "read": function_command("house_numbers.py", "pipelines.glimpses"),
    "paint": function_command("house_numbers.py", "pipelines.glimpses"),
    "score": function_command("house_numbers.py", "pipelines.glimpses"),
    "report": function_command("house_numbers.py", "pipelines.glimpses"),
    "export": function_command("house_numbers.py", "pipelines.glimpses"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    return run_command(__doc__, COMMANDS, argv, TASK)


if __name__ == "__main__":
    sys.exit(main())
