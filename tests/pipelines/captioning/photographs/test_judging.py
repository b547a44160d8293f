"""`score --images` and `match`: sentences and photographs set beside one another by a captioner."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from modules.captioning.captioner import Captioner
from pipelines.caption import main
from pipelines.captioning.photographs.recall import recall

SENTENCE = "a red circle"


@pytest.fixture
def photographs(captioned_folder):
    return captioned_folder / "images"


@pytest.fixture
def best(finished_run):
    return finished_run / "checkpoints" / "best.ckpt"


@pytest.fixture
def predictions(captioned_folder, tmp_path):
    """Returns a file of captions that people could have written, of the first ten photographs."""
    rows = [json.loads(line) for line in (captioned_folder / "captions.jsonl").read_text().splitlines()][:10]
    path = tmp_path / "out.jsonl"
    path.write_text(
        "".join(json.dumps({"image": r["image"], "caption": r["captions"][0]}) + "\n" for r in rows)
    )
    return path


@pytest.fixture
def run(best, capsys):
    """Returns a function that runs a command and gives its JSON."""

    def run(command, *arguments):
        assert main([command, *map(str, arguments), "--ckpt_path", str(best), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def refused(best, capsys):
    """Returns a function that runs a command which has to fail, and gives its one line."""

    def refused(command, *arguments, checkpoint=best):
        assert main([command, *map(str, arguments), "--ckpt_path", str(checkpoint)]) == 2
        err = capsys.readouterr().err
        *others, line = err.splitlines()  # warnings and a bar of progress may stand before it
        assert line.startswith("error: ") and not any(each.startswith("error") for each in others)
        return line

    return refused


def test_a_fit_keeps_a_mean_image_in_its_best_checkpoint(best):
    kept = Captioner.load(best).agreement
    assert kept.mean_image.shape == (4, 288) and kept.g[1] > 0 and kept.log_cider[1] > 0
    assert "optimizer_states" in torch.load(best, weights_only=True)


def test_agreement_without_references(run, predictions, photographs):
    found = run("score", "--predictions", predictions, "--images", photographs)
    values = [each["agreement"] for each in found["per_image"].values()]
    assert len(values) == found["agreement_images"] == 10 and "bleu4" not in found
    assert found["agreement"] == pytest.approx(sum(values) / 10)
    low, high = found["intervals"]["agreement"]
    assert low < found["agreement"] < high and found["judge_is_writer"] is False


def test_agreement_beside_references(run, predictions, photographs, captioned_folder, tmp_path, best):
    subset = tmp_path / "list.txt"
    subset.write_text(
        "".join(f"{json.loads(line)['image']}\n" for line in predictions.read_text().splitlines())
    )
    given = ["--predictions", predictions, "--images", photographs, "--subset", subset]
    found = run("score", *given, "--references", captioned_folder / "captions.jsonl")
    assert set(found["intervals"]) >= {"cider_d", "agreement", "agreement_cider"} and found["images"] == 10
    alone = run("score", *given)
    assert found["agreement"] == pytest.approx(alone["agreement"])
    one = next(iter(found["per_image"].values()))
    assert set(one) == {"agreement", "agreement_cider"} and set(found["per_image"]) == set(alone["per_image"])


def test_a_judge_that_wrote_the_captions_is_named(best, photographs, tmp_path, capsys):
    given = ["--images", str(photographs), "--ckpt_path", str(best)]
    output = tmp_path / "own.jsonl"
    assert main(["predict", *given, "--output", str(output), "--num_workers", "0"]) == 0
    assert main(["score", *given, "--predictions", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "The judge wrote these captions itself" in printed
    assert "fits least:" in printed and "agreement" in printed


def test_a_fit_and_its_report_have_the_agreement_of_its_own_captions(
    run, finished_run, photographs, tmp_path
):
    metrics = json.loads((finished_run / "metrics.json").read_text())
    low, high = metrics["intervals"]["agreement"]
    assert low <= metrics["scores"]["agreement"] <= high
    lines = (finished_run / "predictions.jsonl").read_text().splitlines()
    # the same figures as score gives
    references = finished_run / "predictions.jsonl"
    given = ["--predictions", references, "--images", photographs.parent]
    found = run("score", *given)
    assert found["agreement"] == pytest.approx(metrics["scores"]["agreement"], abs=1e-5)
    rows = {row["image"]: row for row in map(json.loads, lines)}
    for image, each in found["per_image"].items():
        assert rows[image]["agreement"] == pytest.approx(each["agreement"], abs=1e-5)
        assert "agreement_cider" in rows[image]
    html = (finished_run / "report.html").read_text()
    assert "Agreement with the photographs" in html and f"{metrics['scores']['agreement']:.3f}" in html
    assert "flatters them" in html and html.count("· agreement ") > 1


def test_what_is_wrong_with_agreement_is_one_line(refused, predictions, photographs, finished_run, tmp_path):
    given = ["--predictions", predictions]
    assert "needs --references FILE, --images DIR or both" in refused("score", *given)
    assert "no such file or folder" in refused("score", *given, "--images", tmp_path / "absent")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.jpg").write_text("no picture")
    line = refused("score", *given, "--images", tmp_path / "other")
    assert "10 of 10 captioned images are not in" in line and "--images" in line
    line = refused("match", "--images", tmp_path / "other", "--text", SENTENCE)
    assert "none of the 1 files is an image" in line
    old = torch.load(finished_run / "checkpoints" / "best.ckpt", weights_only=True)
    del old["mean_image"]
    torch.save(old, tmp_path / "old.ckpt")
    for command in (["score", *given], ["match", "--text", SENTENCE]):
        line = refused(*command, "--images", photographs, checkpoint=tmp_path / "old.ckpt")
        assert "old.ckpt: has no mean image" in line and "fit --ckpt_path" in line


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_photographs_of_any_name_are_found(suffix, photographs, tmp_path, best, run, capsys):
    names = [
        *(" a.jpg", "a.jpg", "a.jpg ", "\u2028b\u2028c.jpg", "d\x1b[31m.jpg", "e\nf.jpg", "g\rh.jpg"),
        *('"i".jpg', "j,k.jpg", "l\\m.jpg", "n\udcff.jpg", "Ü/o.jpg", "p\u202egpj.jpg"),
    ]
    folder = tmp_path / "any"
    (folder / "Ü").mkdir(parents=True)
    for name, photograph in zip(names, sorted(photographs.iterdir()), strict=False):
        shutil.copy(photograph, folder / name)
    (folder / "q\x1b[31m\n.jpg").write_text("no picture")
    output = tmp_path / f"out.{suffix}"
    given = ["predict", "--images", str(folder), "--output", str(output), "--ckpt_path", str(best)]
    assert main([*given, "--num_workers", "0"]) == 0
    (warning,) = capsys.readouterr().err.splitlines()[-1:]
    assert warning == "warning: q�[31m�.jpg: is no image in a known format"
    found = run("score", "--predictions", output, "--images", folder)
    assert found["agreement_images"] == len(names)
    ranked = run("match", "--images", folder, "--text", SENTENCE)
    assert {row["image"] for row in ranked["photographs"]} == set(names)


def test_a_long_name_stays_on_its_line_in_a_pipe(photographs, tmp_path, best, monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    folder = tmp_path / "/".join(["long"] * 30)
    folder.mkdir(parents=True)
    shutil.copy(next(photographs.iterdir()), folder / "a.png")
    given = ["match", "--images", str(tmp_path), "--text", SENTENCE, "--ckpt_path", str(best)]
    assert main(given) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[1] == f"{'long/' * 30}a.png"


def test_photographs_are_ranked_by_a_sentence(run, photographs, predictions):
    found = run("match", "--images", photographs, "--text", SENTENCE, "--limit", "60")["photographs"]
    values = [row["agreement"] for row in found]
    assert len(found) == 60 and values == sorted(values, reverse=True) and values[0] > values[-1]
    # the same figure as of a caption
    predictions.write_text(json.dumps({"image": found[7]["image"], "caption": SENTENCE}))
    scored = run("score", "--predictions", predictions, "--images", photographs)
    assert scored["agreement"] == pytest.approx(values[7], abs=1e-5)


def test_recall_both_ways_beside_controls(
    run, photographs, captioned_folder, refused, tmp_path, capsys, best
):
    references = captioned_folder / "captions.jsonl"
    given = ["--images", photographs, "--references", references]
    found = run("match", *given)
    assert found["count"] == 60 and found["sentences"]["chance"] == {
        "1": 1 / 60,
        "5": 5 / 60,
        "10": 10 / 60,
        "median_rank": 30.5,
    }
    for ways in (found["sentences"], found["photographs"]):
        values = ways["agreement"]
        assert 0 <= values["1"] <= values["5"] <= values["10"] <= 1 and 1 <= values["median_rank"] <= 60
    assert set(found["sentences"]) == {"agreement", "log_p", "chance"}
    assert main(["match", *map(str, given), "--ckpt_path", str(best)]) == 0
    printed = capsys.readouterr().out
    assert "Recall among 60" in printed and "at 10" in printed and "chance" in printed
    assert "needs --text SENTENCE to rank by, or" in refused("match", "--images", photographs)
    assert "has both --text and --references" in refused("match", *given, "--text", SENTENCE)
    assert "open: shows the photographs of --text" in refused("match", *given, "--open")
    (tmp_path / "one.jsonl").write_text(references.read_text().splitlines()[0])
    line = refused("match", "--images", photographs, "--references", tmp_path / "one.jsonl")
    assert "has sentences of 1 of the 60 files" in line


def test_recall_counts_equal_scores_as_better():
    scores = torch.tensor([[3.0, 1, 2], [1, 2, 3], [5, 5, 5]])
    found = recall(scores)
    assert found["1"] == pytest.approx(1 / 3) and found["5"] == 1 and found["median_rank"] == 2


@pytest.mark.parametrize(
    ("text", "said"), [("", "it has no word"), ("🐶", "has no word"), ("zebra quagga", "knows no word")]
)
def test_a_sentence_without_a_known_word_is_one_line(refused, photographs, text, said):
    assert said in refused("match", "--images", photographs, "--text", text)


def test_a_page_of_what_fits(run, photographs):
    page = run("match", "--images", photographs, "--text", f"{SENTENCE} zebra", "--limit", "3", "--open")[
        "page"
    ]
    html = Path(page).read_text(encoding="utf-8")
    assert html.count("data:image/jpeg") == 3 and "the best 3 of 60 photographs" in html
