"""A classifier is fitted on a csv and tells the classes of another one."""

import csv
import json
from pathlib import Path

import pytest

from pipelines.text import main

ROOT = Path(__file__).resolve().parents[3]
CONFIG = str(ROOT / "configs" / "text" / "classify.yaml")
TOY = ["--trainer.max_epochs", "3", "--trainer.accelerator", "cpu", "--model.classifier.hidden_size", "8"]
TOY += ["--model.classifier.embedding_size", "8", "--model.training.learning_rate", "0.05"]
TOY += ["--model.training.warmup_steps", "1", "--trainer.enable_progress_bar", "false"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A fit on texts whose classes have words of their own."""
    folder = tmp_path_factory.mktemp("labelled")
    file = folder / "labelled.csv"
    rows = [f"{'a fine' if i % 3 else 'an awful'} {['film', 'play', 'book'][i % 7 % 3]} no {i % 40},"
            f"{'good' if i % 3 else 'bad'}\n" for i in range(240)]  # fmt: skip
    file.write_text("text,label\n" + "".join(rows))
    assert main(["fit", "--config", CONFIG, "--data.file", str(file), "--runs", str(folder), *TOY]) == 0
    return folder / "text" / "classify" / "version_0"


def test_a_fit_scores_beside_a_bag_of_words_and_the_most_frequent_class(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["scores"]["macro_f1"] > 0.9 and metrics["classes"] == ["bad", "good"]
    assert metrics["baselines"].keys() == {"bag of words", "most frequent class"}
    assert metrics["baselines"]["most frequent class"]["macro_f1"] < 0.5
    assert metrics["scores"]["interval"][0] <= metrics["scores"]["macro_f1"]
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    again = json.loads((run / "test_0" / "metrics.json").read_text())
    assert again["scores"]["macro_f1"] == pytest.approx(metrics["scores"]["macro_f1"])


def test_a_classifier_has_no_page_and_is_told_so(run, capsys):
    assert main(["report", "--run", str(run)]) == 2
    said = f"error: {run}: a classifier's run has no page; its scores stand in metrics.json\n"
    assert capsys.readouterr().err == said


def test_new_texts_get_a_class_and_keep_their_columns(run, tmp_path, capsys):
    file, output = tmp_path / "texts.csv", tmp_path / "labels.csv"
    file.write_text('id,text\n7,"an awful film, really"\n8,a fine book\n9,\n')
    command = ["classify", "--ckpt_path", str(run / "checkpoints" / "best.ckpt"), "--file", str(file)]
    assert main([*command, "--output", str(output)]) == 0
    with output.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["id"], row["predicted"]) for row in rows] == [("7", "bad"), ("8", "good"), ("9", "")]
    assert rows[0]["text"] == "an awful film, really" and 0.5 < float(rows[0]["probability"]) <= 1
    assert "1 without a text" in capsys.readouterr().out
    for content, said in (
        ("id,text\n", "holds no rows"),
        ("id,words\n1,x\n", "needs one column 'text'"),
        ("text,id,ID\nx,1,2\n", "two columns are called 'id'"),
        ("text,predicted\nx,y\n", "has a column predicted already"),
    ):
        file.write_text(content)
        assert main([*command, "--output", str(output), "--overwrite"]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_another_tasks_checkpoint_and_another_csv_are_one_line(run, checkpoint, tmp_path, capsys):
    file = tmp_path / "texts.csv"
    file.write_text("text,label\nx,good\ny,indifferent\n")
    assert main(["classify", "--ckpt_path", str(checkpoint), "--file", str(file)]) == 2
    assert (
        "a checkpoint of the task 'text'; this command needs one of 'classifier'" in capsys.readouterr().err
    )
    best = str(run / "checkpoints" / "best.ckpt")
    assert main(["test", "--ckpt_path", best, "--data.file", str(file)]) == 2
    assert "labels that are not trained on: indifferent" in capsys.readouterr().err
    assert main(["sample", "--ckpt_path", best]) == 2
    assert "a checkpoint of the task 'classifier'" in capsys.readouterr().err
