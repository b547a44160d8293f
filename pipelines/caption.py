"""Photographs to sentences: train, evaluate, caption a folder, score, report.

    python pipelines/caption.py predict --images DIR                  captions at once, nothing to train
    python pipelines/caption.py fit                                   drawn scenes, no data needed, minutes
    python pipelines/caption.py fit --config configs/caption/flickr8k.yaml --data.root DIR
    python pipelines/caption.py fit --config configs/caption/folder.yaml --data.root DIR
    python pipelines/caption.py fit --ckpt_path RUN/checkpoints/last.ckpt          goes on where it was killed
    python pipelines/caption.py validate|test --ckpt_path RUN/checkpoints/best.ckpt
    python pipelines/caption.py compare --config configs/caption/compare.yaml --data.root DIR     all decoders
    python pipelines/caption.py predict --images DIR [--ckpt_path CKPT ...] [--output FILE] [--attention DIR]
    python pipelines/caption.py predict --engine ray --images s3://BUCKET/DIR --output DIR    on many machines
    python pipelines/caption.py score --predictions out.jsonl --references FILE [--json]
    python pipelines/caption.py report --run RUN
    python pipelines/caption.py export --output DIR [--ckpt_path CKPT]           ONNX, for use without PyTorch
    python pipelines/caption.py find WORDS [--captions out.jsonl] [--open]       photographs by captions
    python pipelines/caption.py demo [--port 8000]                               a page to drop pictures on
    python pipelines/caption.py match --images DIR --text SENTENCE [--open]           also without captions

COMMAND --help lists every option. Options of decoding (`--decoding.beam_size 5`) take effect wherever they
are given. Wrong input is one line on stderr and exit status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":  # run the code beside this file, not another copy that is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    from pipelines.arguments import CONFIGS, with_config
    from pipelines.front_door import Command, function_command, loading, run_command, silence_libraries
except ModuleNotFoundError as missing:  # in a shell without the environment, or before the set-up
    remedy = "activate the environment that has it, or set it up with: pip install -e ."
    print(f"error: {sys.executable} does not find {missing.name}; {remedy}", file=sys.stderr)
    sys.exit(2)


def train_or_evaluate(argv: Sequence[str]) -> None:
    """Runs fit, validate or test."""
    with loading():
        from pipelines.captioning.fit import CaptionCLI

    CaptionCLI(with_config(argv, CONFIGS / "caption" / "scenes.yaml"))


def compare(argv: Sequence[str]) -> None:
    """Trains the family of decoders alike and compares them."""
    with loading():
        from pipelines.captioning.compare import compare

    compare(argv)


def predict(argv: Sequence[str]) -> None:
    """Captions a folder of images."""
    with loading():
        from pytorch_lightning import Trainer

        from modules.captioning.captioner import Captioner
        from modules.captioning.ensemble import CaptionerEnsemble
        from modules.captioning.pretrained import PRETRAINED
        from pipelines.captioning.on_ray.refusals import check_engine
        from pipelines.captioning.predict import FIRST, PredictionOptions, caption_pictures
        from pipelines.cli import FitParser
        from pipelines.devices import take_device
        from pipelines.endings import blaming
        from pipelines.running.part_rows import trainer_arguments

    silence_libraries()  # once more: Lightning chooses its own level when it is imported
    parser = FitParser(
        prog="caption.py predict", description="Caption every image of a folder and its sub-folders."
    )
    parser.add_class_arguments(PredictionOptions)
    trainer_arguments(parser)
    parser.first = FIRST
    given = list(argv[1:])
    parsed = parser.parse_args(given)
    check_engine(parsed, given)
    checkpoints = parsed.ckpt_path
    if not checkpoints:
        print(f"captioner: the ready-made one, described in {PRETRAINED.with_suffix('.md')}", flush=True)
    model: Captioner | CaptionerEnsemble
    if checkpoints and len(checkpoints) > 1:
        model = CaptionerEnsemble.load(checkpoints)
    else:
        model = Captioner.load(checkpoints[0] if checkpoints else PRETRAINED)
    # an option that is not given keeps the checkpoint's value
    parser.set_defaults(decoding=asdict(model.decoding))
    parsed = parser.parse_args(given)
    if parsed.engine == "ray":
        with loading():
            from pipelines.captioning.on_ray.engine import caption_on_ray

        device = parsed.pop("device")
        config = parser.instantiate(parsed)
        config.pop("trainer")
        caption_on_ray(PredictionOptions(**vars(config)), model, device)
        return
    take_device(parsed, given)
    config = parser.instantiate(parsed)
    with blaming("trainer"):
        trainer = Trainer(**config.pop("trainer"))
    caption_pictures(PredictionOptions(**vars(config)), model, trainer)


COMMANDS: dict[str, Command] = {
    "fit": train_or_evaluate,
    "validate": train_or_evaluate,
    "test": train_or_evaluate,
    "compare": compare,
    "predict": predict,
    "score": function_command("caption.py", "pipelines.captioning"),
    "report": function_command("caption.py", "pipelines.captioning"),
    "export": function_command("caption.py", "pipelines.captioning"),
    "find": function_command("caption.py", "pipelines.captioning"),
    "demo": function_command("caption.py", "pipelines.captioning"),
    "match": function_command("caption.py", "pipelines.captioning"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    return run_command(__doc__, COMMANDS, argv, "caption")


if __name__ == "__main__":
    sys.exit(main())
