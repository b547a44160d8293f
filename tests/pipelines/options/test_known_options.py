"""What is wrong with a command line is said before PyTorch and Lightning are imported."""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml

from modules.errors import InputError
from pipelines import caption, house_numbers, steer, text
from pipelines.arguments import KINDS, Parser
from pipelines.options import known_options
from pipelines.options.known_options import FILE, LIBRARY, TRAINING, check_early

DOORS = {"caption": caption, "steer": steer, "text": text, "house_numbers": house_numbers}
HEAVY = "torch", "pytorch_lightning", "lightning_fabric", "torchvision", "timm", "matplotlib", "cv2", "nltk"


class Found(Exception):
    """The parser of a command."""


# where a configuration chooses another system, and with it other options
OTHERS = {"house_numbers": ["house_numbers/painter"], "text": ["text/classify", "text/author"]}


def parser_of(task: str, command: str, monkeypatch: pytest.MonkeyPatch, words: Sequence[str] = ()) -> Any:
    def caught(self: Parser, *args: Any, **kwargs: Any) -> None:
        raise Found(self)

    monkeypatch.setattr(Parser, "parse_args", caught)
    with pytest.raises(Found) as found:
        DOORS[task].COMMANDS[command]([command, *words])
    parser = found.value.args[0]
    maps = [getattr(action, "_name_parser_map", None) for action in parser._actions]
    return next((each[command] for each in maps if each), parser)


def wanted(kind: Any) -> list[str] | None:
    """Returns what an option can be where its type is of numbers and choices alone."""
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return [str(c) for c in choices] if all(isinstance(c, str) for c in choices) else None
    if get_args(kind):
        parts = [wanted(part) for part in get_args(kind)] if type(None) in get_args(kind) else [None]
        # sorted: typing may give an equal union of another order
        return None if None in parts else [each for part in sorted(parts) for each in part]
    return [KINDS[str(kind)]] if kind in (int, float, type(None)) else None


def options_of(task: str, command: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str] | None]:
    parsers = [parser_of(task, command, monkeypatch)]
    for name in OTHERS.get(task, ()) if command in TRAINING else ():
        parsers.append(parser_of(task, command, monkeypatch, ["--config", f"configs/{name}.yaml"]))
    return {
        written[2:]: wanted(getattr(action, "_typehint", None) or action.type)
        for parser in parsers
        for action in parser._actions
        for written in action.option_strings
        if written.startswith("--") and not written.endswith("+")
    }


def read_all(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Returns what the parsers know, as options.yaml says it."""
    by_option: dict[tuple[str, str], list[str]] = {}
    needed, words = {}, []
    for task, door in DOORS.items():
        of_fit = None
        for command in door.COMMANDS:
            options = options_of(task, command, monkeypatch)
            if command in TRAINING:
                assert of_fit in (None, options)
                of_fit = options
                if command != "fit":
                    continue
            else:
                actions = parser_of(task, command, monkeypatch)._actions
                required = [action for action in actions if action.required and action.default is None]
                needed[f"{task} {command}"] = [a.dest for a in required if a.option_strings]
                words += [f"{task} {command}" for action in required if not action.option_strings]
            for option, kinds in options.items():
                by_option.setdefault((option, repr(kinds)), []).append(f"{task} {command}")
    sections: dict[str, dict[str, Any]] = {}
    for (option, kinds), commands in by_option.items():
        sections.setdefault(", ".join(commands), {})[option] = eval(kinds)
    return {
        "lightning": version("pytorch-lightning"),
        "needed": {name: options for name, options in needed.items() if options},
        "words": words,
        "options": sections,
    }


def test_the_listed_options_are_those_of_the_parsers(monkeypatch):
    found = read_all(monkeypatch)
    if os.environ.get("RENEW_GOLDEN"):
        head = (
            "# Options of every command. RENEW_GOLDEN=1 python -m pytest tests/pipelines writes this file.\n"
        )
        FILE.write_text(head + yaml.safe_dump(found, sort_keys=False, width=1000, default_flow_style=None))
    listed = yaml.safe_load(FILE.read_text())
    if listed["lightning"] != found["lightning"]:  # the names of another version's options are not judged
        for each in (listed, found):
            each.pop("lightning")
            for options in each["options"].values():
                for option in [option for option in options if option.startswith(LIBRARY)]:
                    del options[option]
    assert found == listed


WRONG = [
    *(
        (
            task,
            ["fit", "--trainer.max_epoch", "3"],
            "no option 'trainer.max_epoch'; the nearest is 'trainer.max_epochs'",
        )
        for task in DOORS
    ),
    *((task, ["fit", "--config", "absent.yaml"], "--config absent.yaml: does not exist") for task in DOORS),
    *(
        (task, ["fit", "more"], "'more' is one word too many: options are written --name value")
        for task in DOORS
    ),
    *((task, ["test"], "test needs --ckpt_path RUN/checkpoints/best.ckpt") for task in DOORS),
    *(
        (
            task,
            ["fit", "--trainer.max_epochs=few"],
            "trainer.max_epochs is 'few'; it has to be a whole number or null",
        )
        for task in DOORS
    ),
    *(
        (
            task,
            ["fit", "--config", "wrong.yaml"],
            "in the configuration: no option 'trainer.max_epoch'; the nearest is 'trainer.max_epochs'",
        )
        for task in DOORS
    ),
    ("caption", ["predict"], "needs --images"),
    ("caption", ["predict", "--imgaes", "x"], "no option 'imgaes'; the nearest is 'images'"),
    ("steer", ["predict"], "needs --frames"),
    (
        "steer",
        ["drive", "--ckpt_path", "absent.ckpt"],
        "absent.ckpt: does not exist; name a file such as RUN/checkpoints/best.ckpt",
    ),
    (
        "steer",
        ["predict", "--ckpt_path", "here", "--frames", "x", "--smoothing", "chaufeur"],
        "smoothing is 'chaufeur'; it has to be none, exponential or chauffeur; the nearest is 'chauffeur'",
    ),
    (
        "text",
        ["sample", "--ckpt_path", "absent.ckpt"],
        "absent.ckpt: does not exist; name a file such as RUN/checkpoints/best.ckpt",
    ),
    *(
        (task, [command, *given, f"--{option}", "new/"], f"new/: is a folder; --{option} names a file")
        for task, command, option, given in (
            ("caption", "predict", "output", ["--images", "."]),
            ("steer", "predict", "output", ["--frames", "."]),
            ("steer", "predict", "overlay", ["--frames", "."]),
            ("steer", "drive", "report", []),
            ("house_numbers", "paint", "animation", []),
        )
    ),
    (
        "text",
        ["fit", "--data.level", "wrod"],
        "data.level is 'wrod'; it has to be character, word or byte; the nearest is 'word'",
    ),
]


def after(lines: Sequence[str], folder: Path) -> str:
    """Returns what a program prints that runs in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(caption.__file__).parents[1])}
    program = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(program, cwd=folder, env=environment, text=True, stdout=-1, check=True).stdout


def test_what_is_wrong_is_said_before_anything_heavy_is_imported(tmp_path):
    """All in one process: nothing heavy has been imported after the last, so none was by any."""
    (tmp_path / "wrong.yaml").write_text("trainer:\n  max_epoch: 3\n")
    lines = ["import io, sys", "from contextlib import redirect_stderr", "from pipelines import console"]
    lines += [
        "from pipelines import caption, house_numbers, steer, text",
        "doors = dict(caption=caption, steer=steer, text=text, house_numbers=house_numbers)",
    ]
    for task, argv, _ in WRONG:
        lines += [
            "with redirect_stderr(io.StringIO()) as said:",
            f"    statuses = console.main([{task!r}, *{argv!r}]), doors[{task!r}].main({argv!r})",
            "print(statuses, said.getvalue().splitlines())",
        ]
    lines += [f"print([name for name in {HEAVY!r} if name in sys.modules])"]
    *said, heavy = after(lines, tmp_path).splitlines()
    assert said == [f"(2, 2) {2 * [f'error: {line}']}" for _, _, line in WRONG]
    assert heavy == "[]"


@pytest.mark.parametrize(
    "module",
    ["captioning.find", "captioning.score", "steering.score", "captioning.report", "steering.report"],
)
def test_commands_without_a_model_import_no_pytorch(module, tmp_path):
    lines = [
        "import sys",
        f"import pipelines.{module}",
        "print({'torch', 'pytorch_lightning'} & set(sys.modules))",
    ]
    assert after(lines, tmp_path) == "set()\n"


@pytest.mark.parametrize("task, argv", [
    ("caption", ["fit", "--trainer.callbacks.decay", "3", "--trainer.callbacks+=x"]),
    ("caption", ["fit", "--trainer.max_epochs", "-1", "--trainer", "file.yaml", "--data.batch_size", "1e1"]),
    ("caption", ["fit", "--optimizer.lr", "3", "--optimizer", "Adam", "--trainer.max_steps", "1_000"]),
    ("text", ["fit", "--config", "{trainer: 3}", "--early_stopping.stopping_threshold", "null"]),
    ("text", ["fit", "--help", "--trainer.max_epoch"]),
    ("text", ["score", "--file", "--ckpt_path"]),
    ("nothing", ["fit", "--x"]),
])  # fmt: skip
def test_what_the_parser_may_take_is_left_to_it(task, argv):
    check_early(task, argv)


def test_what_somebody_adds_to_the_source_is_left_to_the_parser(tmp_path, monkeypatch):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "cells.py").write_text(
        'CellName = Literal[\n    "lstm", "mgu"\n]\n\nclass Options:\n    depth: int = 1\n'
    )
    monkeypatch.setattr(known_options, "SOURCE", tmp_path)
    (tmp_path / "mine.yaml").write_text("model:\n  decoder:\n    cell: mgu\n    depth: 2\n")
    check_early("text", ["fit", "--model.decoder.cell", "mgu", "--model.decoder.depth", "2"])
    check_early("text", ["fit", "--config", str(tmp_path / "mine.yaml")])
    for option, value in (
        ("model.decoder.cell", "mgru"),
        ("model.decoder.dept", "2"),
        ("x.depth", "2"),
        ("depth", "2"),
    ):
        with pytest.raises(InputError, match=option):
            check_early("text", ["fit", f"--{option}", value])
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "fit.py").write_text("def fit(\n    depth: int,\n) -> None: ...\n")
    check_early("text", ["fit", "--depth", "2"])
