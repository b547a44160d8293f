"""author: trains once on a folder of authors, tells who wrote a text, and says in one line what is wrong."""

import json
from pathlib import Path
from threading import Event, Thread
from time import sleep

import pytest
import yaml
from filelock import FileLock

from data_prep.text.authors import fingerprint
from pipelines.language import author as command
from pipelines.text import main
from tests.data_prep.text.markov_authors import markov_text, write_authors

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "text" / "author.yaml"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The configuration with a small model and few steps."""
    config = yaml.safe_load(CONFIG.read_text())
    config["trainer"] |= {"max_steps": 40, "val_check_interval": 20, "enable_progress_bar": False}
    config["model"]["decoder"] |= {"hidden_size": 16, "embedding_size": 8, "dropout": 0.0}
    config["model"]["training"] |= {"learning_rate": 0.03, "warmup_steps": 5}
    config["data"] |= {"passage": 100, "batch_size": 16, "sequence_length": 24}
    path = tmp_path_factory.mktemp("config") / "author.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_authors(tmp_path_factory.mktemp("authors"))


@pytest.fixture(autouse=True)
def in_its_cache(cache, toy, monkeypatch):
    monkeypatch.setenv("SEQSIGHT_CACHE", str(cache))
    monkeypatch.setattr(command, "CONFIG", toy)


@pytest.fixture
def by_bob(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(markov_text(1, 600, seed=99))
    return path


def asked(capsys, *arguments):
    assert main(["author", *map(str, arguments), "--device", "cpu"]) == 0
    return capsys.readouterr().out


def test_it_trains_once_and_tells_who_wrote_a_text(root, cache, by_bob, capsys, monkeypatch):
    said = asked(capsys, "--train", root, "--file", by_bob)
    assert "likeliest: bob" in said and "5-gram an author" in said
    (run,) = (cache / "authors").glob("*/text/author/version_0")
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["scores"]["accuracy"] >= 0.8 and metrics["authors"] == ["ann", "bob"]
    assert 0 < metrics["calibration"]["mean_probability"] <= 1
    page = (run / "report.html").read_text()
    assert "Who was taken for whom" in page and page.count("<svg") == 2
    (run / "report.html").unlink()
    assert main(["report", "--run", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    assert (run / "report.html").read_text() == page
    (run / "metrics.json").rename(run / "metrics")
    assert main(["report", "--run", str(run)]) == 2
    assert f"{run}: no metrics.json" in capsys.readouterr().err
    (run / "metrics").rename(run / "metrics.json")

    monkeypatch.setattr(command, "AuthorCLI", None)  # nothing is left to train
    found = json.loads(asked(capsys, "--train", root, "--file", by_bob, "--json"))
    first, second = found["authors"]
    assert first["author"] == "bob" and first["bits_per_char"] < second["bits_per_char"]
    assert first["probability"] + second["probability"] == pytest.approx(1) and first["probability"] > 0.9
    checkpoint = run / "checkpoints" / "best.ckpt"
    of_ann = by_bob.with_name("y.txt")
    of_ann.write_text(markov_text(0, 600, seed=99) + "☃")
    said = asked(capsys, "--ckpt_path", checkpoint, "--file", of_ann)
    assert "likeliest: ann" in said and "1 characters are in no text of the authors" in said

    for content, cause in (
        (b"", "is empty; a text is needed"),
        (b" \n\n", "is empty; a text is needed"),
        (b"a\0b", "holds a NUL character"),
        (
            b"ab\ncd\xff",
            "x.txt:2: byte 5 is not UTF-8; save the file as UTF-8 or name",
        ),
        ("ああ☃a".encode(), "3 of its 4 characters are in no text of the authors"),
    ):
        by_bob.write_bytes(content)
        assert main(["author", "--ckpt_path", str(checkpoint), "--file", str(by_bob)]) == 2
        out, err = capsys.readouterr()
        assert cause in err and err.count("\n") == 1 and out == ""


def test_texts_in_another_encoding_are_read_as_told(tmp_path, by_bob, capsys):
    root = write_authors(tmp_path / "latin")
    for file in root.glob("*/*"):
        file.write_bytes(b"\xe9\xe9\xe9\n" + file.read_bytes())
    assert main(["author", "--train", str(root), "--file", str(by_bob), "--device", "cpu"]) == 2
    assert "is not UTF-8" in capsys.readouterr().err
    by_bob.write_bytes(by_bob.read_bytes() + b"\xe9")
    said = asked(capsys, "--train", root, "--file", by_bob, "--encoding", "cp1252")
    assert "likeliest: bob" in said and "not scored" not in said
    assert main(["author", "--train", str(root), "--file", str(by_bob), "--encoding", "klingon"]) == 2
    err = capsys.readouterr().err
    assert "klingon" in err and "data.encoding" not in err


def test_a_second_command_waits_for_the_first_to_train(root, cache, by_bob, capsys, monkeypatch):
    taken = Event()

    def first() -> None:
        with FileLock(cache / "authors" / fingerprint(root) / "training.lock"):
            taken.set()
            sleep(0.3)

    Thread(target=first).start()
    assert taken.wait(10)
    monkeypatch.setattr(command, "AuthorCLI", None)  # the first one trained
    assert main(["author", "--train", str(root), "--file", str(by_bob), "--device", "cpu"]) == 0
    assert "waiting for another process that fills" in capsys.readouterr().err


def test_a_killed_training_goes_on(root, cache, by_bob, capsys):
    folder = cache / "authors" / fingerprint(root)
    (finished,) = folder.glob("text/author/version_0/metrics.json")
    finished.unlink()  # killed after its last checkpoint and before its end
    assert "likeliest: bob" in asked(capsys, "--train", root, "--file", by_bob)
    assert finished.is_file() and len(list(finished.parent.parent.iterdir())) == 1


def test_a_training_that_was_asked_to_end_is_not_taken_for_the_whole(
    root, cache, by_bob, capsys, monkeypatch
):
    class Asked(command.AuthorCLI):
        def __init__(self, words):
            super().__init__(words)
            self.ending.asked = True

    (finished,) = (cache / "authors" / fingerprint(root)).glob("text/author/version_0/metrics.json")
    finished.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(command, "AuthorCLI", Asked)
        assert main(["author", "--train", str(root), "--file", str(by_bob), "--device", "cpu"]) == 130
    assert "the same command goes on with the training" in capsys.readouterr().err
    assert not finished.exists()
    assert "likeliest: bob" in asked(capsys, "--train", root, "--file", by_bob)
    assert finished.is_file()


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--train", "{}/ann"], "ann: has no folder; two authors are needed"),
        (["--train", "{}/absent"], "absent: no such folder"),
        ([], "author needs either --train DIR"),
        (["--train", "{}", "--ckpt_path", "{}/ann/all.txt"], "names one that was learnt; give one of them"),
        (["--ckpt_path", "{}/a.ckpt"], "a.ckpt: does not exist"),
        (["--train", "{}", "--file", "{}"], "is a folder, a file is needed"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(root, by_bob, capsys, arguments, cause):
    given = [argument.format(root) for argument in arguments]
    file = [] if "--file" in given else ["--file", str(by_bob)]
    assert main(["author", *file, *given]) == 2
    out, err = capsys.readouterr()
    assert cause in err and err.count("\n") == 1 and out == ""
