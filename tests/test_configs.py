"""Every configuration says what to expect of it, and its program takes it."""

import re
import shlex

import pytest

from tests.commands import ROOT, parse

CONFIGS = sorted(ROOT.glob("configs/*/*.yaml"))
FIELDS = ("Score", "Time", "Special")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def header(path):
    """Returns the comments that a file begins with, without their marks."""
    lines = path.read_text().split("\n")
    return [line[2:] for line in lines[: next(n for n, line in enumerate(lines) if not line.startswith("#"))]]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_header_gives_command_score_time_and_what_is_special(path):
    title, command, blank, *rest = header(path)
    assert title.endswith(":") and not blank
    known = [match for line in rest if (match := re.match(r"(\w+): +(\S.*)", line))]
    assert [match[1] for match in known[: len(FIELDS)]] == list(FIELDS)
    score, time, _ = (match[2] for match in known[: len(FIELDS)])
    assert re.search(r"\d", score) or score == "not measured"
    assert re.search(r"(second|minute| s\b|min\b)", time) or time.startswith("not measured")

    python, *words = shlex.split(command.replace("FILE_OR_DIR", "FILE"))
    assert python == "python"
    config = path.relative_to(ROOT).as_posix()
    if config not in words:  # the door chooses it by itself
        assert words[:2] == [f"pipelines/{path.parent.name}.py", "fit"]
    parse(words)
    parse([*words[:2], "--config", config, *words[2:]])


def test_there_are_configurations():
    assert len(CONFIGS) >= 16
