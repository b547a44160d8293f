"""`predict` over a folder as people have it: every kind of file, every format, killed and gone on with."""

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import ImageOps

from data_prep.left_out import SHOWN
from modules.captioning.captioner import Captioner
from modules.images import read_image
from pipelines.caption import main
from tests.pipelines.captioning.gallery import BAD, GOOD, by_name, picture, rows_of


def test_every_visible_file_has_a_row_in_order(predict, tmp_path, capsys):
    rows = predict(tmp_path / "out.jsonl", workers="1")
    names = [row["image"] for row in rows]
    assert names == sorted(GOOD | BAD, key=lambda name: name.split("/"))
    assert {row["image"] for row in rows if row.keys() == {"image", "caption", "score"}} == GOOD
    assert {row["image"] for row in rows if row.keys() == {"image", "error"}} == BAD
    assert all(row["error"] and "\n" not in row["error"] for row in rows if "error" in row)
    assert "empty" in by_name(rows)["deep/empty.png"]["error"]
    assert len({row["score"] for row in rows if "score" in row}) == len(GOOD) - 1  # the twins are one picture
    assert len({row["caption"] for row in rows if "caption" in row}) > len(GOOD) / 2
    assert f"{len(GOOD)} captions, {len(BAD)} unreadable files" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_photograph_that_lacks_its_end_is_captioned_and_named(predict, tmp_path, capsys):
    (tmp_path / "images").mkdir()
    picture(1).resize((300, 200)).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "images" / "cut.jpg").write_bytes(whole[:-2])
    (tmp_path / "images" / "whole.jpg").write_bytes(whole)
    options = ["--attention", str(tmp_path / "attention")]
    rows = by_name(predict(tmp_path / "out.jsonl", *options, images=tmp_path / "images"))
    said = capsys.readouterr()
    assert rows["cut.jpg"]["caption"] == rows["whole.jpg"]["caption"] and "error" not in rows["whole.jpg"]
    assert "captioned as far as it goes" in rows["cut.jpg"]["error"]
    assert "2 captions, 0 unreadable files" in said.out and "could not be written" not in said.out
    assert "warning: cut.jpg: is damaged" in said.err
    assert len(list((tmp_path / "attention").iterdir())) == 2


@pytest.mark.parametrize("format", ["jsonl", "coco"])
def test_of_many_unreadable_files_all_are_listed(predict, talkative, tmp_path, format, capsys):
    (tmp_path / "images").mkdir()
    for number in range(SHOWN + 2):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(b"")
    picture(1).save(tmp_path / "images" / "a.png")
    output = tmp_path / "out.json"
    given = [
        "predict",
        "--images",
        str(tmp_path / "images"),
        "--ckpt_path",
        str(talkative),
        "--num_workers",
        "0",
    ]
    assert main([*given, "--output", str(output), "--format", format]) == 0
    *named, last = capsys.readouterr().err.splitlines()[-SHOWN - 1 :]
    assert all(line.startswith("warning: ") and "empty" in line for line in named)
    listed = {"jsonl": output, "coco": tmp_path / "out.json.unreadable.txt"}[format]
    assert last.startswith("warning: 2 more; all") and last.endswith(str(listed))
    assert len(listed.read_text().splitlines()) == SHOWN + (3 if format == "jsonl" else 2)


def test_a_rotated_photograph_gets_the_caption_of_its_upright_twin(predict, tmp_path):
    rows = by_name(predict(tmp_path / "out.jsonl"))
    rotated, upright = rows["deep/rotated.jpg"], rows["deep/upright.png"]
    assert (rotated["caption"], rotated["score"]) == (upright["caption"], upright["score"])


@pytest.mark.parametrize("method", ["beam", "greedy", "sample"])
def test_a_caption_does_not_depend_on_its_batch(predict, tmp_path, method):
    options = ["--decoding.method", method, "--decoding.seed", "3", "--decoding.max_length", "9"]
    first, *others = (
        predict(tmp_path / f"{size}.jsonl", "--batch_size", str(size), *options) for size in (1, 3, 32)
    )
    assert all(rows == first for rows in others)


def test_csv_has_the_rows_of_jsonl(predict, tmp_path):
    rows = predict(tmp_path / "out.jsonl")
    predict(tmp_path / "out.csv")
    predict(tmp_path / "named", "--format", "csv")
    assert (tmp_path / "named").read_bytes() == (tmp_path / "out.csv").read_bytes()
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    columns = ("image", "caption", "score", "error")
    assert table == [{column: str(row.get(column, "")) for column in columns} for row in rows]


def test_coco_results_have_the_ids_of_official_names(predict, tmp_path):
    rows = by_name(predict(tmp_path / "out.jsonl"))
    results = json.loads(predict(tmp_path / "out.json"))
    ids = {"COCO_val2014_000000000042.jpg": 42, "deep/er/000000000007.png": 7}
    expected = [(ids.get(name, name), row["caption"]) for name, row in rows.items() if "caption" in row]
    assert [(result["image_id"], result["caption"]) for result in results] == expected
    assert all(result.keys() == {"image_id", "caption"} for result in results)


def test_attention_gives_a_readable_picture_per_caption(predict, tmp_path):
    rows = predict(tmp_path / "out.jsonl", "--attention", str(tmp_path / "attention"))
    folder = tmp_path / "attention"
    pictures = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert pictures == {f"{name}.attention.jpg" for name in GOOD}
    assert all(min(read_image(folder / name).shape[:2]) > 50 for name in pictures)
    # and changes no caption
    assert rows == predict(tmp_path / "plain.jsonl")


def test_decoding_options_take_effect(predict, tmp_path):
    def captions(name, *options):
        rows = predict(tmp_path / f"{name}.jsonl", *(f"--decoding.{option}" for option in options))
        return {row["image"]: row["caption"].split() for row in rows if "caption" in row}

    assert all(len(words) <= 2 for words in captions("short", "max_length=2").values())
    assert all(len(words) == 7 for words in captions("exact", "min_length=7", "max_length=7").values())
    greedy = captions("greedy", "method=greedy", "max_length=9")
    assert greedy == captions("one", "beam_size=1", "max_length=9")
    assert greedy != captions("four", "beam_size=4", "max_length=9")
    sampled = captions("sample", "method=sample", "seed=1")
    assert sampled == captions("again", "method=sample", "seed=1")
    assert sampled != captions("other", "method=sample", "seed=2")


def test_what_is_not_asked_for_is_decoded_as_in_the_checkpoints_run(predict, talkative, tmp_path):
    stored = torch.load(talkative, weights_only=True)
    stored["decoding"] |= {"method": "greedy", "min_length": 4, "max_length": 4}
    path = tmp_path / "four words.ckpt"
    torch.save(stored, path)

    def captions(name, *options):
        rows = predict(tmp_path / f"{name}.jsonl", *options, checkpoint=path)
        return [row["caption"] for row in rows if "caption" in row]

    assert {len(caption.split()) for caption in captions("as in the run")} == {4}
    longer = "--decoding.min_length=6", "--decoding.max_length", "6"
    found = captions("longer", *longer)
    assert {len(caption.split()) for caption in found} == {6}
    assert found == captions("greedy", *longer, "--decoding.method=greedy")
    assert found != captions("beam", *longer, "--decoding.method=beam")


def test_captions_that_score_low_are_marked_unsure(predict, talkative, tmp_path):
    scores = sorted(row["score"] for row in predict(tmp_path / "plain.jsonl") if "score" in row)
    stored = torch.load(talkative, weights_only=True)
    stored["unsure_below"] = scores[3] - 1e-3
    path = tmp_path / "judging.ckpt"
    torch.save(stored, path)
    rows = predict(tmp_path / "out.jsonl", checkpoint=path)
    assert sorted(row["score"] for row in rows if row.get("unsure")) == scores[:3]
    # of another decoding the scores do not compare
    rows = predict(tmp_path / "other.jsonl", "--decoding.max_length", "3", checkpoint=path)
    assert not any("unsure" in row for row in rows)


def test_an_image_has_as_many_different_captions_as_asked_for(predict, talkative, gallery, tmp_path, capsys):
    beam = "--decoding.method", "beam", "--decoding.beam_size", "5"
    alone = [row.get("caption") for row in predict(tmp_path / "one.jsonl", *beam)]
    rows = predict(tmp_path / "five.jsonl", *beam, "--captions", "5")
    assert [row.get("caption") for row in rows] == alone
    several = [row["captions"] for row in rows if "caption" in row]
    # an image has fewer where the search ends fewer within the longest length
    assert all(1 <= len(set(texts)) == len(texts) <= 5 for texts in several)
    assert max(map(len, several)) == 5
    assert all(row["captions"][0] == row["caption"] for row in rows if "caption" in row)
    predict(tmp_path / "three.csv", *beam, "--captions", "3")
    with (tmp_path / "three.csv").open() as file:
        table = [row for row in csv.DictReader(file) if row["caption"]]
    assert list(table[0]) == ["image", "caption", "caption_2", "caption_3", "score", "error"]
    assert any(len({row["caption"], row["caption_2"], row["caption_3"]} - {""}) == 3 for row in table)
    given = ["predict", "--images", str(gallery), "--ckpt_path", str(talkative), "--captions", "2"]
    assert main([*given, "--decoding.method", "greedy", "--output", str(tmp_path / "no.jsonl")]) == 2
    assert "several of an image come from beam search" in capsys.readouterr().err
    assert main([*given, "--captions", "99999999", "--output", str(tmp_path / "no.jsonl")]) == 2


def test_required_words_are_in_every_caption_or_said_to_lack(predict, talkative, tmp_path, capsys):
    words = Captioner.load(talkative).vocabulary.words
    word, other = words[9], words[12]
    rows = predict(tmp_path / "out.jsonl", "--decoding.must_contain", f"{word} {other}", "--captions", "2")
    captioned = [row for row in rows if "caption" in row]
    assert all({word, other} <= set(row["caption"].split()) and "lacks" not in row for row in captioned)
    one = ["--decoding.max_length", "1", "--decoding.min_length", "1"]
    rows = predict(tmp_path / "short.jsonl", "--decoding.must_contain", f"{word} {other}", *one)
    assert all(len(row["lacks"]) == 1 for row in rows if "caption" in row)
    count = sum("caption" in row for row in rows)
    assert f"warning: {count} captions lack a word of '{word} {other}', the first" in capsys.readouterr().err
    given = ["predict", "--images", str(tmp_path), "--ckpt_path", str(talkative)]
    for text, said in (
        ("!", "decoding.must_contain: '!' has no word"),
        (f"{word}x", f"decoding.must_contain: '{word}x' is none of the captioner's"),
        ("a b c d e", "decoding.must_contain has 5 words; beam search can look for 4"),
    ):
        assert main([*given, "--output", str(tmp_path / "no.jsonl"), "--decoding.must_contain", text]) == 2
        assert capsys.readouterr().err.startswith(f"error: {said}")


def test_groups_of_beams_write_captions_that_differ(predict, tmp_path):
    beams = ["--captions", "4", "--decoding.beam_size", "4"]
    plain = predict(tmp_path / "plain.jsonl", *beams)
    groups = predict(
        tmp_path / "groups.jsonl", *beams, "--decoding.beam_groups", "4", "--decoding.diversity", "9"
    )

    def first_words(rows):
        return sum(
            len({text.split()[0] for text in row["captions"] if text}) for row in rows if "captions" in row
        )

    assert first_words(groups) > first_words(plain)


def test_a_video_gets_rows_with_times_and_subtitles(talkative, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 64))
    for seed in range(30):
        writer.write(np.asarray(picture(seed // 10).resize((64, 64))))
    writer.release()
    given = ["predict", "--images", "clip.avi", "--ckpt_path", str(talkative), "--num_workers", "0"]
    assert main([*given, "--attention", "looks"]) == 0
    rows = rows_of(tmp_path / "captions.jsonl")
    assert [row["time"] for row in rows] == [0.0, 1.0, 2.0]
    assert Path(drawn := "looks/clip.avi#00:00:02.000.attention.jpg").is_file()
    assert main([*given, "--every", "0.5", "--format", "srt"]) == 0
    text = (tmp_path / "captions.srt").read_text()
    assert rows[0]["caption"] in text and "--> 00:00:03,000" in text
    assert main(["predict", "--images", drawn, *given[3:], "--output", "a.vtt"]) == 2  # named, it is taken
    assert "subtitles are of one video" in capsys.readouterr().err


def test_pictures_from_everywhere_are_drawn_within_the_folder(talkative, gallery, tmp_path):
    given = ["predict", "--images", str(gallery / "grey.png"), str(gallery / "deep"), "--ckpt_path"]
    given += [str(talkative), "--num_workers", "0", "--output", str(tmp_path / "out.csv")]
    assert main([*given, "--attention", str(tmp_path / "looks")]) == 0
    assert len(list((tmp_path / "looks").rglob("*.attention.jpg"))) == 6
    with (tmp_path / "out.csv").open() as file:
        assert str(gallery / "grey.png") in {row["image"] for row in csv.DictReader(file)}


def test_several_checkpoints_write_one_caption_together(predict, talkative, tmp_path, capsys):
    alone = predict(tmp_path / "alone.jsonl")
    twice = predict(tmp_path / "twice.jsonl", "--ckpt_path", str(talkative), str(talkative))
    for row, other in zip(alone, twice, strict=True):
        assert row.get("caption") == other.get("caption")
        assert row.get("score", 0.0) == pytest.approx(other.get("score", 0.0), abs=2e-4)
    missing = str(tmp_path / "none.ckpt")
    given = ["predict", "--images", str(tmp_path), "--ckpt_path", str(talkative), missing]
    assert main([*given, "--output", str(tmp_path / "out.jsonl")]) == 2
    assert "none.ckpt: does not exist" in capsys.readouterr().err


def test_mirrored_is_chosen_when_predicting_too(predict, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for seed in range(4):
        upright = picture(seed).resize((64, 64))
        upright.save(images / f"{seed}.png")
        ImageOps.mirror(upright).save(images / f"{seed} mirrored.png")

    def captions(name, *options):
        rows = by_name(predict(tmp_path / f"{name}.jsonl", *options, images=images))
        return [[rows[f"{seed}{side}.png"]["caption"] for seed in range(4)] for side in ("", " mirrored")]

    upright, mirrored = captions("both", "--mirrored", "true")
    assert upright == mirrored
    upright, mirrored = captions("alone", "--mirrored=false")
    assert upright != mirrored
    assert captions("as trained") == [upright, mirrored]


def test_its_own_files_among_the_images_are_not_captioned(predict, tmp_path):
    for number in range(3):
        picture(number).save(tmp_path / f"{number}.png")
    written = ["--attention", str(tmp_path / "attention")]
    first = predict(tmp_path / "out.jsonl", *written, images=tmp_path)
    (tmp_path / "out.jsonl.part-0123-0").write_text("of an earlier run")
    assert [row["image"] for row in first] == ["0.png", "1.png", "2.png"]
    assert predict(tmp_path / "out.jsonl", "--overwrite", *written, images=tmp_path) == first


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every file name is Unicode")
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".json"])
def test_a_file_name_that_is_no_text_is_captioned_too(predict, tmp_path, suffix):
    images = tmp_path / "images"
    images.mkdir()
    picture(1).save(images / "a.png")
    name = os.fsdecode(b"\xff.png")
    Path(images / "a.png").rename(images / name)
    (images / os.fsdecode(b"\xfe.txt")).write_text("no picture")
    output = tmp_path / f"out{suffix}"
    content = predict(output, "--attention", str(tmp_path / "attention"), images=images)
    if suffix == ".jsonl":
        assert [row["image"] for row in content] == [os.fsdecode(b"\xfe.txt"), name]
        assert content[1]["caption"]
    elif suffix == ".json":
        assert json.loads(content)[0]["image_id"] == name
    else:
        assert "\\udcff.png" in content
    assert (tmp_path / "attention" / f"{name}.attention.jpg").is_file()


def test_caption_images_says_what_predict_says(talkative, predict, gallery, tmp_path):
    mirrored = torch.load(talkative, weights_only=True)
    mirrored["hyper_parameters"]["encoder"]["mirrored"] = True
    mirrored["decoding"] |= {"beam_size": 3}
    torch.save(mirrored, tmp_path / "mirrored.ckpt")
    for path in (talkative, tmp_path / "mirrored.ckpt"):
        rows = by_name(predict(tmp_path / f"{path.stem}.jsonl", checkpoint=path))
        captioner = Captioner.load(path)
        names = sorted(GOOD)
        captions = captioner.caption_images([gallery / name for name in names], batch_size=4)
        assert [caption.text for caption in captions] == [rows[name]["caption"] for name in names]
        assert [round(caption.score, 4) for caption in captions] == [rows[name]["score"] for name in names]
        assert len({caption.text for caption in captions}) > 3


@pytest.mark.slow  # .ci/run lets it write from the installed wheel
def test_without_a_checkpoint_the_ready_made_captioner_writes(gallery, tmp_path, capsys):
    images, output = tmp_path / "images", tmp_path / "out.jsonl"
    images.mkdir()
    shutil.copy(gallery / "DOG.JPEG", images)
    given = ["predict", "--images", str(images), "--output", str(output), "--num_workers", "0"]
    assert main([*given, "--attention", str(tmp_path / "attention")]) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert "ready-made" in first and "flickr8k.md" in first
    (row,) = rows_of(output)
    (caption,) = Captioner.pretrained().caption_images([images / "DOG.JPEG"])
    assert row["caption"] == caption.text and len(caption.words) > 3
    assert (tmp_path / "attention" / "DOG.JPEG.attention.jpg").is_file()


def test_a_command_that_fails_leaves_no_folders(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = ["--images", str(tmp_path / "empty")]
    words += ["--output", str(tmp_path / "new" / "out.jsonl"), "--attention", str(tmp_path / "attention")]
    assert main(["predict", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
