"""Camera drives to steering-wheel angles: train, evaluate free-running, predict, score, report, drive.

    python pipelines/steer.py fit                                 drawn roads, no data needed, minutes
    python pipelines/steer.py fit --config configs/steer/pilotnet.yaml --data.root DIR [--data.format NAME]
    python pipelines/steer.py fit --ckpt_path RUN/checkpoints/last.ckpt          goes on where it was killed
    python pipelines/steer.py validate|test --ckpt_path RUN/checkpoints/best.ckpt --data.root DIR
    python pipelines/steer.py compare --config configs/steer/compare.yaml --data.root DIR     rows and seeds
    python pipelines/steer.py predict --ckpt_path CKPT [CKPT ...] --frames DIR_OR_VIDEO --output out.csv
        [--overlay out.mp4 [--labels FILE] [--saliency]] [--smoothing exponential|chauffeur]
    python pipelines/steer.py score --predictions out.csv --labels LABELS.csv [--json]
    python pipelines/steer.py report --run RUN [RUN ...]
    python pipelines/steer.py export --ckpt_path CKPT --output DIR   ONNX and a part for DonkeyCars
    python pipelines/steer.py drive [--ckpt_path CKPT [CKPT ...]] [--video out.mp4] [--report drive.html]
    python pipelines/steer.py simulator --ckpt_path CKPT              drives in Udacity's simulator

drive is a closed loop on drawn roads: the model steers, and what it sees next follows from that. It needs no
checkpoint, nor does predict: a small model of drawn roads comes with the package.
configs/steer holds pilotnet, komanda, chauffeur and transfer. COMMAND --help lists every option. Wrong input
is one line on stderr and exit status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # run the code beside this file, not another copy that is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    from pipelines.arguments import CONFIGS, with_config
    from pipelines.front_door import Command, function_command, loading, run_command
except ModuleNotFoundError as missing:  # in a shell without the environment, or before the set-up
    remedy = "activate the environment that has it, or set it up with: pip install -e ."
    print(f"error: {sys.executable} does not find {missing.name}; {remedy}", file=sys.stderr)
    sys.exit(2)


def train_or_evaluate(argv: Sequence[str]) -> None:
    """Runs fit, validate or test."""
    with loading():
        from pipelines.steering.fit import SteerCLI

    SteerCLI(with_config(argv, CONFIGS / "steer" / "road.yaml"))


def compare(argv: Sequence[str]) -> None:
    """Fits the rows of the steering table with several seeds and compares them."""
    with loading():
        from pipelines.steering.compare import compare

    compare(argv)


COMMANDS: dict[str, Command] = {
    "fit": train_or_evaluate,
    "validate": train_or_evaluate,
    "test": train_or_evaluate,
    "compare": compare,
    "predict": function_command("steer.py", "pipelines.steering"),
    "score": function_command("steer.py", "pipelines.steering"),
    "report": function_command("steer.py", "pipelines.steering"),
    "drive": function_command("steer.py", "pipelines.steering"),
    "export": function_command("steer.py", "pipelines.steering"),
    "simulator": function_command("steer.py", "pipelines.steering"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    return run_command(__doc__, COMMANDS, argv, "steer")


if __name__ == "__main__":
    sys.exit(main())
