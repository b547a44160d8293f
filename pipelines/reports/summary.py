"""What a run was: its name and its options, a line a part."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.reports.page import duration


def run_name(folder: Path) -> str:
    """Experiment and version: scenes/version_0."""
    return "/".join(folder.resolve().parts[-2:])


def arguments(section: Any) -> dict[str, Any]:
    """A section's options, whether or not it names its class."""
    if not isinstance(section, dict):
        return {}
    return section.get("init_args") or {} if "class_path" in section else section


def describe(section: Any) -> str:
    """One line: the class's name, then its options that are set."""
    if not isinstance(section, dict):
        return "" if section is None else str(section)
    name = str(section.get("class_path", "")).rsplit(".", 1)[-1]
    options = [
        f"{key} {describe(value) if isinstance(value, dict) else value}"
        for key, value in arguments(section).items()
        if value is not None and value != [] and value != {}
    ]
    return ": ".join(part for part in (name, ", ".join(options)) if part)


def summary_rows(parts: Mapping[str, Any], seconds: Any) -> list[tuple[str, str]]:
    """What was run, as (label, text); parts that hold nothing are left out.

    Args:
        parts: Sections of the configuration, or texts, by their labels.
        seconds: Durations by what took them, as metrics.json has them.
    """
    times = [f"{part.replace('_', ' ')} {duration(spent)}" for part, spent in (seconds or {}).items()]
    rows = [(label, describe(part)) for label, part in parts.items()] + [("Time", ", ".join(times))]
    return [(label, text) for label, text in rows if text]


def run_parts(config: Mapping[str, Any], metrics: Mapping[str, Any], *groups: str) -> dict[str, Any]:
    """What a run was, for `summary_rows`: its data, groups of its model, training and checkpoint.

    Args:
        config: Of the run.
        metrics: Of metrics.json.
        groups: Of the model, in their order.
    """
    model, trainer = arguments(config.get("model")), arguments(config.get("trainer"))
    kept = {key: trainer[key] for key in ("max_epochs", "max_steps", "precision") if trainer.get(key)}
    return {
        "Data": config.get("data"),
        **{group.capitalize(): model.get(group) for group in groups},
        "Training": kept | arguments(model.get("training")),
        "Checkpoint": metrics.get("checkpoint"),
    }
