"""What makes two comparisons one, and tables that somebody has edited."""

import json
from types import SimpleNamespace

import pytest

from modules.errors import InputError
from pipelines.running.comparisons import compared_rows, one_process, settings_of

ROW = {"kind": "a", "seed": "0", "settings": "s", "run": "r", "checkpoint": "c", "scores": {"cider_d": 0.5}}


def rows_of(output, settings="s", fit=None):
    return compared_rows(output, "caption", ["0"], {"a": settings}, ["scores"], fit)


def test_a_comment_is_no_other_option_and_a_value_is(tmp_path):
    config = tmp_path / "compare.yaml"
    config.write_text("trainer:\n  max_epochs: 2\nname: compare\n")
    words = ["fit", "--config", str(config)]
    before = settings_of(words)
    config.write_text("# measured since\nname: compare\ntrainer:\n  max_epochs: 2\n")
    assert settings_of(words) == before
    config.write_text("name: compare\ntrainer:\n  max_epochs: 3\n")
    assert settings_of(words) != before != settings_of([*words, "--data.root", "elsewhere"])


@pytest.mark.parametrize("name", ["kind", "checkpoint", "scores"])
def test_a_row_that_lacks_something_is_named_with_its_line(tmp_path, name):
    table = tmp_path / "compare.jsonl"
    lacking = {key: value for key, value in ROW.items() if key != name}
    table.write_text(json.dumps(ROW) + "\n" + json.dumps(lacking) + "\n")
    with pytest.raises(InputError, match=f":2: has no {name}; remove the line"):
        rows_of(tmp_path)


def test_a_whole_row_without_a_newline_stays_and_half_a_row_goes(tmp_path):
    table = tmp_path / "compare.jsonl"
    table.write_text(json.dumps(ROW))
    assert rows_of(tmp_path) == {("a", "0"): ROW}
    table.write_text(json.dumps(ROW) + "\n" + json.dumps(ROW)[:20])
    assert rows_of(tmp_path) == {("a", "0"): ROW}
    assert table.read_text() == json.dumps(ROW) + "\n"


def test_a_part_of_a_row_can_be_text(tmp_path):
    row = ROW | {"recorder": "challenge"}
    (tmp_path / "compare.jsonl").write_text(json.dumps(row) + "\n")
    found = compared_rows(tmp_path, "steer", ["0"], {"a": "s"}, ["recorder", "scores"], None)
    assert found == {("a", "0"): row}


def test_a_table_that_is_a_folder_is_said_before_anything_is_fitted(tmp_path):
    (tmp_path / "compare.jsonl").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        rows_of(tmp_path)


def test_a_fit_that_was_killed_is_not_taken_up_with_other_options(tmp_path):
    def killed(kind, seed, more):
        checkpoint = tmp_path / "fits" / "caption" / "a-0" / "version_0" / "checkpoints" / "last.ckpt"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        rows_of(tmp_path, fit=killed)
    with pytest.raises(InputError, match="other options"):
        rows_of(tmp_path, settings="others", fit=killed)


def test_a_fit_that_was_asked_to_end_gets_no_row(tmp_path):
    """The first Ctrl-C ends a fit politely, with a validation and metrics: it is not what was asked for."""

    def stopped(kind, seed, more):
        folder = tmp_path / "fits" / "caption" / "a-0" / "version_0"
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text('{"scores": {"cider_d": 0.1}}')
        (folder / "checkpoints" / "last.ckpt").touch()
        return SimpleNamespace(ending=SimpleNamespace(asked="--ckpt_path" not in more))

    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        rows_of(tmp_path, fit=stopped)
    assert not (tmp_path / "compare.jsonl").exists()
    rows = rows_of(tmp_path, fit=stopped)  # which goes on with it
    assert rows["a", "0"]["scores"] == {"cider_d": 0.1}


def test_a_fit_without_scores_is_one_line(tmp_path):
    def untested(kind, seed, more):
        return SimpleNamespace(ending=SimpleNamespace(asked=False))

    with pytest.raises(InputError, match=r"a-0: its fit was not tested, .* leave out trainer\.limit_test"):
        rows_of(tmp_path, fit=untested)


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (["fit", "--config", "a.yaml"], ["--trainer.devices", "1"]),
        (["fit", "--device", "cuda"], ["--trainer.devices", "1"]),
        (["fit", "--device", "cuda:1"], []),
    ],
)
def test_a_fit_stays_in_the_process_of_its_command(words, more):
    assert one_process(words) == more
