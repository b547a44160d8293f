"""`predict` over a folder as people have it: every kind of file, every format, killed and gone on with."""

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from modules.captioning.captioner import Captioner
from modules.images import read_image
from modules.vocabulary import Vocabulary
from pipelines.caption import main
from pipelines.captioning import predict as predicting
from pipelines.captioning.predictions import read_predictions
from pipelines.output_files import written_by_one

GOOD = {
    "COCO_val2014_000000000042.jpg",
    "DOG.JPEG",
    "cmyk.jpg",
    "deep/animated.gif",
    "deep/er/000000000007.png",
    "deep/rotated.jpg",
    "deep/sixteen.png",
    "deep/upright.png",
    "grey.png",
    "new\nline.png",
    "palette.png",
    "rgba.png",
    "two words 'and' \"quotes\", 犬 é.png",
}
BAD = {"cut.jpg", "deep/empty.png", "notes.txt", "x.jpg"}


def picture(seed, mode="RGB"):
    """A smooth coloured picture, so that JPEG keeps it and every seed looks different."""
    cells = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((72, 56), Image.Resampling.BICUBIC).convert(mode)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    root = tmp_path_factory.mktemp("gallery")
    (root / "deep" / "er").mkdir(parents=True)
    picture(1, "L").save(root / "grey.png")
    picture(2, "P").save(root / "palette.png", transparency=3)
    picture(3, "CMYK").save(root / "cmyk.jpg")
    rgba = picture(4, "RGBA")
    rgba.putalpha(picture(5, "L"))
    rgba.save(root / "rgba.png")
    Image.fromarray(np.asarray(picture(6, "L")).astype(np.uint16) * 257).save(root / "deep" / "sixteen.png")
    frames = [picture(seed) for seed in (7, 8, 9)]
    frames[0].save(root / "deep" / "animated.gif", save_all=True, append_images=frames[1:])
    picture(10).save(root / "DOG.JPEG")
    picture(11).save(root / "two words 'and' \"quotes\", 犬 é.png")
    picture(12).save(root / "new\nline.png")
    picture(13).save(root / "COCO_val2014_000000000042.jpg")
    picture(14).save(root / "deep" / "er" / "000000000007.png")
    # orientation 6: the camera was held upright, the picture is to be turned clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(15).save(root / "deep" / "rotated.jpg", exif=exif)
    stored = np.asarray(Image.open(root / "deep" / "rotated.jpg"))
    Image.fromarray(np.rot90(stored, -1)).save(root / "deep" / "upright.png")

    (root / "x.jpg").write_text("no picture")
    (root / "deep" / "empty.png").write_bytes(b"")
    (root / "cut.jpg").write_bytes((root / "DOG.JPEG").read_bytes()[:500])
    (root / "notes.txt").write_text("what I did in the holidays")
    (root / ".hidden.jpg").write_bytes((root / "DOG.JPEG").read_bytes())
    (root / ".thumbnails").mkdir()
    (root / ".thumbnails" / "a.jpg").write_bytes((root / "DOG.JPEG").read_bytes())
    return root


@pytest.fixture(scope="module")
def checkpoint(finished_run, tmp_path_factory):
    """A decoder of large random weights in place of the barely trained: every picture has its own caption."""
    stored = torch.load(finished_run / "checkpoints" / "best.ckpt", weights_only=True)
    generator = torch.Generator().manual_seed(0)
    weights = {name.removeprefix("decoder."): weight for name, weight in stored["state_dict"].items()}
    for name in stored["state_dict"]:
        weight = weights[name.removeprefix("decoder.")]
        if name.startswith("decoder.") and weight.dim() > 1:
            weight.normal_(0, 2 * weight.shape[-1] ** -0.5, generator=generator)
    weights["initial.weight"].mul_(100)  # an untrained encoder says little
    weights["output.bias"][Vocabulary.EOS] = 1
    path = tmp_path_factory.mktemp("checkpoint") / "talkative.ckpt"
    torch.save(stored, path)
    return path


@pytest.fixture
def predict(gallery, checkpoint):
    """Returns a function that captions the gallery into a file and returns the file's rows."""

    def run(output, *arguments, images=gallery, checkpoint=checkpoint, workers="0"):
        given = ["--images", str(images), "--ckpt_path", str(checkpoint), "--output", str(output)]
        assert main(["predict", *given, "--num_workers", workers, *arguments]) == 0
        return rows_of(output)

    return run


def rows_of(path):
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else text


def state_of(path):
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def by_name(rows):
    return {row["image"]: row for row in rows}


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


def test_what_is_not_asked_for_is_decoded_as_in_the_checkpoints_run(predict, checkpoint, tmp_path):
    stored = torch.load(checkpoint, weights_only=True)
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


def test_an_existing_output_is_replaced_only_when_asked(predict, gallery, checkpoint, tmp_path, capsys):
    output = tmp_path / "out.jsonl"
    output.write_text("years of work")
    arguments = ["predict", "--images", str(gallery), "--ckpt_path", str(checkpoint)]
    assert main([*arguments, "--output", str(output)]) == 2
    message = capsys.readouterr().err
    assert str(output) in message and "--overwrite" in message
    assert output.read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert len(predict(output, "--overwrite")) == len(GOOD | BAD)


def test_its_own_files_among_the_images_are_not_captioned(predict, tmp_path):
    for number in range(3):
        picture(number).save(tmp_path / f"{number}.png")
    written = ["--attention", str(tmp_path / "attention")]
    first = predict(tmp_path / "out.jsonl", *written, images=tmp_path)
    (tmp_path / "out.jsonl.part-0123-0").write_text("of an earlier run")
    assert [row["image"] for row in first] == ["0.png", "1.png", "2.png"]
    assert predict(tmp_path / "out.jsonl", "--overwrite", *written, images=tmp_path) == first


@pytest.fixture
def killed(predict, tmp_path, monkeypatch):
    """Returns a function that predicts into tmp_path/out.jsonl and dies after two batches of three."""

    def run(*arguments, **named):
        write = predicting.RowWriter.on_predict_batch_end

        def dying(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
            write(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
            if batch_idx == 1:
                raise MemoryError("killed")

        with monkeypatch.context() as patch, pytest.raises(MemoryError):
            patch.setattr(predicting.RowWriter, "on_predict_batch_end", dying)
            predict(tmp_path / "out.jsonl", "--batch_size", "3", *arguments, **named)
        assert not (tmp_path / "out.jsonl").exists()
        (part,) = tmp_path.glob("out.jsonl.part-*")
        return part

    return run


def test_a_killed_run_goes_on_where_it_stopped(predict, killed, tmp_path, capsys):
    part = killed()
    assert part.read_text().count('"image"') == 6  # two of them errors, which are tried again
    with part.open("ab") as file:  # the kill cut a line within a letter
        file.write('{"image": "grey.png", "caption": "é'.encode()[:-1])
    capsys.readouterr()
    rows = predict(tmp_path / "out.jsonl")
    assert f"going on after 4 of {len(GOOD | BAD)} files" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    (tmp_path / "whole").mkdir()
    assert rows == predict(tmp_path / "whole" / "out.jsonl")


def test_a_run_killed_before_its_last_step_only_writes_the_output(predict, killed, gallery, tmp_path):
    whole = predict(tmp_path / "whole.jsonl")
    part = killed()
    part.write_text(
        "".join(json.dumps(row | {"file": state_of(gallery / row["image"])}) + "\n" for row in whole)
    )
    assert predict(tmp_path / "out.jsonl") == whole
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "whole.jsonl"}


def test_rows_of_other_settings_are_not_taken_over(predict, killed, tmp_path):
    part = killed("--decoding.beam_size", "2")
    (first, *_) = [json.loads(line) for line in part.read_text().splitlines() if line]
    part.write_text(json.dumps(first | {"caption": "of the killed run", "score": 0.0}) + "\n")
    other = predict(tmp_path / "out.jsonl", "--decoding.beam_size", "3")
    assert "of the killed run" not in {row.get("caption") for row in other}
    same = predict(tmp_path / "out.jsonl", "--overwrite", "--decoding.beam_size", "2")
    assert by_name(same)[first["image"]]["caption"] == "of the killed run"


def test_what_was_mended_or_replaced_since_the_kill_is_captioned_anew(predict, killed, gallery, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(gallery, images)
    part = killed(images=images)
    rows = {row["image"]: row for row in map(json.loads, filter(None, part.read_text().splitlines()))}
    captioned = [name for name, row in rows.items() if "caption" in row]
    assert "cut.jpg" in rows and "error" in rows["cut.jpg"] and captioned
    picture(20).save(images / "cut.jpg")
    picture(21).save(images / captioned[0])
    found = by_name(predict(tmp_path / "out.jsonl", images=images))
    whole = by_name(predict(tmp_path / "whole.jsonl", images=images))
    assert found == whole and found["cut.jpg"]["caption"]
    assert found[captioned[0]]["score"] != rows[captioned[0]]["score"]


def test_two_commands_do_not_write_one_output(checkpoint, gallery, tmp_path, capsys):
    output = tmp_path / "out.jsonl"
    given = ["predict", "--images", str(gallery), "--ckpt_path", str(checkpoint), "--output", str(output)]
    with written_by_one(output, "output"):
        assert main(given) == 2
    said = capsys.readouterr().err
    assert f"process {os.getpid()}" in said and "--output" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_photograph_is_never_replaced_by_captions(checkpoint, tmp_path, capsys):
    picture(1).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    given = ["predict", "--images", str(tmp_path), "--ckpt_path", str(checkpoint), "--overwrite"]
    assert main([*given, "--output", str(tmp_path / "a.png")]) == 2
    assert "is a picture" in capsys.readouterr().err
    assert (tmp_path / "a.png").read_bytes() == before


def test_a_long_name_and_a_folder_in_the_way_cost_one_picture_at_most(predict, tmp_path, capsys):
    images, attention = tmp_path / "images", tmp_path / "attention"
    images.mkdir()
    long = "犬" * 80 + ".png"
    for number, name in enumerate([long, "犬" * 79 + "猫.png", "b.png"]):
        picture(number).save(images / name)
    (attention / "b.png.attention.jpg").mkdir(parents=True)
    rows = by_name(predict(tmp_path / "out.jsonl", "--attention", str(attention), images=images))
    assert all(row["caption"] for row in rows.values())
    assert "error" not in rows[long] and "attention: cannot be written" in rows["b.png"]["error"]
    assert "1 pictures could not be written" in capsys.readouterr().out
    assert len([path for path in attention.iterdir() if path.is_file()]) == 2
    assert len(read_predictions(tmp_path / "out.jsonl").captions) == 3  # score takes them all


def test_photographs_beside_the_attention_are_captioned(predict, tmp_path):
    (tmp_path / "sub").mkdir()
    picture(1).save(tmp_path / "a.png")
    picture(2).save(tmp_path / "sub" / "b.png")
    options = ["--attention", str(tmp_path / "sub"), "--overwrite"]
    for _ in range(2):
        rows = predict(tmp_path / "out.jsonl", *options, images=tmp_path)
        assert [row["image"] for row in rows] == ["a.png", "sub/b.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("output", ["full", "/proc/out.jsonl", "n" * 250 + ".jsonl"])
def test_an_output_that_cannot_be_written_is_one_line(
    checkpoint, gallery, tmp_path, output, monkeypatch, capsys
):
    if output == "full":
        monkeypatch.setattr(predicting, "_identity", lambda options, precision: "0")
        monkeypatch.setattr(predicting, "_parts", lambda part: [])  # the device gives zeros without end
        (tmp_path / "full.part-0-0").symlink_to("/dev/full")
    given = ["predict", "--images", str(gallery), "--ckpt_path", str(checkpoint)]
    assert main([*given, "--output", str(tmp_path / output)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be written" in said and ("No space left" in said or "--output" in said)


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


def test_caption_images_says_what_predict_says(checkpoint, predict, gallery, tmp_path):
    mirrored = torch.load(checkpoint, weights_only=True)
    mirrored["hyper_parameters"]["encoder"]["mirrored"] = True
    mirrored["decoding"] |= {"beam_size": 3}
    torch.save(mirrored, tmp_path / "mirrored.ckpt")
    for path in (checkpoint, tmp_path / "mirrored.ckpt"):
        rows = by_name(predict(tmp_path / f"{path.stem}.jsonl", checkpoint=path))
        captioner = Captioner.load(path)
        names = sorted(GOOD)
        captions = captioner.caption_images([gallery / name for name in names], batch_size=4)
        assert [caption.text for caption in captions] == [rows[name]["caption"] for name in names]
        assert [round(caption.score, 4) for caption in captions] == [rows[name]["score"] for name in names]
        assert len({caption.text for caption in captions}) > 3


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
