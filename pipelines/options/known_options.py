"""What a command line can be told before PyTorch and Lightning are imported, which takes seconds.

options.yaml lists the options of every command, so that a misspelt one is answered at once. What passes goes
on to the parser itself, which has the last word. So does what somebody has added to the source since: a field
of that name, or such a choice of a `Literal`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from data_prep.commands import refuse_folders
from modules.checkpoints import check_checkpoint_file
from modules.errors import InputError
from pipelines.arguments import find_config, given_values, no_option, read_config, wrong_value

LIBRARY = "trainer.", "checkpoint.", "early_stopping."  # options that are Lightning's own
TRAINING = "fit", "validate", "test"  # all have the same options
FILE = Path(__file__).with_name("options.yaml")
# options that name a file to write
WRITTEN = {
    "caption predict": ("output",),
    "steer predict": ("output", "overlay"),
    "steer drive": ("video", "report"),
    "text sample": ("midi", "wav"),
    "text score": ("per_token", "html"),
    "text classify": ("output",),
    "house_numbers read": ("output",),
    "house_numbers paint": ("output", "animation"),
}
SOURCE = Path(__file__).resolve().parents[2]
PACKAGES = "modules", "data_prep", "pipelines"


@cache
def known_options(task: str, command: str) -> dict[str, list[str] | None]:
    """Returns the options of a command and what each can be; None where that is left to the parser."""
    name = f"{task} {'fit' if command in TRAINING else command}"
    sections = _read()["options"]
    return {
        option: wanted
        for names, options in sections.items()
        if name in names.split(", ")
        for option, wanted in options.items()
    }


@cache
def _read() -> dict[str, Any]:
    return dict(yaml.load(FILE.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def check_early(task: str, argv: Sequence[str]) -> None:
    """Refuses what needs no model to be refused.

    Args:
        task: caption, steer, text or house_numbers.
        argv: Of a command, its name first.

    Raises:
        InputError: An option is unknown, is missing or cannot have its value; a configuration or a checkpoint
            does not exist.
    """
    command, *rest = argv
    options = known_options(task, command)
    if not options or {"-h", "--help"} & set(rest):
        return
    if rest and not rest[0].startswith("-") and f"{task} {command}" not in _read()["words"]:
        raise InputError(f"{rest[0]!r} is one word too many: options are written --name value")
    judged = version("pytorch-lightning") == _read()["lightning"]
    for argument, following in zip(rest, [*rest[1:], "--"], strict=False):
        if not argument.startswith("--") or " " in argument.partition("=")[0] or argument == "--":
            continue
        name, sign, value = argument[2:].partition("=")
        _check_name(name, options, judged)
        _check_value(name, value if sign else following, options)
    if "ray" not in given_values(rest, "--engine"):  # whose output is a folder
        refuse_folders(rest, WRITTEN.get(f"{task} {command}", ()))
    needed = [
        name for name in _read()["needed"].get(f"{task} {command}", ()) if not given_values(rest, f"--{name}")
    ]
    if needed:
        raise InputError(f"needs {', '.join(f'--{name}' for name in needed)}")
    for name in given_values(rest, "--config", "-c"):
        file = find_config(name)
        if file is not None:
            of_fit = known_options(task, "fit")  # whose options stand in every configuration
            content = read_config(file)
            if (task, command) == ("steer", "compare"):  # a list of configurations, and what all have alike
                content = content.get("options") or {}
            for option in _flattened(content, of_fit):
                _check_name(option, of_fit, judged, "in the configuration: ")
        elif re.search(r"\.(ya?ml|json)$", name):
            raise InputError(f"--config {name}: does not exist")
    if command in TRAINING[1:] and not given_values(rest, "--ckpt_path", "--config", "-c"):
        raise InputError(f"{command} needs --ckpt_path RUN/checkpoints/best.ckpt")
    for path in given_values(rest, "--images", "--frames"):
        # an address is looked at by the engine that reads it
        if path and not path.startswith("--") and "://" not in path and not Path(path).exists():
            raise InputError(f"{path}: no such file or folder")
    for path in given_values(rest, "--ckpt_path"):
        # Lightning's own words for one are refused later, by name
        if path and not path.startswith("--") and path not in ("best", "last", "hpc", "registry", "null"):
            check_checkpoint_file(path)


def _check_name(name: str, options: dict[str, list[str] | None], judged: bool, where: str = "") -> None:
    parents = [name[: found.start()] for found in re.finditer(r"\.", name)]
    is_inside = any(parent in options and not _is_group(parent, options) for parent in parents)
    if name.rstrip("+") in options or is_inside or (not judged and name.startswith(LIBRARY)):
        return
    group, _, field = name.rpartition(".")
    # an option without a group is the parameter of a command's function
    folders = () if group and group not in options else PACKAGES if group else PACKAGES[2:]
    if not name.startswith(LIBRARY) and _source_has(rf"^    {re.escape(field)}: ", *folders):
        return
    raise InputError(where + no_option(name, sorted(options)))


def _is_group(name: str, options: dict[str, list[str] | None]) -> bool:
    return any(other.startswith(f"{name}.") and other != f"{name}.help" for other in options)


def _check_value(name: str, value: str, options: dict[str, list[str] | None]) -> None:
    wanted = options.get(name)
    if wanted is None or value.startswith("--") or value in (*wanted, "null", "None"):
        return
    # a number can be written in many ways, a quoted value is the parser's business
    is_number = re.search(r"\d|inf|nan", value.lower()) and any(kind.endswith("number") for kind in wanted)
    is_word = not is_number and re.fullmatch(r"[\w./-]+", value)
    if is_word and not _source_has(rf"Literal\[[^]]*[\"']{re.escape(value)}[\"']", *PACKAGES):
        raise InputError(wrong_value(name, value, wanted))


def _source_has(pattern: str, *folders: str) -> bool:
    files = (file for folder in folders for file in (SOURCE / folder).rglob("*.py"))
    return any(re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE) for file in files)


def _flattened(content: Any, options: dict[str, list[str] | None], before: str = "") -> Iterator[str]:
    """Yields the options that a configuration names."""
    for name, value in content.items() if isinstance(content, dict) else ():
        option = f"{before}{name}"
        if isinstance(value, dict) and (option not in options or _is_group(option, options)) and value:
            yield from _flattened(value, options, f"{option}.")
        else:
            yield option
