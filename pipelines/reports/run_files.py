"""Reads what the run folders of all applications hold: metrics.json and config.yaml."""

from pathlib import Path
from typing import Any

from data_prep.input_files import read_json, read_yaml
from modules.errors import InputError


def existing_run(folder: Path) -> Path:
    """The folder itself; InputError where there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the run folder that fit printed")
    return folder


def read_metrics(folder: Path) -> dict[str, Any]:
    """What metrics.json holds, nothing where the run has none yet."""
    path = folder / "metrics.json"
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: is no JSON object; write it again with test")
    return content


def read_config(folder: Path) -> dict[str, Any]:
    """What config.yaml holds, nothing where there is none."""
    path = folder / "config.yaml"
    if not path.is_file():
        return {}
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no options; restore the file that fit wrote")
    return content


def config_text(folder: Path) -> str:
    """The run's config.yaml as it is, "" where there is none."""
    path = folder / "config.yaml"
    return path.read_text(encoding="utf-8") if path.is_file() else ""
