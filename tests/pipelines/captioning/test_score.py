"""The `score` command as a table and as JSON."""

import json

import pytest
from rich.console import Console

from modules.errors import InputError
from modules.metrics.captions import METRICS, CaptionScorer
from modules.metrics.diversity import n_best_scores
from pipelines.caption import main
from pipelines.captioning.prediction_rows import write_rows
from pipelines.captioning.score import controls_as_dict, remarks, score, scores_table

REFERENCES = {
    "1.jpg": ["A dog runs on the grass.", "a brown dog running"],
    "2.jpg": ["Two cats sit on a mat.", "two cats on the mat"],
    "3.jpg": ["a man rides a red bicycle"],
}
CAPTIONS = {"1.jpg": "a dog runs on a mat", "2.jpg": "two cats sit on the mat", "3.jpg": "a man rides a dog"}


@pytest.fixture
def files(tmp_path):
    predictions, references = tmp_path / "out.jsonl", tmp_path / "token.txt"
    rows = [json.dumps({"image": image, "caption": caption}) for image, caption in CAPTIONS.items()]
    predictions.write_text("\n".join(rows))
    lines = [f"{image}#{i}\t{text}" for image, texts in REFERENCES.items() for i, text in enumerate(texts)]
    references.write_text("\n".join(lines))
    return predictions, references


def rendered(table):
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_json_is_one_object_with_the_scores(files, capsys):
    score(*files, json=True)
    printed = json.loads(capsys.readouterr().out)
    scorer = CaptionScorer(REFERENCES)
    scores = scorer.score(CAPTIONS).as_dict()
    assert {name: printed[name] for name in scores} == pytest.approx(scores)
    assert set(printed) == {*scores, "intervals", "controls"}
    assert list(printed)[:7] == [*METRICS, "images"]
    assert printed["controls"] == controls_as_dict(scorer.controls(CAPTIONS))
    assert printed["controls"]["constant"]["caption"] in CAPTIONS.values()
    assert all(low <= high for low, high in printed["intervals"].values())


def test_table_shows_the_scores_beside_the_controls(files, capsys):
    score(*files)
    printed = capsys.readouterr().out
    scorer = CaptionScorer(REFERENCES)
    controls = scorer.controls(CAPTIONS)
    row = next(line for line in printed.splitlines() if "BLEU-2" in line)
    for scores in (scorer.score(CAPTIONS), controls["constant"][1], controls["shuffled"]):
        assert f"{scores.bleu2:.3f}" in row
    for word in ("CIDEr-D", "ROUGE-L", "images", "distinct captions", "vocabulary used", "mean length"):
        assert word in printed


def test_a_subset_restricts_the_scoring(files, tmp_path, capsys):
    subset = tmp_path / "list.txt"
    subset.write_text("1.jpg\n2.jpg\n")
    score(*files, subset=subset, json=True)
    assert json.loads(capsys.readouterr().out)["images"] == 2


def test_a_missing_image_is_an_error_and_nothing_is_printed(files, capsys):
    predictions, references = files
    predictions.write_text(predictions.read_text().replace("2.jpg", "x.jpg"))
    with pytest.raises(InputError, match=r"lacks 1 of the 3 captioned images: x\.jpg"):
        score(predictions, references, json=True)
    assert capsys.readouterr().out == ""


def test_a_caption_is_no_markup_in_the_table():
    references = {"1": ["[bold]a :dog:[/bold]"], "2": ["a cat"]}
    captions = dict.fromkeys(references, "[/red] a :dog:")
    scorer = CaptionScorer(references)
    table = scores_table(scorer.score(captions), scorer.controls(captions), scorer.bootstrap(captions))
    assert "[/red] a :dog:" in rendered(table)


def test_one_image_alone_has_a_table_without_a_shuffled_control():
    scorer = CaptionScorer({"1": ["a dog"]})
    scores, controls = scorer.score({"1": "a dog"}), scorer.controls({"1": "a dog"})
    text = rendered(scores_table(scores, controls, scorer.bootstrap({"1": "a dog"})))
    row = next(line for line in text.splitlines() if "BLEU-1" in line)
    assert row.split("│")[-2].strip() == "-"
    assert "shuffled" not in controls_as_dict(controls)


def test_what_the_scores_do_not_say_is_said(files, tmp_path, capsys):
    score(*files)
    assert "no better" not in capsys.readouterr().out
    # each caption is another image's
    dealt = dict(zip(CAPTIONS, [*list(CAPTIONS.values())[1:], next(iter(CAPTIONS.values()))], strict=True))
    scorer = CaptionScorer(REFERENCES)
    blind = controls_as_dict(scorer.controls(dealt))
    (said,) = remarks(len(dealt), scorer.score(dealt).as_dict(), scorer.bootstrap(dealt), blind)
    assert said.startswith(
        "The captions are no better than captions written without a look at the image: CIDEr-D"
    )
    assert "Try more images" in said
    one = {"a.jpg": "a dog runs"}
    scorer = CaptionScorer({"a.jpg": ["a dog runs"]})
    blind = controls_as_dict(scorer.controls(one))
    (said,) = remarks(1, scorer.score(one).as_dict(), scorer.bootstrap(one), blind)
    assert "single image is 0 by definition" in said


@pytest.mark.parametrize("unsegmented", ["p.jsonl", "r.csv"])
def test_captions_without_blanks_between_words_are_told(unsegmented, tmp_path, capsys):
    thai, words = "สุนัขสีน้ำตาลวิ่งบนหญ้า", "สุนัข วิ่ง บน หญ้า"
    said = {name: thai if name == unsegmented else words for name in ("p.jsonl", "r.csv")}
    rows = [{"image": image, "caption": said["p.jsonl"]} for image in ("a", "b")]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lines = [f"{image},{said['r.csv']}" for image in ("a", "b")]
    (tmp_path / "r.csv").write_text("\n".join(["image,caption", *lines]), encoding="utf-8")
    paths = [str(tmp_path / name) for name in said]
    assert main(["score", "--predictions", paths[0], "--references", paths[1]]) == 0
    error = capsys.readouterr().err
    assert error.count("Thai captions without blanks") == 1 and f"WARNING: {tmp_path / unsegmented}:" in error


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_several_captions_an_image_are_scored_for_their_best_and_their_difference(tmp_path, capsys, suffix):
    references = {"a.jpg": ["a dog runs on grass"], "b.jpg": ["two men on a bike"], "c.jpg": ["a red ball"]}
    said = {"a.jpg": ["a cat", "a dog runs on grass"], "b.jpg": ["a man", "two men"], "c.jpg": ["a red ball"]}
    lines = [json.dumps({"image": image, "captions": texts}) for image, texts in references.items()]
    (tmp_path / "references.jsonl").write_text("\n".join(lines))
    predictions = tmp_path / f"out{suffix}"
    rows = [{"image": i, "caption": t[0], "captions": t, "score": -1.0} for i, t in said.items()]
    write_rows(predictions, rows, suffix[1:])
    files = predictions, tmp_path / "references.jsonl"
    score(*files, json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["n_best"] == n_best_scores(CaptionScorer(references), said)
    assert found["n_best"]["oracle_cider_d"] > found["cider_d"]
    score(*files)
    assert "Up to 2 captions of each image" in capsys.readouterr().out
