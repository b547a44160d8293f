"""Camera drives to steering-wheel angles: train, evaluate free-running, predict, score, report, drive.

    python pipelines/steer.py fit                                 drawn roads, no data needed, minutes
    python pipelines/steer.py fit --config configs/steer/pilotnet.yaml --data.root DIR [--data.format NAME]
    python pipelines/steer.py fit --ckpt_path RUN/checkpoints/last.ckpt          goes on where it was killed
    python pipelines/steer.py validate|test --ckpt_path RUN/checkpoints/best.ckpt --data.root DIR
    python pipelines/steer.py predict --ckpt_path CKPT [CKPT ...] --frames DIR_OR_VIDEO --output out.csv
        [--overlay out.mp4 [--labels FILE] [--saliency]] [--smoothing exponential|chauffeur]
    python pipelines/steer.py score --predictions out.csv --labels LABELS.csv [--json]
    python pipelines/steer.py report --run RUN [RUN ...]
    python pipelines/steer.py drive --ckpt_path CKPT [--video out.mp4] [--roads N] [--seconds S] [--json]

drive is a closed loop on drawn roads: the model steers, and what it sees next follows from that.
configs/steer holds pilotnet, komanda, chauffeur and transfer. COMMAND --help lists every option. Wrong input
is one line on stderr and exit status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.arguments import CONFIGS, Parser, with_bare_flags, with_config
from pipelines.front_door import Command, function_command, run_command


def train_or_evaluate(argv: Sequence[str]) -> None:
    from pipelines.steering.fit import SteerCLI

    SteerCLI(with_config(argv, CONFIGS / "steer" / "road.yaml"))


def predict(argv: Sequence[str]) -> None:
    from pipelines.steering.predict import SteerPredictionOptions
    from pipelines.steering.predict import predict as body

    parser = Parser(prog="steer.py predict", description="Steer along a recording of your own.")
    parser.add_argument(
        "--ckpt_path",
        nargs="+",
        type=Path,
        required=True,
        help="Checkpoint of a steering model, such as RUN/checkpoints/best.ckpt; of several the mean counts.",
    )
    parser.add_class_arguments(SteerPredictionOptions)
    config = parser.instantiate(parser.parse_args(with_bare_flags(argv[1:], "--overwrite", "--saliency")))
    body(config.pop("ckpt_path"), SteerPredictionOptions(**vars(config)))


def report(argv: Sequence[str]) -> None:
    from pipelines.steering.report import report as body

    parser = Parser(
        prog="steer.py report",
        description="Write one self-contained HTML page about a run, or about several side by side.",
    )
    parser.add_argument(
        "--run",
        type=Path,
        nargs="+",
        required=True,
        help="Folder of a run, as fit prints it, or of a test of it. The page is its report.html; of several "
        "runs it is comparison.html in the first one's folder.",
    )
    body(**vars(parser.parse_args(list(argv[1:]))))


COMMANDS: dict[str, Command] = {
    "fit": train_or_evaluate,
    "validate": train_or_evaluate,
    "test": train_or_evaluate,
    "predict": predict,
    "score": function_command("steer.py", "pipelines.steering.score"),
    "report": report,
    "drive": function_command("steer.py", "pipelines.steering.drive"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    return run_command(__doc__, COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
