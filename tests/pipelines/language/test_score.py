"""score: sums that add up, a page that is safe, and files that are no text."""

import csv
import json
import math

import pytest
import torch

from pipelines.language import score as scoring_text
from pipelines.text import main
from tests.pipelines.language.tiny_language_models import TEXT, save, tiny_model
from tests.pipelines.pages import Page

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(tiny_model(), tmp_path_factory.mktemp("tiny") / "model.ckpt")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT * 8, encoding="utf-8")
    return path


def score(path, file, capsys, *arguments):
    assert main(["score", "--ckpt_path", str(path), "--file", str(file), *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("level", ["character", "word", "byte"])
def test_the_score_is_a_sum_over_log_softmaxes(level, file, tmp_path, capsys):
    model = tiny_model(level=level)
    printed = score(save(model, tmp_path / "model.ckpt"), file, capsys)
    text = file.read_text(encoding="utf-8")
    ids = torch.tensor([model.codec.encode("\n" + text)])
    with torch.no_grad():
        logits, _ = model.decoder(ids[:, :-1], model.decoder.init_state(1))
    wanted = float(logits[0].double().log_softmax(1).gather(1, ids[:, 1:].T).sum())
    assert printed["log_prob"] == pytest.approx(wanted, rel=1e-5)
    assert printed["bits_per_char"] == pytest.approx(-wanted / math.log(2) / len(text), rel=1e-5)
    assert printed["perplexity"] == pytest.approx(math.exp(-wanted / (ids.shape[1] - 1)), rel=1e-4)
    assert (printed["characters"], printed["units"]) == (len(text), ids.shape[1] - 1)
    assert (printed["level"], printed["unknown_units"]) == (level, 0)
    possible = int((~model.decoder.output.never).sum())
    uniform = math.log2(possible) * printed["units"] / len(text)
    assert printed["baselines"] == {"uniform": pytest.approx(uniform)}


def test_a_model_that_learns_as_it_reads_stands_beside_itself(checkpoint, file, tmp_path, capsys):
    kept = score(checkpoint, file, capsys)
    page = tmp_path / "page.html"
    learning = score(checkpoint, file, capsys, "--dynamic", "0.5", "--html", str(page))
    assert learning["bits_per_char"] < kept["bits_per_char"]
    assert learning["baselines"] == kept["baselines"] | {"weights kept": pytest.approx(kept["bits_per_char"])}
    assert f"weights kept {kept['bits_per_char']:.3f}" in page.read_text()
    asked = ["score", "--ckpt_path", str(checkpoint), "--file", str(file), "--dynamic"]
    assert main([*asked, "0.5"]) == 0
    assert "WARNING" not in capsys.readouterr().err
    assert main([*asked, "500"]) == 0
    assert "made the text less probable; try less than --dynamic 500" in capsys.readouterr().err
    assert main([*asked, "-1"]) == 2
    assert "dynamic is -1.0; it has to be 0 or more, such as 0.5" in capsys.readouterr().err


@pytest.mark.parametrize("level", ["character", "word"])
def test_reading_in_small_parts_changes_nothing(level, file, tmp_path, capsys, monkeypatch):
    path = save(tiny_model(level=level), tmp_path / "model.ckpt")
    whole = score(path, file, capsys)
    monkeypatch.setattr(scoring_text, "PART", 7)
    parts = score(path, file, capsys)
    assert parts.pop("log_prob") == pytest.approx(whole.pop("log_prob"), rel=1e-6)
    for name in ("perplexity", "bits_per_char"):
        assert parts.pop(name) == pytest.approx(whole.pop(name), rel=1e-6)
    assert parts == whole


@pytest.mark.parametrize("level", ["character", "word", "byte"])
def test_the_rows_of_the_csv_add_up_to_the_text_and_its_score(level, file, tmp_path, capsys):
    file.write_text(TEXT + 'Unseen zebras, "q";\n  ', encoding="utf-8")
    path = save(tiny_model(level=level), tmp_path / "model.ckpt")
    printed = score(path, file, capsys, "--per_token", str(tmp_path / "units.csv"))
    rows = rows_of(tmp_path / "units.csv")
    assert len(rows) == printed["units"]
    assert "".join(row["text"] for row in rows) == file.read_text(encoding="utf-8")
    assert sum(float(row["log_prob"]) for row in rows) == pytest.approx(printed["log_prob"], rel=1e-6)
    bits = sum(float(row["bits"]) for row in rows)
    assert bits == pytest.approx(printed["bits_per_char"] * printed["characters"], rel=1e-4)
    offset = 0
    for row in rows:
        assert int(row["offset"]) == offset
        offset += len(row["text"])
    assert (printed["unknown_units"] > 0) == (level != "byte")


def test_units_without_a_probability_have_none_in_the_csv(file, tmp_path, capsys):
    file.write_text("The ☃ cat", encoding="utf-8")
    path = save(tiny_model(unknown=False), tmp_path / "model.ckpt")
    printed = score(path, file, capsys, "--per_token", str(tmp_path / "units.csv"))
    rows = rows_of(tmp_path / "units.csv")
    assert [row["log_prob"] == "" for row in rows] == [c == "☃" for c in "The ☃ cat"]
    assert (printed["unknown_units"], printed["scored_units"]) == (1, 8)
    assert main(["score", "--ckpt_path", str(path), "--file", str(file)]) == 0
    assert "1 of 9 characters, left out" in " ".join(capsys.readouterr().out.split())


def test_the_page_holds_the_text_and_nothing_that_runs(file, tmp_path, capsys):
    evil = "<script>alert('x')</script>\n\"onclick=\"&amp; \x1b[1m\n"
    file.write_text(TEXT + evil, encoding="utf-8")
    named = file.rename(tmp_path / "<b>text.txt")
    page_path = tmp_path / "page.html"
    score(save(tiny_model(), tmp_path / "model.ckpt"), named, capsys, "--html", str(page_path))
    page = Page(page_path)
    assert "<script" not in page.html and "<b>text" not in page.html and "\x1b" not in page.html
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert not any(tag in ("script", "link", "iframe", "img") for tag, _ in page.tags)
    assert "".join(page.texts).count(TEXT) == 1 and "<script>alert('x')</script>" in "".join(page.texts)
    titles = [attrs["title"] for _, attrs in page.tags if "title" in attrs]
    assert titles and all("bits; expected" in title for title in titles)


def test_a_long_text_is_shown_in_part(file, tmp_path, capsys, checkpoint, monkeypatch):
    monkeypatch.setattr(scoring_text, "UNITS_ON_PAGE", 100)
    score(checkpoint, file, capsys, "--html", str(tmp_path / "page.html"))
    page = Page(tmp_path / "page.html")
    assert f"The first 100 of {len(TEXT) * 8:,} characters are shown." in page.text
    assert TEXT in "".join(page.texts) and TEXT * 2 not in "".join(page.texts)


def test_figures_of_the_runs_own_text_stand_apart_from_those_of_the_file(file, tmp_path, capsys):
    run = tmp_path / "run"
    path = save(tiny_model(), run / "checkpoints" / "best.ckpt")
    (run / "config.yaml").write_text("name: x")
    metrics = {"scores": {"bits_per_char": 2.125}, "baselines": {"unigram": 4.321, "5-gram": 2.5}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert main(["score", "--ckpt_path", str(path), "--file", str(file)]) == 0
    printed = capsys.readouterr().out
    table, legend = printed.split("└")
    assert all(text in table for text in ("bits per character", "perplexity per character", "uniform"))
    assert not any(text in table for text in ("4.321", "2.500", "gram", "2.125"))
    told = " ".join(legend.split())
    assert "another text, the run's own held-out one: this model 2.125, unigram 4.321, 5-gram 2.500" in told
    result = score(path, file, capsys, "--html", str(tmp_path / "page.html"))
    assert list(result["baselines"]) == ["uniform"]
    assert result["held_out"] == {"this model": 2.125, "unigram": 4.321, "5-gram": 2.5}
    assert "held-out one: this model 2.125, unigram" in Page(tmp_path / "page.html").text


def test_other_encodings(tmp_path, checkpoint, capsys):
    text = TEXT.replace("\n", "\r\n")
    plain = tmp_path / "plain.txt"
    plain.write_text(TEXT, encoding="utf-8")
    wanted = score(checkpoint, plain, capsys)["log_prob"]
    for encoding, options in (("utf-16", ()), ("utf-8-sig", ()), ("latin-1", ("--encoding", "latin-1"))):
        file = tmp_path / encoding
        file.write_bytes(text.encode(encoding))
        assert score(checkpoint, file, capsys, *options)["log_prob"] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (bytes(range(256)) * 40, "is no text (binary)"),
        (b"fine\nfine\nb\xe9d", ":3: byte"),
        ("☃語".encode(), "is known to the model"),
    ],
)
def test_what_is_no_text_is_one_line_and_leaves_no_file(data, cause, tmp_path, capsys):
    path = save(tiny_model(unknown=False), tmp_path / "model.ckpt")
    (tmp_path / "old.csv").write_text("old")
    file = tmp_path / "input"
    file.write_bytes(data)
    outputs = ("--per_token", str(tmp_path / "old.csv"), "--html", str(tmp_path / "p.html"), "--overwrite")
    assert main(["score", "--ckpt_path", str(path), "--file", str(file), *outputs]) == 2
    out, err = capsys.readouterr()
    assert cause in err and err.count("\n") == 1 and out == "" and "data.encoding" not in err
    assert (tmp_path / "old.csv").read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"model.ckpt", "old.csv", "input"}


def test_wrong_paths_are_refused_before_anything_is_read(file, tmp_path, checkpoint, capsys):
    (tmp_path / "there.csv").write_text("old")
    before = file.read_bytes()
    for arguments, cause in [
        (("--file", str(tmp_path / "absent")), "no such file"),
        (("--file", str(tmp_path)), "is a folder"),
        (("--file", str(file), "--per_token", str(file), "--overwrite"), "is read or written already"),
        (("--file", str(file), "--html", str(tmp_path)), "is a folder"),
        (("--file", str(file), "--per_token", str(tmp_path / "there.csv")), "exists already"),
        (("--file", str(file), "--html", f"{file}/page.html"), "is a file, and a folder"),
        (("--file", str(file), "--encoding", "utf-9"), "encoding is 'utf-9'"),
    ]:
        assert main(["score", "--ckpt_path", str(checkpoint), *arguments]) == 2
        out, err = capsys.readouterr()
        assert cause in err and err.count("\n") == 1 and out == ""
    assert (tmp_path / "there.csv").read_text() == "old" and file.read_bytes() == before
