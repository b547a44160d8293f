"""The language model's report: what it shows, that it is one safe file, and its errors for what is no run."""

import json
import math
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
import yaml

from modules.language.surprise import TextReader, Unit
from pipelines.language.report import choose_samples, write_report
from pipelines.language.report_surprise import CONTEXT, PASSAGE, surprise_section
from pipelines.language.report_units import MOST_VARIABLE, unit_section
from pipelines.language.runs import Sample
from pipelines.text import main
from tests.pipelines.language.tiny_language_models import TEXT, save, tiny_model
from tests.pipelines.pages import Page, log

pytestmark = pytest.mark.usefixtures("one_thread")
HELD_OUT = TEXT * 8


def make_run(folder, model=None, **files):
    """A run folder: checkpoint, held-out text and what else is given, by the names of the files."""
    save(model or tiny_model(), folder / "checkpoints" / "best.ckpt")
    contents = {"held_out.txt": HELD_OUT} | {
        name.replace("_json", ".json"): text for name, text in files.items()
    }
    for name, text in contents.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A complete run; its report is written."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "python" / "version_0")
    scores = {"bits_per_char": 1.875, "perplexity": 3.67, "loss": 1.3}
    metrics = {
        "split": "test",
        "scores": scores,
        "baselines": {"unigram": 4.625, "5-gram": 2.25},
        "seconds": {"fit": 241},
        "checkpoint": "best.ckpt",
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    samples = [{"iteration": i, "prompt": "def ", "text": f"sample{i}"} for i in (100, 300, 700, 2000)]
    lines = [json.dumps(row) + "\n" for row in [*samples, {**samples[-1], "text": "written again"}]]
    (folder / "samples.jsonl").write_text("".join(lines) + '{"iteration": 30')
    config = {"model": {"decoder": {"cell": "lstm"}}, "data": {"file": "x.txt"}, "trainer": {"max_steps": 9}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    steps = range(0, 300, 50)
    curves = {"train/loss": 3.0, "val/loss": 2.5, "val/bits_per_char": 2.0}
    log(folder, {tag: {s: top - s / 300 for s in steps} for tag, top in curves.items()})
    assert write_report(folder) == folder / "report.html"
    return folder


def test_it_shows_scores_baselines_run_curves_and_samples(run):
    page = Page(run / "report.html")
    for text in (
        "python/version_0",
        "1.875",
        "of the test split",
        "4.625",
        "2.250",
        "3.67",
        "unigram",
        "5-gram",
    ):
        assert text in page.text
    bars = page.text[page.text.index("equally probable ones") :]
    order = [bars.index(system) for system in ("this run 1.875", "5-gram 2.250", "unigram 4.625", "uniform")]
    assert order == sorted(order)
    for text in ("fit 4 min 01 s", "cell lstm", "file x.txt", "max_steps 9", "Iteration 2,000", "sample300"):
        assert text in page.text
    assert "written again" in page.text and "sample2000" not in page.text  # the last of a step counts
    assert sum(tag == "svg" for tag, _ in page.tags) == 2
    for heading in ("What single units respond to", "Where the bits go", "The most surprising passages"):
        assert heading in page.text


def test_one_self_contained_file(run):
    page = Page(run / "report.html")
    assert len(page.html) < 1_000_000
    for tag, attrs in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "img")
        for name in ("src", "href", "xlink:href", "action"):
            assert attrs.get(name, "#").startswith("#")
    assert not re.search(r"@import|url\((?!#)", page.html)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert not list(run.glob(".report*"))


def test_the_same_run_gives_the_same_page(run):
    assert (run / "report.html").read_bytes() == write_report(run).read_bytes()


def test_markup_in_texts_samples_and_names_is_text(tmp_path):
    evil = "<script>alert(1)</script>"
    run = make_run(tmp_path / "<b>run", tiny_model(TEXT + evil + "☃"))
    (run / "held_out.txt").write_text(f"{evil} {TEXT}" * 10)
    (run / "samples.jsonl").write_text(json.dumps({"iteration": 1, "prompt": evil, "text": evil}) + "\n")
    (run / "metrics.json").write_text(
        json.dumps({"split": evil, "baselines": {evil: 1.0}, "checkpoint": evil})
    )
    (run / "config.yaml").write_text(yaml.safe_dump({"data": {"file": f"{evil} {{{{ 7 * 7 }}}}"}}))
    page = Page(write_report(run))
    assert "<script" not in page.html and "<b>run" not in page.html
    assert page.text.count(evil) >= 6 and "{{ 7 * 7 }}" in page.text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", ["", "a", "\n\n", "The cat", "☃☃\n", "x" * 900])
def test_small_and_odd_texts(tmp_path, text):
    run = make_run(tmp_path)
    (run / "held_out.txt").write_text(text)
    page = Page(write_report(run))
    assert ("What surprises the model" in page.text) == bool(text)


def test_only_the_checkpoint_must_be_there(tmp_path, capsys):
    run = make_run(tmp_path)
    (run / "held_out.txt").unlink()
    assert main(["report", "--run", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report.html")
    page = Page(run / "report.html")
    assert "there are no scores" in page.text and "Learning curves" not in page.text


@pytest.mark.parametrize("options", [{"level": "word"}, {"level": "byte"}, {"kind": "fixed_window"}], ids=str)
def test_other_models(tmp_path, options):
    page = Page(write_report(make_run(tmp_path, tiny_model(**options))))
    assert ("single units" in page.text) == ("kind" not in options)
    assert f"The most surprising {options.get('level', 'character')}s" in page.text


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("metrics.json", "{", "is no JSON"),
        ("metrics.json", "[]", "is no JSON object"),
        ("config.yaml", "a: [\n", "is no YAML"),
        ("config.yaml", "text", "holds no options"),
        ("held_out.txt", b"a\n\xff", ":2: is not UTF-8"),
        ("checkpoints/best.ckpt", b"PK no", "no readable checkpoint"),
    ],
)
def test_a_wrong_file_is_named_and_the_old_report_stays(tmp_path, capsys, name, content, cause):
    run = make_run(tmp_path)
    (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (run / "report.html").write_text("old")
    assert main(["report", "--run", str(run)]) == 2
    err = capsys.readouterr().err
    assert cause in err and name in err and err.strip().count("\n") == 0
    assert (run / "report.html").read_text() == "old"


def test_a_folder_that_is_no_run(tmp_path, capsys):
    for folder, cause in ((tmp_path, "this is no run"), (tmp_path / "absent", "no such folder")):
        assert main(["report", "--run", str(folder)]) == 2
        assert cause in capsys.readouterr().err


# ---- its parts


def test_samples_are_thinned_to_a_few_with_first_and_last():
    samples = [Sample(i, "", "") for i in range(0, 5001, 50)]
    chosen = [sample.iteration for sample in choose_samples(samples)]
    assert len(chosen) <= 8 and chosen[0] == 0 and chosen[-1] == 5000 and chosen == sorted(set(chosen))
    assert choose_samples(samples[:5]) == samples[:5]


def test_the_unit_that_was_made_for_capitals_is_found_and_shown():
    words = np.random.default_rng(0).choice(
        ["He ", "That ", "She ", "says ", "nothing ", "at ", "all\n"], 200
    )
    text = "".join(words)
    model = tiny_model(text, hidden_size=6, layers=1, cell="rnn", embedding_size=0)
    capitals, rnn = [model.codec.encode(letter)[0] for letter in "HTS"], model.decoder.rnn.cells[0]
    with torch.no_grad():
        for weight in (rnn.weight_ih, rnn.weight_hh, rnn.bias_ih, rnn.bias_hh):
            weight.zero_()
        # unit 4 is on for a capital letter, off for all others; the other units are silent
        rnn.weight_ih[3, capitals], rnn.bias_ih[3] = 6.0, -3.0
    section = unit_section(model.decoder, model.codec, text)
    assert section.units == 6 and section.characters == len(text)
    name, match = section.matches[0]
    assert (name, match.feature, match.unit) == ("layer 1, unit 4", "capital letter", 3)
    assert match.correlation == pytest.approx(1, abs=1e-3) and match.chance < 0.3
    first, *others = section.pictures
    assert first.match == match and len(others) == MOST_VARIABLE
    assert set(re.findall('<span class="p[^>]*>(.*?)</span>', first.passage)) == {"H", "T", "S"}
    assert f"\n{plain(first.passage)}" in f"\n{text}" and plain(first.passage).endswith("\n")


def plain(html: str) -> str:
    return re.sub("<[^>]*>", "", html)


def units_of(costs: list[tuple[str, float]]) -> list[Unit]:
    return [Unit(text, -bits * math.log(2), bits, "e", math.log(0.5)) for text, bits in costs]


def test_bits_are_shared_out_among_kinds():
    text = 'if a1:\n    "Word"'
    section = surprise_section(units_of([(c, 2.0 if c.isalpha() else 1.0) for c in text]), "character")
    kinds = {kind.name: kind for kind in section.kinds}
    counts = {
        "first letter of a word": 3,
        "second letter": 2,
        "third and later letters": 2,
        "digit": 1,
        "blank within a line": 1,
        "line break and indentation": 5,
        "punctuation and symbols": 3,
    }
    assert {name: round(kind.share * len(text)) for name, kind in kinds.items()} == counts
    assert kinds["second letter"].mean_bits == 2 and kinds["digit"].mean_bits == 1
    assert sum(kind.share_of_bits for kind in section.kinds) == pytest.approx(1)
    assert section.kinds[0].share_of_bits == max(kind.share_of_bits for kind in section.kinds)


def test_the_most_surprising_are_found_and_do_not_overlap():
    rng = np.random.default_rng(0)
    lines = [f"line number {i:03} has some words in it and then it ends\n" for i in range(200)]
    hot = {40: 6.0, 41: 6.0, 150: 20.0}
    costs = [(c, hot.get(i, 1.0) + rng.random() / 10) for i, line in enumerate(lines) for c in line]
    costs[5000] = (costs[5000][0], 25.0)
    section = surprise_section(units_of(costs), "character")
    first, second = section.passages[:2]
    assert "number 150" in plain(first.text) and "number 040" in plain(second.text)
    spans = sorted((p.offset, p.offset + PASSAGE // 2) for p in section.passages)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    text = "".join(lines)
    assert section.unexpected[0].bits == 25.0 and section.unexpected[0].text == text[5000].replace(" ", "␣")
    assert section.unexpected[0].before == text[5000 - CONTEXT : 5000].replace("\n", "↵")
    assert [row.bits for row in section.unexpected] == sorted((bits for _, bits in costs), reverse=True)[:12]


def test_bytes_of_one_character_are_surprising_together():
    model = tiny_model(level="byte")
    reader = TextReader(model.codec, model.decoder)
    section = surprise_section(reader.push("aé語😀") + reader.flush(), "byte")
    assert {round(kind.share * 4) for kind in section.kinds} == {1}
    assert plain(section.beginning) == "aé語😀"


def test_tunes_are_played_inside_the_page_and_counted(tmp_path):
    pytest.importorskip("music21")
    shares = {"tunes": 100, "parse": 0.93, "fill_metre": 0.71, "end_on_tonic": 0.62, "copied": 0.03}
    metrics = {"tunes": {"composed": shares, "real": shares | {"fill_metre": 0.88}}}
    texts = {100: "CC", 300: "X:1\nK:C\nCDEF|GABc|\n\nX:1\nK:C\nrest", 700: "X:1\nK:C\nq"}
    samples = [json.dumps({"iteration": n, "prompt": "", "text": text}) + "\n" for n, text in texts.items()]
    make_run(tmp_path, metrics_json=json.dumps(metrics))
    (tmp_path / "samples.jsonl").write_text("".join(samples))
    page = Page(write_report(tmp_path))
    (sound,) = [attrs["src"] for tag, attrs in page.tags if tag == "audio"]
    assert sound.startswith("data:audio/wav;base64,") and len(sound) < 300_000
    assert "No tune yet: 'q' is no note" in page.text
    assert "fill the metre in every bar 71.0 % 88.0 %" in page.text
