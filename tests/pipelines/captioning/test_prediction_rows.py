"""The rows of `predict` and where they go: killed runs, outputs that cannot be written, two at once."""

import json
import os
import shutil
from pathlib import Path

import pytest

from modules.decoders.captions import DecoderOptions
from pipelines.caption import main
from pipelines.captioning import predict as predicting
from pipelines.captioning import prediction_rows
from pipelines.captioning.predictions import read_predictions
from pipelines.output_files import written_by_one
from pipelines.running import part_rows
from tests.pipelines.captioning.gallery import BAD, GOOD, by_name, picture, random_captioner, rows_of


def state_of(path):
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def test_an_existing_output_is_replaced_only_when_asked(predict, gallery, talkative, tmp_path, capsys):
    output = tmp_path / "out.jsonl"
    output.write_text("years of work")
    arguments = ["predict", "--images", str(gallery), "--ckpt_path", str(talkative)]
    assert main([*arguments, "--output", str(output)]) == 2
    message = capsys.readouterr().err
    assert str(output) in message and "--overwrite" in message
    assert output.read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert len(predict(output, "--overwrite")) == len(GOOD | BAD)


@pytest.fixture
def killed(predict, tmp_path, monkeypatch):
    """Returns a function that predicts into tmp_path/out.jsonl and dies after two batches of three."""

    def run(*arguments, **named):
        write = prediction_rows.RowWriter.on_predict_batch_end

        def dying(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
            write(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
            if batch_idx == 1:
                raise MemoryError("killed")

        with monkeypatch.context() as patch, pytest.raises(MemoryError):
            patch.setattr(prediction_rows.RowWriter, "on_predict_batch_end", dying)
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


def test_two_commands_do_not_write_one_output(talkative, gallery, tmp_path, capsys):
    output = tmp_path / "out.jsonl"
    given = ["predict", "--images", str(gallery), "--ckpt_path", str(talkative), "--output", str(output)]
    with written_by_one(output, "output"):
        assert main(given) == 2
    said = capsys.readouterr().err
    assert f"process {os.getpid()}" in said and "--output" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_photograph_is_never_replaced_by_captions(talkative, tmp_path, capsys):
    picture(1).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    given = ["predict", "--images", str(tmp_path), "--ckpt_path", str(talkative), "--overwrite"]
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
    talkative, gallery, tmp_path, output, monkeypatch, capsys
):
    if output == "full":
        monkeypatch.setattr(predicting, "_identity", lambda options, precision: "0")
        monkeypatch.setattr(part_rows, "part_files", lambda part: [])
        (tmp_path / "full.part-0-0").symlink_to("/dev/full")
    given = ["predict", "--images", str(gallery), "--ckpt_path", str(talkative)]
    assert main([*given, "--output", str(tmp_path / output)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be written" in said and ("No space left" in said or "--output" in said)


def test_rows_and_picture_tell_which_words_looked(gallery, tmp_path):
    checkpoint = random_captioner(DecoderOptions(kind="adaptive"), tmp_path / "adaptive.ckpt")
    given = ["predict", "--images", str(gallery / "grey.png"), "--ckpt_path", str(checkpoint)]
    for output in ("out.jsonl", "out.csv"):
        drawn = ["--attention", str(tmp_path / "drawn")]
        assert main([*given, "--output", str(tmp_path / output), "--num_workers", "0", *drawn]) == 0
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert len(row["words"]) == len(row["sentinel"]) > 0
    assert all(0 < weight < 1 for weight in row["sentinel"])
    (header, _) = (tmp_path / "out.csv").read_text().splitlines()
    assert header == "image,caption,score,error"
    assert (tmp_path / "drawn" / "grey.png.attention.jpg").is_file()
