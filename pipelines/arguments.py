"""The command line's words: one parser, complaints that a person can use, configuration files."""

from __future__ import annotations

import ast
import re
from argparse import SUPPRESS, Action, _ArgumentGroup, _HelpAction
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, get_args

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from data_prep.input_files import read_yaml
from modules.errors import InputError, check_at_least, check_ranges

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
# what jsonargparse expects -> what a person would call it
KINDS = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'bool'>": "true or false",
    "<class 'str'>": "text",
    "<class 'list'>": "a list such as [10,20]",
    "<class 'NoneType'>": "null",
}


class HelpFormatter(DefaultHelpFormatter):
    """Shows an option by its long name, alike under every version of Python."""

    def _format_usage(self, usage: str | None, actions: Iterable[Action], *args: Any, **kwargs: Any) -> str:
        needed = [
            f"--{action.dest} {action.metavar or action.dest.upper()}"
            if action.option_strings
            else str(action.metavar)
            for action in actions
            if action.required and action.default is None
        ]
        return f"usage: {' '.join([self._prog, *needed, '[options]'])}\n\n"

    def _format_action_invocation(self, action: Action) -> str:
        shown = copy(action)
        shown.option_strings = [name for name in action.option_strings if name.startswith("--")][:1]
        return super()._format_action_invocation(shown)

    def _get_type_str(self, action: Action) -> str | None:
        kind = super()._get_type_str(action)
        # choices stand behind the name
        return None if kind is None or "Literal[" in kind else re.sub(r"<class '(\w+)'>", r"\1", kind)


class Help(_HelpAction):
    """Prints the options that most people want; `--help all` prints every one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nargs, self.metavar = "?", "all"

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        if values not in (None, "all"):
            raise InputError(f"--help is {values!r}; it has to be all, or to stand alone")
        (parser if values or not parser.first else parser.of_first(namespace)).print_help()
        parser.exit()


class Parser(ArgumentParser):
    """A parser that complains in one line, which names the nearest option; it takes no abbreviations.

    The type of an option says how it is written: true or false can stand alone (`--overwrite`), and several
    paths follow one another (`--run A B`).

    Attributes:
        first: The options that `--help` shows, in this order; all where it is empty.
    """

    first: Sequence[str] = ()
    _needed: frozenset[str] = frozenset()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, add_help=False, formatter_class=HelpFormatter, **kwargs)
        self.add_argument("--help", "-h", action=Help, default=SUPPRESS, help="Show this help and exit.")

    def of_first(self, given: Any) -> Parser:
        """Returns a parser of the first options alone, to print its help, with what is given as defaults."""
        parser = copy(self)
        parser.first = ()
        options = _ArgumentGroup(self, "options")
        for name in self.first:
            action = copy(self._option_string_actions[f"--{name}"])
            action.default, action.required = given.get(action.dest, action.default), name in self._needed
            options._group_actions.append(action)
        parser._action_groups = [options]  # type: ignore[list-item]
        parser.epilog = "--help all shows every option."
        return parser

    def _take_short_forms(self) -> None:
        if not self._needed:  # while parsing nothing is marked as required
            self._needed = frozenset(a.dest for a in self._actions if a.required and a.default is None)
        for action in self._actions:
            kind = getattr(action, "_typehint", None)
            if bool in (kind, *get_args(kind)):
                action.nargs, action.const = "?", True
            elif {list[Path], list[Path | str]} & {kind, *get_args(kind)}:
                # an address, such as s3://bucket, is no path
                action._typehint = Path if list[Path] in (kind, *get_args(kind)) else str  # type: ignore[attr-defined]
                action.nargs = "+"
                action.metavar = "PATH"

    def parse_args(self, args: Any = None, *others: Any, **kwargs: Any) -> Any:
        self._take_short_forms()
        refuse_empty_paths(args or (), path_options(self))
        return super().parse_args(args, *others, **kwargs)

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        self._take_short_forms()
        return super().format_help(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        parser = getattr(ex, "subcommand_parser", None) or self
        raise InputError(explain(message, option_names(parser)))


def option_names(parser: ArgumentParser) -> list[str]:
    """Returns every option of a parser and of its subcommands, without dashes."""
    names: list[str] = []
    for action in parser._actions:
        names += [option.lstrip("-") for option in action.option_strings if option.startswith("--")]
        for child in (getattr(action, "_name_parser_map", None) or {}).values():
            names += option_names(child)
    return sorted(set(names))


def path_options(parser: ArgumentParser) -> set[str]:
    """Returns the options of a parser and of its subcommands that name files or folders, without dashes."""
    names: set[str] = set()
    for action in parser._actions:
        kind = str(getattr(action, "_typehint", ""))
        # one that can be an address or a name, too, is text
        is_text = {"--output", "--init"} & set(action.option_strings)
        if re.search(r"\bPath\b", kind) or action.metavar == "PATH" or is_text:
            names |= {option.lstrip("-") for option in action.option_strings}
        for child in (getattr(action, "_name_parser_map", None) or {}).values():
            names |= path_options(child)
    return names


def refuse_empty_paths(words: Sequence[str], paths: Collection[str]) -> None:
    """Raises InputError for an empty path, as an unset variable of a shell gives, which is no folder "."."""
    option = ""
    for word in words:
        if word.startswith("--"):
            option, sign, word = word[2:].partition("=")
            if not sign:  # its value is another word
                continue
        if not word and option in paths:
            raise InputError(f"{option} is empty; name a path, or leave the option out")


def explain(message: str, options: Sequence[str]) -> str:
    """Returns jsonargparse's message as one line: which option, what is wrong with it, what was near."""
    line = " ".join(message.split())
    if found := re.search(r"nrecognized arguments: (\S+)", line):
        word = found[1]
        if not word.startswith("-"):
            return f"{word!r} is one word too many: options are written --name value"
        return no_option(word.lstrip("-").partition("=")[0], options)
    if found := re.search(r"Subcommand '\w+' does not accept option '([^']+)'", line):
        return f"in the configuration: {no_option(found[1], options)}"
    if found := re.search(r"Group '([^']+)' does not accept option '([^']+)'", line):
        return no_option(f"{found[1]}.{found[2]}", options)
    if found := re.search(r"[Kk]ey '([^']+)' is not expected", line):
        return no_option(found[1], options)
    if found := re.search(r"arguments are required: (.+)", line):
        names = [name.strip().lstrip("-") for name in found[1].split(",")]
        return f"needs {', '.join(f'--{name}' if name in options else name.upper() for name in names)}"
    if found := re.match(r'Parser key "([^"]+)": ?(.*)', line):
        return _complained(found[1], found[2])
    return line


def no_option(name: str, options: Sequence[str]) -> str:
    """Returns one line on an option that there is not, which names the nearest of those that there are."""
    near = get_close_matches(name, options, n=1, cutoff=0.5)
    # one without its group: beam_size for decoding.beam_size
    ending = [option for option in options if option.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
    best = near or ending[:1]
    return f"no option {name!r}; " + (f"the nearest is {best[0]!r}" if best else "--help lists them all")


def _complained(option: str, complaint: str) -> str:
    # of several complaints the first names what is wrong inside of a list
    value = re.search(r"(?:Got|Given) value: (.*?)(?: - Expected .*)?$", complaint)
    expected = re.findall(r"Expected an? (<class '\w+'>|typing\.Literal\[.*?\])", complaint)
    if value is None or not expected:
        # it repeats itself from here on
        return f"{option}: {complaint.partition(' - Parser key')[0]}"
    wanted: list[str] = []
    for kind in expected:
        choices = ast.literal_eval(kind.removeprefix("typing.Literal")) if "Literal" in kind else None
        wanted += [KINDS.get(kind, kind)] if choices is None else [str(choice) for choice in choices]
    return wrong_value(option, value[1], wanted)


def wrong_value(option: str, value: str, wanted: Sequence[str]) -> str:
    """Returns one line on what an option cannot be; `wanted` are kinds, such as a number, or choices."""
    *others, last = dict.fromkeys(wanted)
    near = get_close_matches(value, [w for w in wanted if w not in KINDS.values()], n=1)
    return (
        f"{option} is {value!r}; it has to be {', '.join(others)}{' or ' if others else ''}{last}"
        f"{f'; the nearest is {near[0]!r}' if near else ''}"
    )


def with_config(argv: Sequence[str], default: Path) -> list[str]:
    """Returns the arguments with a configuration: those named, the checkpoint's run's, or the default.

    One that comes with the package can be named as in `configs/` from any folder. InputError, with the line,
    where a named file is no configuration.
    """
    command, *rest = argv
    named = given_values(rest, "--config", "-c")
    for name in named:
        # what is no file is left to the parser to refuse
        if (file := find_config(name)) is not None:
            read_config(file)
            parts = [argument.rpartition("=") for argument in rest]
            rest = [f"{a}{b}{file if value == name else value}" for a, b, value in parts]
    if named:
        return [command, *rest]
    config = default
    for checkpoint in given_values(rest, "--ckpt_path")[-1:]:
        folder = run_folder_of(Path(checkpoint)) if Path(checkpoint).is_file() else None
        config = folder / "config.yaml" if folder else default
    return [command, "--config", str(config), *rest]


def given_values(arguments: Sequence[str], *option: str) -> list[str]:
    """Returns the values given to an option by any of its names; a missing value is empty."""
    following = [*arguments[1:], ""]
    parted = [argument.partition("=") for argument in arguments]
    return [
        value if sign else after
        for (name, sign, value), after in zip(parted, following, strict=False)
        if name in option
    ]


def find_config(name: str) -> Path | None:
    """Returns the file that `--config` names: one's own, or one of the package; None for none."""
    shipped = CONFIGS.parent / name
    if Path(name).is_file():
        return Path(name)
    return shipped if CONFIGS in shipped.parents and shipped.is_file() else None


def read_config(path: Path) -> dict[str, Any]:
    """Returns what a configuration says; InputError, with the line, where it is none."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: is no configuration; write options by name, such as data: {{root: DIR}}")
    return content


def has_part(config: Mapping[str, Any], part: str) -> bool:
    """Returns whether a configuration's model has a part of this name, such as painter."""
    model = config.get("model")
    return isinstance(model, dict) and part in model


def configures(words: Sequence[str], part: str) -> bool:
    """Returns whether a configuration that the words name describes a model with such a part."""
    files = map(find_config, given_values(words, "--config", "-c"))
    return any(has_part(read_config(file), part) for file in files if file is not None)


def run_folder_of(checkpoint: Path) -> Path | None:
    """Returns RUN of RUN/checkpoints/x.ckpt, or None for a checkpoint that stands alone."""
    folder = checkpoint.resolve().parent.parent
    return folder if (folder / "config.yaml").is_file() else None


def check_trainer(options: Any) -> None:
    """Raises InputError where an option of Lightning's trainer would end in a traceback or be ignored.

    Args:
        options: The configuration's `trainer`.
    """
    above = ["accumulate_grad_batches", "check_val_every_n_epoch"]
    if isinstance(options.val_check_interval, int | float):  # else a time, such as 00:10:00
        above.append("val_check_interval")
    least = ("min_epochs", "min_steps", "gradient_clip_val", "log_every_n_steps")
    check_ranges(options, "trainer", positive=tuple(above), not_negative=least)
    check_at_least(-1, **{"trainer.num_sanity_val_steps": options.num_sanity_val_steps})


def take_seed(config: Any, argv: Sequence[str]) -> None:
    """Lets `seed_everything` seed the initial weights and dropout, unless these have a seed of their own.

    Args:
        config: Options of a command, with `model` among them.
        argv: What was written on the command line.
    """
    given, training = config.seed_everything, config.model.training
    if isinstance(given, bool) or training.seed or given_values(argv, "--model.training.seed"):
        return
    training.seed = given or 0


def take_options(given: Any, stored: Mapping[str, Mapping[str, Any]]) -> None:
    """Lets a checkpoint decide options of the model, and says so where the configuration differs.

    Args:
        given: Groups of the configuration, which are changed.
        stored: Groups of the checkpoint.
    """
    for group, options in stored.items():
        for name, value in options.items():
            if given[group].get(name) != value:
                print(f"note: model.{group}.{name} is {value!r}, as in the checkpoint")
                given[group][name] = value
