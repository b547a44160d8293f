"""Options of a model that the chosen kind does not read: refused by name, not ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_type_hints

import yaml

from modules.errors import InputError


def settle_unread(model: Any, model_class: Any, files: Sequence[Any]) -> None:
    """Refuses an option that is given and that the chosen kind does not read.

    Where the command line chooses another kind than the configuration file, what the file gives for its own
    kind goes back to the default instead.

    Args:
        model: The options by group, as parsed; they are changed.
        model_class: Its arguments are the groups. The dataclass of a group says in `chosen_by` which option
            chooses, and in `read_by` what reads an option that not all read.
        files: The configuration files, in the order in which they were read.

    Raises:
        InputError: An option is not at its default, and the chosen kind does not read it.
    """
    for group, options in get_type_hints(model_class.__init__).items():
        readers = getattr(options, "read_by", {})
        if not readers:
            continue
        chooser, given = options.chosen_by, model[group]
        kind, written = given[chooser], _written(files, group)
        defaults = {field.name: field.default for field in fields(options)}
        is_of_another = written.get(chooser, defaults[chooser]) != kind
        for name, kinds in readers.items():
            value = given[name]
            if kind in kinds or value == defaults[name]:
                continue
            plain = list(value) if isinstance(value, tuple) else value
            if is_of_another and name in written and written[name] == plain:
                given[name] = defaults[name]
                continue
            what = group if chooser == "kind" else chooser
            raise InputError(
                f"model.{group}.{name} is {plain}; the {kind} {what} has no such option; it is read by "
                f"{', '.join(kinds)}"
            )


def _written(files: Sequence[Any], group: str) -> dict[str, Any]:
    """Returns what the files say of a group of the model's options."""
    written: dict[str, Any] = {}
    for file in files:
        model = (yaml.safe_load(file.get_content()) or {}).get("model") or {}
        written |= model.get(group) or {}
    return written
