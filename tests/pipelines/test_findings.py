"""The commands that a fit prints at its end can be copied."""

import re
import shlex

import pytest

from pipelines.findings import print_next
from tests.commands import parse
from tests.pipelines.golden import GOLDEN


@pytest.mark.parametrize("task", ["captioning", "steering", "language"])
def test_what_a_fit_offers_next_is_a_command(task):
    ending = (GOLDEN / task / "fit_ending.txt").read_text()
    offered = re.findall(r"^(?:next )?seqsight (\w+) (.*)$", ending, re.MULTILINE)
    assert offered
    for door, words in offered:
        parse([f"pipelines/{door}.py", *shlex.split(words)])


def test_the_door_is_the_one_that_was_called_and_a_path_with_blanks_one_word(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["pipelines/text.py", "fit"])
    print_next("text", ["sample"], "my runs/best.ckpt")
    assert capsys.readouterr().out.split() == shlex.split(
        'next python pipelines/text.py sample --ckpt_path "\'my" "runs/best.ckpt\'"'
    )
