"""Whatever a user gets wrong: one line naming it and its cause, exit status 2, nothing changed on disk."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from pipelines.caption import main

DEBUG = str(Path(__file__).resolve().parents[3] / "configs" / "debug" / "caption.yaml")
ENDLESS = ["--trainer.max_epochs", "-1", "--trainer.max_time", "00:00:01:00"]


def tree(folder):
    """What a folder holds, with the content of every file."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys, finished_run, captioned_folder):
    """Returns a function that runs a command that has to fail, and returns its message."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        before = tree(tmp_path), tree(finished_run), tree(captioned_folder)
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr().err
        assert status == 2, printed
        assert printed.startswith("error: ") and printed.count("\n") == 1 and printed.endswith("\n"), printed
        assert (tree(tmp_path), tree(finished_run), tree(captioned_folder)) == before
        return printed

    return run


@pytest.fixture
def best(finished_run):
    return finished_run / "checkpoints" / "best.ckpt"


def folder_with(root, captions, encoding="utf-8"):
    """A folder of two images with a captions.csv."""
    root.mkdir()
    for name in ("1.png", "2.png"):
        Image.new("RGB", (32, 32)).save(root / name)
    (root / "captions.csv").write_bytes(captions.encode(encoding))
    return root


# ---- folders and caption files


@pytest.mark.parametrize(
    "format, name, cause",
    [
        ("auto", "absent", "no such folder"),
        ("auto", "empty", "is empty"),
        ("auto", "file", "is a file"),
        ("folder", "empty", "is empty"),
        ("flickr8k", "absent", "no such folder"),
        ("coco", "file", "is a file"),
        ("predict", "absent", "no such file or folder"),
        ("predict", "empty", "is empty"),
        ("predict", "file", "is no image in a known format"),
    ],
)
def test_no_folder_of_data(refused, best, tmp_path, format, name, cause):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    if format == "predict":
        message = refused("predict", "--images", name, "--ckpt_path", best, "--output", "out.jsonl")
    else:
        message = refused("fit", "--config", DEBUG, "--data.root", name, "--data.format", format)
    assert name in message and cause in message


@pytest.mark.parametrize(
    "captions, encoding, where, cause",
    [
        ("image,caption\n1.png,a dog\n3.png,a cat\n", "utf-8", "captions.csv:3", "3.png"),
        ("picture,caption\n1.png,a dog\n", "utf-8", "captions.csv:1", "'image'"),
        ("image,text\n1.png,a dog\n", "utf-8", "captions.csv:1", "'caption'"),
        ("image,caption\n1.png,a dog\n2.png,a café\n", "latin-1", "captions.csv:3", "UTF-8"),
        ("image,caption\n1.png,a dog, running\n", "utf-8", "captions.csv:2", "3 fields"),
        ("image,caption,split\n1.png,a dog,tarin\n", "utf-8", "captions.csv:2", "'tarin'"),
        ("image,caption,split\n1.png,a dog,test\n2.png,a cat,test\n", "utf-8", "data", "no training images"),
        ("image,caption,split\n1.png,?,train\n2.png,a cat,val\n", "utf-8", "data", "no word in its"),
    ],
)
def test_a_wrong_caption_file(refused, tmp_path, captions, encoding, where, cause):
    folder_with(tmp_path / "data", captions, encoding)
    message = refused("fit", "--config", DEBUG, "--data.root", "data")
    assert where in message and cause in message


# ---- checkpoints


def write_checkpoint(path, kind, best):
    if kind == "text":
        path.write_text("hello world")
    elif kind == "cut short":
        path.write_bytes(best.read_bytes()[:20_000])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "other task":
        torch.save({"task": "text", "state_dict": {}}, path)
    elif kind == "no checkpoint":
        torch.save([1, 2, 3], path)
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize(
    "command, kind, cause",
    [
        ("predict", "text", "no readable checkpoint"),
        ("predict", "cut short", "no readable checkpoint"),
        ("predict", "empty", "no readable checkpoint"),
        ("predict", "other task", "'text'"),
        ("predict", "no checkpoint", "no checkpoint of this project"),
        ("predict", "folder", "is a folder"),
        ("predict", "missing", "does not exist"),
        ("test", "text", "no readable checkpoint"),
        ("test", "other task", "'text'"),
        ("fit", "cut short", "no readable checkpoint"),
        ("fit", "missing", "does not exist"),
    ],
)
def test_a_wrong_checkpoint(refused, best, captioned_folder, tmp_path, command, kind, cause):
    write_checkpoint(tmp_path / "some.ckpt", kind, best)
    options = ["--ckpt_path", "some.ckpt"]
    if command == "predict":
        options += ["--images", captioned_folder / "images", "--output", "out.jsonl"]
    else:
        options += ["--config", DEBUG, "--data.root", captioned_folder]
    message = refused(command, *options)
    assert "some.ckpt" in message and cause in message


def test_a_run_resumed_with_other_data(refused, finished_run, tmp_path):
    folder_with(tmp_path / "other", "image,caption\n1.png,a dog runs\n2.png,a dog sleeps\n")
    last = finished_run / "checkpoints" / "last.ckpt"
    message = refused("fit", "--ckpt_path", last, "--data.root", "other")
    words = len(torch.load(last, weights_only=True)["words"])
    # one of the two images trains: three words beside the four marks
    assert f"checkpoint's vocabulary ({words} words)" in message
    assert "training captions (7 words)" in message


@pytest.mark.parametrize("command", ["validate", "test"])
def test_evaluation_needs_a_checkpoint(refused, command):
    assert "--ckpt_path" in refused(command, "--config", DEBUG)


def test_resuming_needs_the_name_of_a_file(refused):
    assert "last.ckpt" in refused("fit", "--config", DEBUG, "--ckpt_path", "last")


# ---- options

PREDICT = ["predict", "--images", "images", "--ckpt_path", "x.ckpt"]
SCORE = ["score", "--predictions", "a.jsonl", "--references", "b.txt"]


@pytest.mark.parametrize(
    "arguments, wrong, nearest",
    [
        (["fit", "--decoding.beam_sise", "3"], "decoding.beam_sise", "decoding.beam_size"),
        (["fit", "--trainer.max_epoch=3"], "trainer.max_epoch", "trainer.max_epochs"),
        (["fit", "--model.decoder.hiden_size", "3"], "model.decoder.hiden_size", "model.decoder.hidden_size"),
        (["fit", "--data.rot", "x"], "data.rot", "data.root"),
        (["fit", "--beam_size", "3"], "beam_size", "decoding.beam_size"),
        (["test", "--ckpt_pth", "x"], "ckpt_pth", "ckpt_path"),
        (["predict", "--imagse", "x"], "imagse", "images"),
        ([*PREDICT, "--decoding.beam_sise", "3"], "decoding.beam_sise", "decoding.beam_size"),
        ([*PREDICT, "--trainer.device", "2"], "trainer.device", "trainer.devices"),
        ([*PREDICT, "--overwrit"], "overwrit", "overwrite"),
        (["score", "--prediction", "x"], "prediction", "predictions"),
        ([*SCORE, "--jason"], "jason", "json"),
        (["report", "--rum", "x"], "rum", "run"),
        (["tset"], "tset", "test"),
        (["predcit", "--images", "x"], "predcit", "predict"),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else value,
)
def test_a_misspelt_option_names_the_nearest(refused, arguments, wrong, nearest):
    message = refused(*arguments)
    assert f"{wrong!r}" in message and f"nearest is {nearest!r}" in message


@pytest.mark.parametrize(
    "change, wrong, nearest",
    [
        ({"model": {"decoder": {"hiden_size": 3}}}, "model.decoder.hiden_size", "model.decoder.hidden_size"),
        ({"trainer": {"max_epoch": 3}}, "trainer.max_epoch", "trainer.max_epochs"),
        ({"decodin": {"beam_size": 3}}, "decodin.beam_size", "decoding.beam_size"),
        ({"nmae": "x"}, "nmae", "name"),
    ],
)
def test_a_misspelt_option_in_a_configuration(refused, tmp_path, change, wrong, nearest):
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(change))
    message = refused("fit", "--config", "my.yaml")
    assert f"{wrong!r}" in message and f"nearest is {nearest!r}" in message and "configuration" in message


@pytest.mark.parametrize(
    "content, where, cause",
    [
        (b"name: [\n", "my.yaml:2", "is no YAML"),
        (b"model:\n\tdecoder: 3\n", "my.yaml:2", "is no YAML"),
        (b"just text\n", "my.yaml", "is no configuration"),
        (b"", "my.yaml", "is no configuration"),
        (b"name: x\nruns: \xff\n", "my.yaml:2", "not UTF-8"),
        (None, "my.yaml", "does not exist"),
    ],
)
def test_a_configuration_that_is_none(refused, tmp_path, content, where, cause):
    if content is not None:
        (tmp_path / "my.yaml").write_bytes(content)
    message = refused("fit", "--config", "my.yaml")
    assert where in message and cause in message


@pytest.mark.parametrize(
    "options, parts",
    [
        (["--data.batch_size", "many"], ["data.batch_size", "'many'", "whole number"]),
        (["--trainer.max_epochs", "some"], ["trainer.max_epochs", "'some'", "whole number or null"]),
        (["--data.format", "flicker8k"], ["data.format", "nearest is 'flickr8k'"]),
        (["--data.cache_dtype", "float4"], ["data.cache_dtype", "'float4'", "float16", "float8"]),
        (["--model.decoder.cell", "lsmt"], ["model.decoder.cell", "nearest is 'lstm'"]),
        (["--data.batch_size", "0"], ["data.batch_size", "0", "at least 1"]),
        (["--data.max_vocabulary", "3"], ["data.max_vocabulary", "3", "at least 5"]),
        (["--decoding.beam_size", "0"], ["decoding.beam_size", "0", "from 1 to 1,000"]),
        (["--decoding.temperature", "0"], ["decoding.temperature", "above 0"]),
        (["--decoding.must_contain", "zzzz"], ["decoding.must_contain", "'zzzz' is none of"]),
        (["--model.decoder.dropout", "1.5"], ["dropout", "1.5"]),
        ([*ENDLESS, "--model.training.own_words", "0.2"], ["own_words", "how many epochs"]),
        ([*ENDLESS, "--model.training.reinforce_epochs", "1"], ["reinforce_epochs", "how many epochs"]),
        (["--model.training.reinforce_epochs", "9"], ["reinforce_epochs is 9", "the fit has 2"]),
        (["--model.encoder.name", "mobilenetv3_smal_050"], ["mobilenetv3_smal_050", "mobilenetv3_small_050"]),
        (["--trainer.precision", "bf16-true"], ["trainer.precision", "bf16-true", "bf16-mixed"]),
        (["--trainer.accelerator", "gpuu"], ["trainer", "gpuu", "cpu"]),
        (["--checkpoint.monitor", "val/cidr"], ["checkpoint.monitor", "nearest is 'val/cider_d'"]),
        (["--early_stopping.monitor", "bleu4"], ["early_stopping.monitor", "nearest is 'val/bleu4'"]),
        (["--runs", DEBUG], [DEBUG, "--runs"]),
        (["--name", "../other"], ["name", "'../other'", "--runs"]),
        (["--name", ".."], ["name", "'..'", "--runs"]),
        (["--save_minutes", "0"], ["save_minutes", "0", "above 0"]),
        (["--save_minutes", "nan"], ["save_minutes", "nan", "has to be a number"]),
        (["--trainer.val_check_interval", "0"], ["trainer.val_check_interval", "0", "above 0"]),
        (["more"], ["'more'", "too many"]),
        (["--config"], ["--config", "argument"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_wrong_value_of_fit(refused, captioned_folder, options, parts):
    message = refused("fit", "--config", DEBUG, "--data.root", captioned_folder, *options)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    "options, parts",
    [
        (["--batch_size", "0"], ["batch_size", "at least 1"]),
        (["--batch_size", "many"], ["batch_size", "'many'", "whole number"]),
        (["--num_workers", "-1"], ["num_workers", "-1"]),
        (["--format", "xml"], ["format", "'xml'", "jsonl, csv, coco"]),
        (["--decoding.beam_size", "0"], ["decoding.beam_size", "from 1 to 1,000"]),
        (["--decoding.method", "beem"], ["decoding.method", "nearest is 'beam'"]),
        (["--decoding", "none.yaml"], ["decoding", "none.yaml"]),
        (["--trainer.precision", "bf16-true"], ["trainer.precision", "bf16-true", "bf16-mixed"]),
        (["--trainer.accelerator", "gpuu"], ["trainer", "gpuu"]),
        (["--output", "."], [".", "is a folder"]),
        (["--output", "file"], ["file", "exists already"]),
        (["--output", "file/out.jsonl"], ["file: is a file", "--output"]),
        (["--attention", "file"], ["file: is a file", "--attention"]),
        (["more"], ["'more'", "too many"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_wrong_value_of_predict(refused, best, captioned_folder, tmp_path, options, parts):
    (tmp_path / "file").write_text("x")
    images = captioned_folder / "images"
    message = refused(
        "predict",
        "--images",
        images,
        "--ckpt_path",
        best,
        "--output",
        "out.jsonl",
        "--overwrite=false",
        *options,
    )
    assert all(part in message for part in parts), message


def test_attention_among_the_images(refused, best, captioned_folder):
    images = captioned_folder / "images"
    assert "--attention" in refused("predict", "--images", images, "--ckpt_path", best, "--attention", images)


@pytest.mark.parametrize(
    "arguments, missing",
    [
        (["predict"], ["--images"]),
        (["predict", "--ckpt_path", "x"], ["--images"]),
        (["export"], ["--output"]),
        (["score"], ["--predictions"]),
        (["score", "--predictions", "x", "--json"], ["--references"]),
        (["report"], ["--run"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_required_option_is_missing(refused, arguments, missing):
    message = refused(*arguments)
    assert all(option in message for option in missing)


@pytest.mark.parametrize("command", ["no_such_command", "--data.root", "FIT"])
def test_no_such_command(refused, command):
    message = refused(command, "x")
    assert repr(command) in message and "fit, validate, test, compare, predict, score, report" in message


# ---- score and report


def test_score_of_wrong_files(refused, tmp_path):
    assert "a.jsonl: no such file" in refused(*SCORE)
    (tmp_path / "a.jsonl").write_text(json.dumps({"image": "1.jpg", "caption": "a dog"}))
    assert "b.txt: no such file" in refused(*SCORE)
    (tmp_path / "b.txt").write_text("2.jpg#0\ta dog\n")
    assert "1.jpg" in refused(*SCORE)


@pytest.mark.parametrize(
    "name, cause", [("absent", "no such folder"), ("empty", "no predictions"), ("file", "no such folder")]
)
def test_report_of_no_run(refused, tmp_path, name, cause):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    message = refused("report", "--run", name)
    assert name in message and cause in message
