"""Trains on several machines of a Ray cluster, by Ray Train; needs `pip install -e ".[ray]"` on each of them.

    python configs/jobs/ray_train.py --workers 8 --gpu -- pipelines/caption.py fit --data.root DIR

Behind `--` stands any fit, as it is given on one machine. All machines see the same data and folder of runs.
A run that was killed goes on with `--ckpt_path RUN/checkpoints/last.ckpt` at the end of the same line.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported

try:
    import ray
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer
except ModuleNotFoundError as missing:
    print(
        f'error: {sys.executable} does not find {missing.name}; set it up with: pip install -e ".[ray]"',
        file=sys.stderr,
    )
    sys.exit(2)

# Ray says which device a process has, and which processes there are
OPTIONS = [
    "--trainer.strategy.class_path=ray.train.lightning.RayDDPStrategy",
    "--trainer.plugins.class_path=ray.train.lightning.RayLightningEnvironment",
    "--trainer.devices=auto",
]


def fit(config: dict[str, Any]) -> None:
    """Runs the fit in one of the processes; an exit status that is not 0 ends them all."""
    os.chdir(config["folder"])  # where relative paths were written
    door, *words = config["command"]
    status = import_module(f"pipelines.{Path(door).stem}").main([*words, *OPTIONS])
    if status:
        raise SystemExit(f"{door} ended with status {status}")


def main() -> None:
    """Starts as many processes as asked for, each with the same command."""
    parser = argparse.ArgumentParser(description="Trains on a Ray cluster.")
    parser.add_argument("--workers", type=int, default=2, help="Processes; one a GPU where there are any.")
    parser.add_argument("--gpu", action="store_true", help="Give each process a GPU.")
    parser.add_argument("--address", help="Cluster, such as auto; by default this machine alone.")
    parser.add_argument("command", nargs="+", help="pipelines/DOOR.py fit and its options.")
    given = parser.parse_args()
    here = {} if given.address else {"include_dashboard": False}
    ray.init(address=given.address or "local", **here)
    trainer = TorchTrainer(
        fit,
        train_loop_config={"command": given.command, "folder": str(Path.cwd())},
        scaling_config=ScalingConfig(num_workers=given.workers, use_gpu=given.gpu),
        run_config=RunConfig(storage_path=str(Path("runs").resolve() / "ray")),
    )
    try:
        trainer.fit()
    except TrainingFailedError:  # it repeats what every process has said
        sys.exit("error: a process of the fit has ended, and all with it; its own words stand above")


if __name__ == "__main__":
    main()
