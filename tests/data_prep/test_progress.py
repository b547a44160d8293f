"""Where there is no terminal, long work is told in lines, and short work not at all."""

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
    told = "drawing 25 %\ndrawing 50 %\ndrawing 75 %\nreading 1,200\n"
    assert out == "" and err == (told if visible else "")
