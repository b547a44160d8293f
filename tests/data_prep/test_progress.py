"""Where there is no terminal, long work is told in lines, and short work not at all."""

import re

import pytest

from data_prep import progress
from data_prep.progress import counting_bar, tracked


def test_short_work_leaves_no_trace_in_a_log(capsys):
    assert list(tracked(range(3), "drawing")) == [0, 1, 2]
    with counting_bar("frames") as bar:
        task = bar.add_task("reading", total=2)
        bar.advance(task)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("visible", [True, False])
def test_long_work_is_told_on_stderr(visible, capsys, monkeypatch):
    monkeypatch.setattr(progress, "SPEAKS_EVERY", 0.0)
    assert list(tracked(iter("abc"), "drawing", 4, visible)) == ["a", "b", "c"]
    with counting_bar("frames", visible) as bar:
        task = bar.add_task("reading", total=None)
        bar.update(task, advance=1200)
    out, err = capsys.readouterr()
    told = "drawing 1 of 4\ndrawing 2 of 4\ndrawing 3 of 4\nreading 1,200\n"
    assert out == "" and re.sub(r", \d+:\d\d:\d\d left", "", err) == (told if visible else "")


def test_of_work_of_a_night_every_line_says_more_than_the_one_before(capsys, monkeypatch):
    clock = iter(range(0, 10**6, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with counting_bar("images") as bar:
        bar.get_time = lambda: float(next(clock))
        task = bar.add_task("captioning", total=50_000)
        for _ in range(12):
            bar.advance(task, 32)
    lines = capsys.readouterr().err.splitlines()
    assert len(set(lines)) == len(lines) > 2
    assert re.fullmatch(r"captioning \d+ of 50,000, \d+:\d\d:\d\d left", lines[-1])
