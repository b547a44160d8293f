"""Words beside likelier spellings, planted errors counted, and models that do not fit together."""

import json

import pytest

from pipelines.language.correct import counted, planted
from pipelines.text import main
from tests.pipelines.language.tiny_language_models import save, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

TEXT = "The cat saw the dog,\nand the dog saw a cart."


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder, paths = tmp_path_factory.mktemp("pair"), []
    for reads_backward in (False, True):
        model = tiny_model(TEXT, "word")
        model.reads_backward = reads_backward
        paths.append(str(save(model, folder / f"{reads_backward}.ckpt")))
    return paths


def test_misspelt_words_stand_beside_known_ones(pair, tmp_path, capsys):
    file = tmp_path / "text.txt"
    file.write_text("The dog saw\nthe catt.")
    # the order of the checkpoints says nothing
    assert main(["correct", "--ckpt_path", *pair[::-1], "--file", str(file), "--json"]) == 0
    words = {row["word"]: row for row in json.loads(capsys.readouterr().out)["words"]}
    assert "cat" in words["catt"]["better"] and words["catt"]["line"] == 2
    assert main(["correct", "--ckpt_path", *pair, "--file", str(file)]) == 0
    assert "words with a likelier spelling" in capsys.readouterr().out


def test_planted_errors_are_counted_beside_two_controls(pair, tmp_path, capsys):
    file = tmp_path / "text.txt"
    file.write_text(TEXT * 6)
    command = ["correct", "--ckpt_path", *pair, "--file", str(file), "--plant", "0.2", "--json"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["planted"] > 5 and len(printed["systems"]) == 3
    assert printed["systems"]["unknown words, no context"]["recall"] > 0.7
    units = ["word"] * 200
    errors = planted(units, 0.1, seed=3)
    assert errors == planted(units, 0.1, seed=3) and 15 < len(errors) <= 20
    assert counted([], errors, units) == {"precision": 0, "recall": 0, "put_right": 0}


def test_what_does_not_fit_is_one_line(pair, checkpoint, tmp_path, capsys):
    file = tmp_path / "text.txt"
    file.write_text("12 34\n")
    other = str(save(tiny_model("quite other words", "word"), tmp_path / "other.ckpt"))
    for arguments, said in (
        ([], "correct needs a model of words and one that reads backwards, --ckpt_path FORWARD BACKWARD"),
        (["--ckpt_path", pair[0]], "correct needs a model of words"),
        (["--ckpt_path", pair[0], pair[0]], "both models read forwards"),
        (["--ckpt_path", other, pair[1]], "the models do not read the same words"),
        (["--ckpt_path", *pair], "holds no words"),
        (["--ckpt_path", *pair, "--plant", "2"], "plant is 2.0; it has to be from 0 to 0.5"),
    ):
        assert main(["correct", "--file", str(file), *arguments]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    for command in (["complete"], ["score", "--file", str(file)]):
        assert main([*command, "--ckpt_path", pair[1]]) == 2
        assert "reads texts from their end to their beginning" in capsys.readouterr().err
