"""complete: that what it proposes has true probabilities and reads well."""

import json
import math
from itertools import product

import pytest
import torch

from modules.language.completion import complete as most_probable
from modules.language.continuation import read_prompt
from modules.language.surprise import TextReader
from pipelines.language import complete as completing
from pipelines.language.complete import boundary
from pipelines.text import main
from tests.pipelines.language.tiny_language_models import never_known, save, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")


def run(command, path, capsys, *arguments):
    assert main([command, "--ckpt_path", str(path), *arguments]) == 0
    return capsys.readouterr().out


def total(model, text: str) -> float:
    """Log-probability of a text from its beginning."""
    reader = TextReader(model.codec, model.decoder)
    reader.push(text)
    reader.flush()
    return reader.score.log_prob


def all_continuations(model, prompt: str, length: int) -> dict[str, float]:
    """Log-probability of every next word of up to so many characters and the end after it, by enumeration."""
    units = model.codec.vocabulary.words[4:]
    before, found = total(model, prompt), {}
    for size in range(1, length + 1):
        for characters in product(units, repeat=size):
            text = "".join(characters)
            inside = [c.isalnum() for c in text]
            if any(inside) and inside == sorted(inside):  # blanks, then letters
                ends = [total(model, prompt + text + end) for end in units if not end.isalnum()]
                found[text] = float(torch.tensor(ends).logsumexp(0)) - before
    return found


def test_completions_have_the_probabilities_of_exhaustive_enumeration(tmp_path, capsys):
    model = tiny_model("ab \n", hidden_size=4)
    path = save(model, tmp_path / "model.ckpt")
    options = ("--prompt", "a", "--n", "6", "--max_length", "4", "--beam_size", "1000", "--json")
    printed = json.loads(run("complete", path, capsys, *options))
    wanted = all_continuations(model, "a", 3)
    rows = [row for row in printed["completions"] if row["finished"]]
    assert printed["exact"] and rows
    for row in rows:
        assert row["log_prob"] == pytest.approx(wanted[row["text"]], abs=1e-4)
        assert row["probability"] == pytest.approx(math.exp(row["log_prob"]))
    listed = {row["text"] for row in rows}
    last = printed["completions"][-1]["log_prob"]
    assert all(value <= last + 1e-4 for text, value in wanted.items() if text not in listed)
    log_probs = [row["log_prob"] for row in printed["completions"]]
    assert log_probs == sorted(log_probs, reverse=True) and len(listed) == len(rows)


@pytest.mark.parametrize("level", ["character", "word", "byte"])
def test_lines_end_before_their_line_break(level, tmp_path, capsys):
    model = tiny_model("ab b\nb a\n" * 3, level)
    path = save(model, tmp_path / "model.ckpt")
    printed = json.loads(run("complete", path, capsys, "--prompt", "b", "--until", "line", "--json"))
    for row in printed["completions"]:
        assert "\n" not in row["text"]
        if row["finished"] and "\ufffd" not in row["text"] and level != "word":
            wanted = total(model, f"b{row['text']}\n") - total(model, "b")
            assert row["log_prob"] == pytest.approx(wanted, abs=1e-4)


def test_two_completions_that_read_the_same_are_one():
    model = tiny_model(level="byte")
    found = most_probable(
        model.decoder.step,
        torch.full((1, 260), -20.0).index_fill(1, torch.tensor([0x80 + 4, 0x81 + 4]), 0.0),
        model.decoder.init_state(1),
        boundary(model.codec, "word")._replace(ends_after=torch.ones(260, dtype=torch.bool)),
        n=2,
        beam_size=5,
        max_length=3,
    )
    (row,) = completing._distinct(model.codec, read_prompt(model.codec, ""), found)
    assert row["text"] == "\ufffd" and row["probability"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("n", [1, 10, 40])
@pytest.mark.parametrize("until", ["word", "line"])
def test_as_many_are_listed_as_were_asked_for_though_many_bytes_read_the_same(n, until, tmp_path, capsys):
    path = save(tiny_model(level="byte"), tmp_path / "model.ckpt")
    options = ("--prompt", "de", "--until", until, "--n", str(n), "--max_length", "6", "--json")
    rows = json.loads(run("complete", path, capsys, *options))["completions"]
    assert len(rows) == n == len({(row["text"], row["finished"]) for row in rows})


def test_a_search_that_finds_fewer_says_so(checkpoint, capsys):
    printed = run("complete", checkpoint, capsys, "--n", "90", "--max_length", "1")
    assert "search found 31 of 90" in " ".join(printed.split())


def test_a_prompt_from_a_file_is_the_prompt_without_its_last_line_break(checkpoint, tmp_path, capsys):
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"\xef\xbb\xbfdef f(x):\r\n    r\r\n")
    given = run("complete", checkpoint, capsys, "--prompt_file", str(file), "--json")
    assert json.loads(given)["prompt"] == "def f(x):\n    r"
    assert given == run("complete", checkpoint, capsys, "--prompt", "def f(x):\r\n    r", "--json")
    assert "f(x):↵    r" in run("complete", checkpoint, capsys, "--prompt_file", str(file))


def test_the_table_shows_prompt_and_probabilities_as_text(checkpoint, capsys):
    printed = run("complete", checkpoint, capsys, "--prompt", "def f(x) <b>", "--n", "3")
    assert printed.count("def f(x) <b>") == 3 and printed.count("%") == 4 and "together" in printed


@pytest.mark.parametrize("level", ["character", "word"])
def test_the_mark_of_unknown_units_is_never_proposed(level, tmp_path, capsys):
    for row in json.loads(run("complete", never_known(level, tmp_path), capsys, "--json"))["completions"]:
        assert "<unk>" not in row["text"] and "\ufffd" not in row["text"]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--prompt", "☃"], "'☃'"),
        (["--n", "0"], "n is 0"),
        (["--beam_size", "0"], "beam_size is 0"),
        (["--until", "wort"], "'word'"),
        (["--prompt_file", "absent.txt"], "absent.txt: no such file"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(checkpoint, capsys, arguments, cause):
    assert main(["complete", *arguments, "--ckpt_path", str(checkpoint)]) == 2
    out, err = capsys.readouterr()
    assert cause in err and err.count("\n") == 1 and out == ""
