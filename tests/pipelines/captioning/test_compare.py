"""The `compare` command: what is trained, taken up again, and shown; and what only training shows."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.caption import main
from pipelines.captioning import compare as comparing
from pipelines.output_files import written_by_one
from pipelines.reports.curves import read_curves
from tests.pipelines.captioning.conftest import DEBUG, ROOT
from tests.pipelines.pages import Page


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--kinds", "adaptive,topdown"], "kinds: there is no decoder 'topdown'; there are show_attend_tell"),
        (["--seeds", "0,one"], "seeds: 'one' is no whole number"),
        (["--seeds", "4294967296"], "seeds: '4294967296' is no whole number from 0 to 4294967295"),
    ],
)
def test_what_cannot_be_compared_is_one_line(given, said, tmp_path, capsys):
    assert main(["compare", *given, "--output", str(tmp_path / "out")]) == 2
    *_, error = capsys.readouterr().err.splitlines()  # perhaps after a note that it is loading
    assert error.startswith(f"error: {said}")
    assert not (tmp_path / "out").exists()


def test_a_reward_that_the_hard_row_cannot_have_is_refused_before_any_fit(tmp_path, capsys):
    config = tmp_path / "rewarded.yaml"
    config.write_text("model: {training: {reinforce_epochs: 1}}")
    output = tmp_path / "out"
    given = ["--config", str(config), "--data.root", str(tmp_path), "--output", str(output)]
    assert main(["compare", *given, "--kinds", "adaptive,show_attend_tell_hard"]) == 2
    assert "leave show_attend_tell_hard out with --kinds adaptive" in capsys.readouterr().err
    assert not output.exists()


def test_only_the_hard_row_is_hard_whatever_the_configuration_says():
    hard = {name: words[words.index("--model.decoder.hard") + 1] for name, words in comparing.FAMILY.items()}
    assert hard == {name: "true" if name.endswith("_hard") else "false" for name in comparing.FAMILY}


def test_a_table_of_other_options_is_left_as_it_is(tmp_path, capsys):
    table = tmp_path / "compare.jsonl"
    table.write_text(json.dumps({"kind": "adaptive", "seed": "0", "settings": "others"}) + "\n")
    before = table.read_bytes()
    given = ["compare", "--config", str(DEBUG), "--data.root", str(tmp_path), "--output", str(tmp_path)]
    assert main(given) == 2
    assert "holds a comparison with other options; choose another --output" in capsys.readouterr().err
    assert table.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["compare.jsonl"]


def stand_in(monkeypatch, folder):
    """Replaces what takes time: a fit leaves the files of a finished one, and nothing is shown."""
    fitted = []

    def fit(arguments):
        name = arguments[arguments.index("--name") + 1]
        run = folder / "fits" / "caption" / name / "version_0"
        (run / "checkpoints").mkdir(parents=True)
        (run / "metrics.json").write_text(
            json.dumps({"scores": {}, "intervals": {}, "controls": {}, "seconds": {"fit": 1}})
        )
        fitted.append(name)
        return SimpleNamespace(ending=SimpleNamespace(asked=False))

    monkeypatch.setattr(comparing, "CaptionCLI", fit)
    monkeypatch.setattr(comparing.Captioner, "load", lambda path: None)
    monkeypatch.setattr(comparing, "_summary", lambda *_: {})
    monkeypatch.setattr(comparing, "_table", lambda rows: "")
    monkeypatch.setattr(comparing, "_images", lambda *_: [])
    monkeypatch.setattr(comparing, "write_page", lambda *_, **__: "page")
    return fitted


def test_a_row_is_written_once_whatever_is_asked_for_twice_or_was_cut_off(tmp_path, monkeypatch, capsys):
    fitted, table = stand_in(monkeypatch, tmp_path), tmp_path / "compare.jsonl"
    given = ["compare", "--config", str(DEBUG), "--data.root", str(tmp_path), "--output", str(tmp_path)]
    assert main([*given, "--kinds", "att2in, adaptive,att2in", "--seeds", "0,0,00"]) == 0
    whole = table.read_bytes()
    assert main([*given, "--kinds", "adaptive,att2in", "--seeds", "0"]) == 0
    assert fitted == ["att2in-0", "adaptive-0"] and table.read_bytes() == whole
    # killed while it wrote a row
    table.write_bytes(whole[:-40])
    shutil.rmtree(tmp_path / "fits")
    assert main([*given, "--kinds", "att2in,adaptive", "--seeds", "0"]) == 0
    assert fitted == ["att2in-0", "adaptive-0", "adaptive-0"] and table.read_bytes() == whole

    with written_by_one(table, "output"):
        assert main(given) == 2
    assert "is being written by another command" in capsys.readouterr().err and table.read_bytes() == whole


def test_each_seed_has_an_order_of_batches_of_its_own(tmp_path, monkeypatch):
    stand_in(monkeypatch, tmp_path)
    fit, fits = comparing.CaptionCLI, []
    monkeypatch.setattr(comparing, "CaptionCLI", lambda words: fits.append(words) or fit(words))
    given = ["compare", "--config", str(DEBUG), "--data.root", str(tmp_path), "--output", str(tmp_path)]
    assert main([*given, "--kinds", "adaptive", "--seeds", "0,7"]) == 0
    for option in ("--data.seed", "--model.training.seed", "--seed_everything"):
        assert [words[words.index(option) + 1] for words in fits] == ["0", "7"]


@pytest.mark.slow
def test_a_killed_comparison_goes_on_with_the_fit_it_was_killed_in(captioned_folder, tmp_path, capsys):
    config, out = tmp_path / "slowly.yaml", tmp_path / "out"
    slowly = "trainer:\n  callbacks:\n    - tests.pipelines.slow.Slowly\n"
    config.write_text(
        DEBUG.read_text().replace("trainer:\n", slowly).replace("max_epochs: 2", "max_epochs: 4")
    )
    given = ["compare", "--config", str(config), "--data.root", str(captioned_folder), "--output", str(out)]
    given += ["--kinds", "show_and_tell,adaptive", "--seeds", "0"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "pipelines" / "caption.py"), *given],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    run = out / "fits" / "caption" / "adaptive-0" / "version_0"
    last, deadline = run / "checkpoints" / "last.ckpt", time.monotonic() + 300
    while not last.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, process.stderr.read().decode()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (run / "metrics.json").exists()
    first = (out / "compare.jsonl").read_text()

    assert main(given) == 0
    printed = capsys.readouterr().out
    assert "adaptive-0: goes on" in printed and "show_and_tell-0" not in printed
    table = (out / "compare.jsonl").read_text()
    rows = [json.loads(line) for line in table.splitlines()]
    assert table.startswith(first) and [row["kind"] for row in rows] == ["show_and_tell", "adaptive"]
    assert rows[1]["run"] == str(run)
    steps = list(read_curves(run)["val/loss"].steps)
    assert steps == list(read_curves(Path(rows[0]["run"]))["val/loss"].steps) and len(steps) == 4
    assert main(given) == 0
    assert (out / "compare.jsonl").read_text() == table and ": goes on" not in capsys.readouterr().out


@pytest.mark.slow
def test_all_decoders_are_trained_once_a_seed_and_shown_on_a_page(captioned_folder, tmp_path, capsys):
    config = tmp_path / "one.yaml"
    config.write_text(DEBUG.read_text().replace("max_epochs: 2", "max_epochs: 1"))
    given = ["compare", "--config", str(config), "--data.root", str(captioned_folder)]
    given += ["--output", str(tmp_path / "out")]
    kinds = ["show_attend_tell", "show_and_tell", "adaptive", "att2in", "top_down", "show_attend_tell_hard"]
    assert main([*given, "--seeds", "0", "--kinds", "adaptive,show_and_tell"]) == 0
    capsys.readouterr()
    assert main([*given, "--seeds", "0,1"]) == 0
    printed = capsys.readouterr().out
    assert "adaptive-0: begins" not in printed and "adaptive-1: begins" in printed
    assert all(kind in printed for kind in kinds)
    rows = [json.loads(line) for line in (tmp_path / "out" / "compare.jsonl").read_text().splitlines()]
    assert sorted((row["kind"], row["seed"]) for row in rows) == sorted((k, s) for k in kinds for s in "01")
    assert len({row["run"] for row in rows}) == 12

    page = Page(tmp_path / "out" / "compare.html")
    assert all(kind in page.text for kind in kinds) and "constant caption" in page.text
    articles = sum(tag == "article" for tag, _ in page.tags)
    assert articles == 10 or articles == len(page.images(".jpg"))
    assert len(page.images("attention for")) > 4 * articles

    config.write_text(config.read_text().replace("hidden_size: 32", "hidden_size: 8"))
    assert main(given) == 2
    assert "holds a comparison with other options; choose another --output" in capsys.readouterr().err
