"""The captioning report: what it shows, that it is one safe file, and its errors for what is no run."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from modules.errors import InputError
from modules.whole_files import write_whole
from pipelines.captioning.attention import encoder_view
from pipelines.captioning.report import choose_examples, report, sentinel_lists, write_report
from pipelines.reports.curves import Curve, best_step, monitored_metric, read_curves
from pipelines.reports.page import duration
from tests.pipelines.pages import Page, log

COLOURS = ["red", "green", "blue", "brown", "white"]
THINGS = ["dog", "cat", "ball", "car"]


def make_rows(folder: Path, count: int = 20, words: int = 0) -> list[dict]:
    """Rows of predictions.jsonl for drawn pictures; every third caption is wrong, all have attention."""
    rng = np.random.default_rng(0)
    rows = []
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        colour, thing = COLOURS[i % 5], THINGS[i % 4]
        picture = np.full((90, 140, 3), 200, np.uint8)
        cv2.circle(picture, (20 + 5 * i, 45), 20, rng.integers(0, 256, 3).tolist(), -1)
        cv2.imwrite(str(folder / f"{i:02}.png"), picture)
        caption = f"a {colour} {thing} on the grass" if i % 3 else "a red dog on the floor"
        spoken = caption.split() if not words else (caption.split() * words)[:words]
        rows.append(
            {
                "image": f"{i:02}.png",
                "caption": caption,
                "score": -1.0,
                "references": [f"A {colour} {thing} lies on the grass.", f"the {thing} is {colour}"],
                "file": str(folder / f"{i:02}.png"),
                "split": "test",
                "words": spoken,
                "attention": {"grid": [3, 4], "alpha": rng.dirichlet(np.ones(12), len(spoken)).tolist()},
            }
        )
    return rows


def make_run(run: Path, rows: list[dict]) -> Path:
    run.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) for row in rows]
    (run / "predictions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A complete run; its report is written."""
    folder = tmp_path_factory.mktemp("runs")
    run = make_run(folder / "scenes" / "version_0", make_rows(folder / "pictures"))
    config = {
        "model": {"encoder": {"name": "lite0"}, "training": {"learning_rate": 0.001}},
        "trainer": {"max_epochs": 3, "max_steps": -1, "logger": {"class_path": "TensorBoardLogger"}},
        "data": {"class_path": "data_prep.captions.CaptionDataModule", "init_args": {"root": "photos"}},
        "checkpoint": {"monitor": "val/cider_d"},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    steps = range(0, 300, 50)
    log(run, {"train/loss": {s: 5 - s / 100 for s in steps}, "val/cider_d": {s: s / 300 for s in steps}})
    assert write_report(run) == run / "report.html"
    return run


def test_one_self_contained_file_of_moderate_size(run):
    assert sorted(p.name for p in run.iterdir() if "tfevents" not in p.name) == [
        "config.yaml",
        "predictions.jsonl",
        "report.html",
    ]
    page = Page(run / "report.html")
    assert len(page.html) < 1_000_000
    for tag, attrs in page.tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href", "xlink:href", "action"):
            assert attrs.get(name, "#").startswith(("#", "data:image/jpeg;base64,"))
    assert not re.search(r"@import|url\((?!#)", page.html)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_it_shows_scores_controls_run_curves_and_examples(run):
    page = Page(run / "report.html")
    for text in ("scenes/version_0", "20 images of the test split", "BLEU-4", "CIDEr-D", "95 % interval"):
        assert text in page.text
    for text in ("constant caption", "shuffled images", "a red dog on the floor", "Encoder name lite0"):
        assert text in page.text
    assert "CaptionDataModule: root photos" in page.text
    assert "Training max_epochs 3, learning_rate 0.001" in page.text and "best checkpoint" in page.text
    charts = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"]
    assert len(charts) == 6  # two of scores, loss, CIDEr-D, lengths, ranks
    assert sum(tag == "article" for tag, _ in page.tags) == 12
    assert len(page.images("attention for")) == 12 * 6
    assert all(title in page.text for title in ("Best", "Median", "Worst"))


def test_it_tells_which_words_looked_at_the_picture(tmp_path):
    rows = make_rows(tmp_path)
    for row in rows:
        row["sentinel"] = [0.9 if word in ("on", "the") else 0.1 for word in row["words"]]
    page = Page(write_report(make_run(tmp_path / "run", rows)))
    assert "Words that looked" in page.text and "the 90 %" in page.text and "percent: weight" in page.text
    rows[3]["sentinel"].pop()
    with pytest.raises(InputError, match=r"predictions\.jsonl:4: words and sentinel do not fit"):
        write_report(make_run(tmp_path / "run", rows))


def test_words_are_ranked_by_the_weight_of_their_sentinel():
    captions = [[("a", 0.8), ("dog", 0.1)], [("a", 0.6), ("dog", 0.3), ("once", 1.0)]]
    lists = sentinel_lists(captions, least=2)
    assert [title for title, _ in lists] == ["Looked least", "Looked most"]
    assert lists[0][1] == [("a", pytest.approx(0.7), 2)]
    assert lists[1][1] == [("dog", pytest.approx(0.2), 2)]
    assert sentinel_lists([[("a", 0.5)]], least=1) == sentinel_lists([[]]) == []


def test_metrics_json_is_believed_and_what_it_lacks_is_computed(tmp_path):
    run = make_run(tmp_path, make_rows(tmp_path, count=3))
    scores = dict.fromkeys(("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider_d"), 0.4321)
    seconds = {"fit": 3725, "test": 8.25}
    (run / "metrics.json").write_text(json.dumps({"scores": scores, "seconds": seconds, "split": "val"}))
    text = Page(write_report(run)).text
    assert "of the val split" in text and text.count("0.432") >= 8
    assert "fit 1 h 02 min, test 8.2 s" in text
    assert "constant" in text and "95 % interval" in text


def test_the_same_run_gives_the_same_page(run):
    assert (run / "report.html").read_bytes() == write_report(run).read_bytes()


def test_markup_in_captions_names_references_and_words_is_text(tmp_path):
    evil = "<script>alert(1)</script>"
    quotes = "\"onerror='alert(2)' x=\""
    rows = make_rows(tmp_path / "pictures", count=6)
    rows[0] |= {
        "image": f"{evil}.png",
        "caption": evil,
        "references": [evil],
        "words": [evil, quotes, *"abcd"],
    }
    rows[1] |= {"image": f"{quotes}.png", "caption": quotes, "references": [quotes, "{{ 7 * 7 }}"]}
    rows[2] |= {"image": "moved.png", "file": f"/nowhere/{evil}.png"}
    run = make_run(tmp_path / "<b>run", [*rows, {"image": f"{evil}2.png", "error": evil}])
    (run / "config.yaml").write_text(yaml.safe_dump({"data": {"root": evil}}))
    page = Page(write_report(run))
    assert "<script" not in page.html and "<b>run" not in page.html
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert page.text.count(evil) >= 4 and quotes in page.text and "{{ 7 * 7 }}" in page.text
    assert f"{quotes}.png" in [image["alt"] for image in page.images("")]


def test_moved_and_broken_pictures_show_a_placeholder(tmp_path):
    rows = make_rows(tmp_path / "pictures", count=6)
    Path(rows[0]["file"]).unlink()
    Path(rows[1]["file"]).write_bytes(b"no picture")
    rows[2]["file"] = str(tmp_path)
    del rows[3]["file"]
    page = Page(write_report(make_run(tmp_path / "run", rows)))
    assert page.text.count("picture not found") == 4
    assert len(page.images(".png")) == 2


def test_a_run_that_was_only_tested_and_has_no_attention(tmp_path):
    rows = make_rows(tmp_path / "pictures", count=5)
    for row in rows:
        del row["attention"], row["words"]
    page = Page(write_report(make_run(tmp_path / "run", rows)))
    assert "Learning curves" not in page.text and not page.images("attention for")
    assert sum(tag == "article" for tag, _ in page.tags) == 5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("captions", [["a dog"], ["", ""], ["犬 が 走る", "naïve\u0301 \ud800"]])
def test_small_and_odd_runs(tmp_path, captions):
    rows = [
        {"image": f"{i}.jpg", "caption": caption, "references": ["a dog runs"]}
        for i, caption in enumerate(captions)
    ]
    page = Page(write_report(make_run(tmp_path / "run", rows)))
    assert f"{len(captions)} image" in page.text and ("(empty caption)" in page.text) == (captions[0] == "")


def test_unreadable_pictures_are_counted_not_scored(tmp_path):
    rows = [*make_rows(tmp_path / "pictures", count=4), {"image": "broken.jpg", "error": "truncated"}]
    text = Page(write_report(make_run(tmp_path / "run", rows))).text
    assert "4 images" in text and "1 more could not be read: broken.jpg" in text


def test_long_captions_keep_the_page_under_three_megabytes(tmp_path):
    rows = make_rows(tmp_path / "pictures", count=12, words=40)
    noise = np.random.default_rng(0)
    for row in rows:
        cv2.imwrite(row["file"], noise.integers(0, 256, (400, 400, 3), dtype=np.uint8))
    path = write_report(make_run(tmp_path / "run", rows))
    assert len(Page(path).images("attention for")) == 12 * 40
    assert path.stat().st_size < 3_000_000


def test_overlays_lie_on_the_part_of_the_picture_that_was_encoded():
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 255
    assert encoder_view(image, "squash") is image
    cropped, padded = encoder_view(image, "crop"), encoder_view(image, "pad")
    assert cropped.shape == (100, 100, 3) and cropped.min() == 255
    assert padded.shape == (300, 300, 3) and (padded[100:200] == image).all() and (padded[:100] == 127).all()
    assert encoder_view(np.zeros((2, 20_000, 3), np.uint8), "pad").shape == (800, 800, 3)
    with pytest.raises(ValueError, match="stretch"):
        encoder_view(image, "stretch")


def test_examples_are_disjoint_ordered_and_repeatable():
    scores = {f"{i:03}": float(i % 50) for i in np.random.default_rng(0).permutation(100)}
    chosen = choose_examples(scores, each=4)
    assert chosen["best"] == ["049", "099", "048", "098"]
    assert chosen["worst"] == ["050", "000", "051", "001"]
    assert [scores[image] for image in chosen["median"]] == [25, 25, 24, 24]
    assert chosen == choose_examples(dict(reversed(scores.items())), each=4)


@pytest.mark.parametrize("count", range(15))
def test_few_images_are_shared_out_without_repetition(count):
    groups = choose_examples({f"{i:02}": float(i) for i in range(count)}, each=4)
    images = [image for group in groups.values() for image in group]
    assert len(images) == len(set(images)) == min(count, 12)
    sizes = [len(group) for group in groups.values()]
    assert max(sizes) - min(sizes) <= 1
    assert images == sorted(images[: len(images) - sizes[2]], reverse=True) + sorted(groups["worst"])


def test_resumed_event_files_are_merged_by_step(tmp_path):
    log(tmp_path, {"train/loss": {1: 9, 2: 8, 3: 7, 4: 6}, "val/loss": {2: 5, 4: 4}}, ".first")
    second = next(tmp_path.glob("*.first"))
    data = second.read_bytes()
    log(tmp_path, {"train/loss": {3: 1, 5: 0.5}, "test/loss": {5: float("nan")}}, ".second")
    curves = read_curves(tmp_path)
    assert curves["train/loss"].steps.tolist() == [1, 2, 3, 5]
    assert curves["train/loss"].values.tolist() == [9, 8, 1, 0.5]
    assert curves["val/loss"].values.tolist() == [5, 4]
    assert "test/loss" not in curves
    next(tmp_path.glob("*.second")).unlink()
    second.write_bytes(data[:-5])  # killed while writing
    assert read_curves(tmp_path)["train/loss"].steps.tolist() == [1, 2, 3, 4]


def test_the_best_step_follows_the_watched_metric():
    curve = Curve(np.array([10, 20, 30, 40]), np.array([1.0, 3.0, 3.0, 0.5]))
    assert best_step(curve, "val/bleu4") == 20 and best_step(curve, "val/loss") == 40
    assert monitored_metric({"checkpoint": {"monitor": "m"}}, "d") == "m"
    assert monitored_metric({"checkpoint": None}, "d") == monitored_metric({}, "d") == "d"


def test_a_long_curve_is_thinned_by_means():
    curve = Curve(np.arange(1000), np.arange(1000) * 2.0).thinned(10)
    assert len(curve.steps) == 10 and curve.steps[0] == 49.5 and curve.values[-1] == 1899


def test_time_spans_for_people():
    assert [duration(s) for s in (0.04, 59.9, 185, 7800)] == ["0.0 s", "59.9 s", "3 min 05 s", "2 h 10 min"]


GOOD = '{"image": "a.jpg", "caption": "a dog", "references": ["a dog"]}'


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("", "no captions"),
        ('{"image": "a.jpg", "error": "torn"}', "no captions"),
        (GOOD + "\n{oops", ":2: is no JSON"),
        (GOOD + "\n\n[1]", ":3: is no JSON object"),
        (GOOD + "\n" + GOOD, ":2: image 'a.jpg' occurs twice"),
        ('{"caption": "a"}', ":1: no image name"),
        ('{"image": "a.jpg", "references": ["a"]}', ":1: no text under 'caption'"),
        ('{"image": "a.jpg", "caption": "a"}', ":1: no list of texts under 'references'"),
        ('{"image": "a.jpg", "caption": "a", "references": []}', ":1: no list of texts"),
        (GOOD[:-1] + ', "words": ["a"], "attention": {"grid": [2, 2], "alpha": [[1]]}}', ":1: words and att"),
        (GOOD[:-1] + ', "words": ["a"], "attention": [[1]]}', ":1: words and attention"),
        (b'{"image": "\xff"}', ":1: is not UTF-8"),
    ],
)
def test_a_wrong_predictions_file_is_named_with_its_line(tmp_path, content, cause):
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "predictions.jsonl").write_bytes(data)
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(InputError) as error:
        write_report(tmp_path)
    assert cause in str(error.value) and "predictions.jsonl" in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / "report.html").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "content"),
    [("metrics.json", "{"), ("metrics.json", "[]"), ("config.yaml", "a: [\n"), ("config.yaml", "text")],
)
def test_a_wrong_side_file_is_named(tmp_path, name, content):
    (tmp_path / "predictions.jsonl").write_text(GOOD)
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=name) as error:
        write_report(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match=r"no predictions\.jsonl"):
        write_report(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        write_report(tmp_path / "absent")


def test_the_command_prints_the_path(tmp_path, capsys):
    (tmp_path / "predictions.jsonl").write_text(GOOD)
    report(tmp_path)
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_bytes(b"old")
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"] and path.read_bytes() == b"old"
