"""The `compare` command: what is trained, taken up again, and shown; and what only training shows."""

import json

import pytest

from pipelines.caption import main
from tests.pipelines.captioning.conftest import DEBUG
from tests.pipelines.pages import Page


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--kinds", "adaptive,topdown"], "kinds: there is no decoder 'topdown'; there are show_attend_tell"),
        (["--seeds", "0,one"], "seeds: 'one' is no whole number"),
    ],
)
def test_what_cannot_be_compared_is_one_line(given, said, tmp_path, capsys):
    assert main(["compare", *given, "--output", str(tmp_path / "out")]) == 2
    *_, error = capsys.readouterr().err.splitlines()  # perhaps after a note that it is loading
    assert error.startswith(f"error: {said}")
    assert not (tmp_path / "out").exists()


def test_a_table_of_other_options_is_left_as_it_is(tmp_path, capsys):
    table = tmp_path / "compare.jsonl"
    table.write_text(json.dumps({"kind": "adaptive", "seed": "0", "settings": "others"}) + "\n")
    before = table.read_bytes()
    given = ["compare", "--config", str(DEBUG), "--data.root", str(tmp_path), "--output", str(tmp_path)]
    assert main(given) == 2
    assert "holds a comparison with other options; choose another --output" in capsys.readouterr().err
    assert table.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["compare.jsonl"]


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
