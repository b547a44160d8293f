"""fit, validate and test through the public entry: what they leave behind, resuming, two processes."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from itertools import chain
from pathlib import Path

import pytest
import torch
import yaml

from data_prep.captions.scenes.language import NOUNS
from modules.captioning.captioner import Captioner
from pipelines.caption import main
from pipelines.reports.curves import read_curves
from tests.pipelines.golden import check_golden, ending

ROOT = Path(__file__).resolve().parents[3]
DEBUG = ROOT / "configs" / "debug" / "caption.yaml"


def weights(checkpoint):
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def flat(checkpoint):
    return torch.cat([w.flatten() for name, w in weights(checkpoint).items() if name.startswith("decoder.")])


def assert_same_weights(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def rows(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_fit_leaves_checkpoints_predictions_scores_and_a_report(finished_run, captioned_folder):
    test_images = {r["image"] for r in rows(captioned_folder / "captions.jsonl") if r["split"] == "test"}
    predictions = rows(finished_run / "predictions.jsonl")
    assert {Path(row["image"]).name for row in predictions} == {Path(image).name for image in test_images}
    assert all(row["split"] == "test" and Path(row["file"]).is_file() for row in predictions)
    assert any("attention" in row for row in predictions)
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert {"constant", "shuffled"} <= metrics["controls"].keys()
    assert metrics["scores"]["images"] == len(test_images)
    low, high = metrics["intervals"]["cider_d"]
    assert low <= metrics["scores"]["cider_d"] <= high
    assert (finished_run / "checkpoints" / "best.ckpt").is_file()
    assert (finished_run / "checkpoints" / "last.ckpt").is_file()
    assert "<html" in (finished_run / "report.html").read_text()
    assert {"train/loss", "val/loss", "val/cider_d", "val/bleu4"} <= read_curves(finished_run).keys()


def test_a_fit_ends_as_it_did(finished_run):
    runs = finished_run.parents[2]
    check_golden("captioning/fit_ending", ending((runs / "printed.txt").read_text(), runs))


def test_the_configuration_of_a_run_is_complete_and_runs_again(finished_run, captioned_folder, tmp_path):
    config = yaml.safe_load((finished_run / "config.yaml").read_text())
    assert config["decoding"]["beam_size"] == 2
    assert config["model"]["decoder"]["cell"] == "lstm"
    assert main(["fit", "--config", str(finished_run / "config.yaml"), "--runs", str(tmp_path)]) == 0
    assert_same_weights(
        finished_run / "checkpoints" / "last.ckpt",
        tmp_path / "caption" / "debug" / "version_0" / "checkpoints" / "last.ckpt",
    )


def test_a_fit_in_a_folder_whose_name_is_no_utf_8_names_its_pictures(captioned_folder, tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"\xff")
    shutil.copytree(captioned_folder, folder)
    monkeypatch.chdir(folder)
    fit = ["fit", "--config", str(DEBUG), "--data.root", ".", "--runs", str(tmp_path / "runs")]
    assert main(fit) == 0
    (predictions,) = (tmp_path / "runs").rglob("predictions.jsonl")
    assert all(Path(row["file"]).is_file() for row in rows(predictions))


def test_training_learns(fit, tmp_path):
    run = fit(tmp_path, "--trainer.max_epochs", "6", "--early_stopping.patience", "9")
    loss = read_curves(run)["val/loss"]
    assert loss.values[-1] < 0.85 * loss.values[0]


@pytest.mark.slow
def test_the_configuration_for_ones_own_folder_reads_a_small_one_often_enough(captioned_folder, tmp_path):
    # as it stands, but for the image size and the sizes that take time
    small = ["--model.encoder.weights", "none", "--model.encoder.image_size", "64"]
    small += ["--model.decoder.embedding_size", "16", "--model.decoder.hidden_size", "16"]
    small += ["--trainer.max_epochs", "1", "--data.min_steps", "7"]
    config = str(ROOT / "configs" / "caption" / "folder.yaml")
    given = ["--config", config, "--data.root", str(captioned_folder), "--runs", str(tmp_path)]
    assert main(["fit", *given, *small]) == 0
    run = tmp_path / "caption" / "folder" / "version_0"
    table = rows(captioned_folder / "captions.jsonl")
    once = -(-sum(len(row["captions"]) for row in table if row["split"] == "train") // 64)
    steps = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert once < 7 <= steps == -(-7 // once) * once
    assert (run / "report.html").is_file()


def test_test_repeats_the_scores_of_the_fit_and_overwrites_nothing(finished_run):
    before = (finished_run / "metrics.json").read_bytes()
    assert main(["test", "--ckpt_path", str(finished_run / "checkpoints" / "best.ckpt")]) == 0
    again = json.loads((finished_run / "test_0" / "metrics.json").read_text())
    assert again["scores"] == pytest.approx(json.loads(before)["scores"])
    assert (finished_run / "metrics.json").read_bytes() == before


def test_validate_takes_decoding_options(finished_run):
    checkpoint = str(finished_run / "checkpoints" / "best.ckpt")
    assert main(["validate", "--ckpt_path", checkpoint, "--decoding.max_length", "3"]) == 0
    lengths = [len(row["caption"].split()) for row in rows(finished_run / "validate_0" / "predictions.jsonl")]
    assert lengths and max(lengths) <= 3


@pytest.mark.slow
def test_a_fit_begins_with_another_captioner_and_adds_words(finished_run, captioned_folder, tmp_path, capsys):
    shutil.copytree(captioned_folder, tmp_path / "data")
    listing = tmp_path / "data" / "captions.jsonl"
    listing.write_text(listing.read_text().replace('["', '["zeppelin '))
    best = finished_run / "checkpoints" / "best.ckpt"
    given = ["fit", "--config", str(DEBUG), "--data.root", str(tmp_path / "data"), "--runs", str(tmp_path)]
    quick = ["--trainer.limit_train_batches", "1", "--model.training.learning_rate", "1e-12"]
    assert main([*given, "--init", str(best), *quick, "--trainer.max_epochs", "1"]) == 0
    run = tmp_path / "caption" / "debug" / "version_0"
    last = run / "checkpoints" / "last.ckpt"
    before, after = (torch.load(path, weights_only=True) for path in (best, last))
    known = before["words"]
    assert "zeppelin" in after["words"][len(known) :] and after["words"][: len(known)] == known
    for name, value in before["state_dict"].items():
        begun = after["state_dict"][name][tuple(slice(size) for size in value.shape)]
        torch.testing.assert_close(begun, value)
    capsys.readouterr()
    going_on = ["--ckpt_path", str(last), "--trainer.max_epochs", "2"]
    assert main([*given, *quick, *going_on]) == 0
    assert main([*given, "--init", str(tmp_path / "none.ckpt")]) == 2
    assert "none.ckpt: does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "minutes",
    [
        pytest.param("10", id="after an epoch", marks=pytest.mark.slow),
        pytest.param("0.001", id="within an epoch", marks=pytest.mark.slow),
    ],
)
def test_a_killed_fit_resumes_to_the_same_weights(fit, captioned_folder, tmp_path, minutes):
    options = ["--trainer.max_epochs", "4", "--save_minutes", minutes]
    whole = fit(tmp_path / "whole", *options)

    runs = tmp_path / "killed"
    command = [sys.executable, str(ROOT / "pipelines" / "caption.py"), "fit"]
    command += ["--config", str(DEBUG), "--runs", str(runs)]
    command += ["--data.root", str(captioned_folder), *options]
    # slower, so that the kill comes before the end
    command += ["--trainer.callbacks+=tests.pipelines.slow.Slowly"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    last = runs / "caption" / "debug" / "version_0" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, process.stderr.read().decode()
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    step = torch.load(last, weights_only=True)["global_step"]
    end = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 0 < step < end

    assert main(["fit", "--config", str(last.parent.parent / "config.yaml"), "--ckpt_path", str(last)]) == 0
    assert_same_weights(whole / "checkpoints" / "last.ckpt", last)
    # it went on in its own folder, and its curve is one
    assert list(read_curves(last.parent.parent)["val/loss"].steps) == list(
        read_curves(whole)["val/loss"].steps
    )
    assert (last.parent.parent / "report.html").is_file()


@pytest.mark.slow
def test_the_last_epochs_reward_sampled_captions(fit, tmp_path, capsys):
    options = ["--model.training.reinforce_epochs", "2", "--early_stopping.patience", "9"]
    run = fit(tmp_path, *options, "--trainer.max_epochs", "5")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert ["train/reward" in line for line in lines] == [False] * 3 + [True] * 2
    assert ["train/loss" in line for line in lines] == [True] * 3 + [False] * 2
    # as many steps an epoch as before: a batch has the images that as many captions belong to
    losses, rewards = (read_curves(run)[name].values for name in ("train/loss", "train/reward"))
    assert len(losses) / 3 == len(rewards) / 2 > 1
    assert all(reward > 0 for reward in rewards)


@pytest.mark.slow
def test_a_mirrored_captioner_predicts_what_its_fit_scored(fit, captioned_folder, tmp_path, capsys):
    run = fit(tmp_path, "--model.encoder.mirrored", "true", "--trainer.max_epochs", "1")
    printed = capsys.readouterr().out
    assert "train: annotations" in printed and "train, mirrored: annotations" in printed
    scored = {Path(row["file"]).name: row["caption"] for row in rows(run / "predictions.jsonl")}
    output = tmp_path / "out.jsonl"
    given = ["--images", str(captioned_folder / "images"), "--ckpt_path", str(run / "checkpoints/best.ckpt")]
    assert main(["predict", *given, "--output", str(output), "--attention", str(tmp_path / "seen")]) == 0
    predicted = {Path(row["image"]).name: row["caption"] for row in rows(output)}
    assert scored.items() <= predicted.items()
    assert len(list((tmp_path / "seen").rglob("*.jpg"))) == len(predicted)
    # test reads the checkpoint, which knows what it was trained on
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    tested = {Path(row["file"]).name: row["caption"] for row in rows(run / "test_0" / "predictions.jsonl")}
    assert tested == scored


@pytest.mark.slow
def test_two_processes_train_test_and_predict_as_one(fit, captioned_folder, tmp_path):
    options = ["--model.decoder.dropout", "0", "--trainer.max_epochs", "2"]
    one = fit(tmp_path / "one", *options)
    script = [sys.executable, str(ROOT / "pipelines" / "caption.py")]
    two = ["--trainer.accelerator", "cpu", "--trainer.strategy", "ddp", "--trainer.devices", "2"]
    given = ["--config", str(DEBUG), "--data.root", str(captioned_folder), "--runs", str(tmp_path / "two")]
    fitted = subprocess.run(
        [*script, "fit", *given, *options, *two],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert fitted.returncode == 0, fitted.stderr
    assert "GPU available" not in fitted.stdout + fitted.stderr  # nor anything else that libraries say
    run = tmp_path / "two" / "caption" / "debug" / "version_0"
    # sums of float32 gradients run in another order, which Adam magnifies where a gradient is almost zero
    first, second = (flat(folder / "checkpoints" / "last.ckpt") for folder in (one, run))
    assert (first - second).norm() < 1e-3 * first.norm()
    losses = [read_curves(folder)["val/loss"].values for folder in (one, run)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    metrics = [json.loads((folder / "metrics.json").read_text())["scores"] for folder in (one, run)]
    assert metrics[0]["images"] == metrics[1]["images"]
    assert metrics[1]["perplexity"] == pytest.approx(metrics[0]["perplexity"], rel=1e-3)

    checkpoint = str(one / "checkpoints" / "best.ckpt")
    images = ["predict", "--images", str(captioned_folder / "images"), "--ckpt_path", checkpoint]
    assert main([*images, "--output", str(tmp_path / "one.jsonl")]) == 0
    predicted = subprocess.run(
        [*script, *images, "--output", str(tmp_path / "two.jsonl"), *two],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert predicted.returncode == 0, predicted.stderr
    assert rows(tmp_path / "one.jsonl") == rows(tmp_path / "two.jsonl")
    tested = subprocess.run(
        [*script, "test", "--ckpt_path", checkpoint, *two], capture_output=True, text=True, timeout=300
    )
    assert tested.returncode == 0, tested.stderr
    again = json.loads((one / "test_0" / "metrics.json").read_text())["scores"]
    assert again == pytest.approx(metrics[0])


def test_a_checkpoint_captions_without_its_data_and_its_package(finished_run, monkeypatch):
    monkeypatch.setattr("modules.encoders.image.load_backbone", _offline_backbone)
    model = Captioner.load(finished_run / "checkpoints" / "best.ckpt")
    captions = model.caption(model.annotate(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)), ["grey"])
    assert captions[0].text


def _offline_backbone(name, weights="imagenet"):
    from modules.encoders.backbones import load_backbone

    assert weights == "none", "a checkpoint brings its weights"
    return load_backbone(name, weights)


@pytest.mark.slow
def test_an_encoder_is_fine_tuned_from_a_block_on(fit, tmp_path):
    run = fit(tmp_path, "--model.encoder.finetune_from", "-1", "--trainer.max_epochs", "1")
    model = Captioner.load(run / "checkpoints" / "last.ckpt")
    torch.manual_seed(0)
    assert not model.encoder.is_frozen
    assert json.loads((run / "metrics.json").read_text())["scores"]["images"] > 0


@pytest.mark.slow
def test_a_damaged_image_is_left_out_of_fine_tuning(captioned_folder, tmp_path, capsys):
    folder = shutil.copytree(captioned_folder, tmp_path / "photos")
    damaged = next(row["image"] for row in rows(folder / "captions.jsonl") if row["split"] == "train")
    path = next(folder.rglob(Path(damaged).name))
    path.write_bytes(path.read_bytes()[:200])
    given = ["fit", "--config", str(DEBUG), "--data.root", str(folder), "--runs", str(tmp_path / "runs")]
    assert main([*given, "--model.encoder.finetune_from", "-1", "--trainer.max_epochs", "1"]) == 0
    said = capsys.readouterr().out
    assert f"train: 1 unreadable image(s) left out, the first {path}" in said


@pytest.mark.parametrize("cell", ["rnn", pytest.param("gru", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "kind",
    [
        *("show_and_tell", "show_attend_tell"),
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("adaptive", "att2in", "top_down")),
    ],
)
def test_every_decoder_fits_and_reports(fit, tmp_path, cell, kind):
    options = ["--model.decoder.kind", kind, "--model.decoder.cell", cell, "--model.decoder.layers", "2"]
    run = fit(tmp_path, *options, "--trainer.max_epochs", "1")
    assert (run / "report.html").is_file()


@pytest.mark.slow
def test_on_drawn_scenes_the_sentinel_of_adaptive_weighs_more_for_function_words_than_for_objects(tmp_path):
    given = ["fit", "--model.decoder.kind", "adaptive", "--trainer.max_epochs", "3", "--runs", str(tmp_path)]
    assert main(given) == 0
    weights = defaultdict(list)
    for row in rows(tmp_path / "caption" / "scenes" / "version_0" / "predictions.jsonl"):
        for word, weight in zip(row["words"], row["sentinel"], strict=True):
            weights[word].append(weight)
    objects = {form for synonyms in NOUNS.values() for forms in synonyms for form in forms}
    function_words = ["of", "in", "on", "with", "by", "at", "over", "under", "is", "are", "there", "a", "the"]
    means = [
        statistics.mean(chain.from_iterable(weights[word] for word in words if word in weights))
        for words in (function_words, objects)
    ]
    assert means[0] > 2 * means[1]
    for word in ("of", "in", "on", "with"):
        assert statistics.mean(weights[word]) > 5 * means[1]
