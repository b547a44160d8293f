"""Camera drives to steering-wheel angles: train and evaluate, free-running.

    python pipelines/steer.py fit                                 drawn roads, no data needed, minutes
    python pipelines/steer.py fit --config configs/steer/pilotnet.yaml --data.root DIR [--data.format NAME]
    python pipelines/steer.py fit --ckpt_path RUN/checkpoints/last.ckpt          goes on where it was killed
    python pipelines/steer.py validate|test --ckpt_path RUN/checkpoints/best.ckpt --data.root DIR

configs/steer holds pilotnet, komanda, chauffeur and transfer. COMMAND --help lists every option. Wrong input
is one line on stderr and exit status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from modules.errors import InputError
from pipelines.arguments import CONFIGS, with_config
from pipelines.cli import run

COMMANDS = ("fit", "validate", "test")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    return run(lambda: dispatch(argv))


def dispatch(argv: Sequence[str]) -> None:
    if argv[0] not in COMMANDS:
        from difflib import get_close_matches

        near = [f"; the nearest is {name!r}" for name in get_close_matches(argv[0], COMMANDS, n=1)]
        raise InputError(f"no command {argv[0]!r}{''.join(near)}; there are {', '.join(COMMANDS)}")
    from pipelines.steering import SteerCLI

    SteerCLI(with_config(argv, CONFIGS / "steer" / "road.yaml"))


if __name__ == "__main__":
    sys.exit(main())
