"""What the door to text prints of a text and of the recall task, and how it fails."""

from pathlib import Path

import pytest
import torch

from data_prep.text.__main__ import main
from data_prep.text.recall import WORDS, as_text, recall_batch


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "text.txt"
    path.write_text("the quick fox runs over a lazy dog.\n" * 600)
    return path


def test_reading_prints_what_fit_would_read(file, capsys):
    assert main([str(file)]) == 0
    printed = capsys.readouterr().out
    assert "characters: train" in printed and "100.00 %" in printed and "text.txt characters" in printed
    assert main([str(file), "--level", "word", "--max_vocabulary", "8"]) == 0
    assert "4 different words" in capsys.readouterr().out
    file.write_bytes(b"\x89PNG\r\n\0")
    assert main([str(file)]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {file}: is no text") and message.count("\n") == 1


def test_the_command_prints_sentences_and_what_guessing_gives(capsys):
    assert main(["recall", "--distance", "4", "--sentences", "3", "--seed", "7"]) == 0
    *sentences, last = capsys.readouterr().out.splitlines()
    batch = recall_batch(3, 4, torch.Generator().manual_seed(7))
    expected = [f"{as_text(words)} -> {WORDS[words[0]]}" for words in batch.words.tolist()]
    assert sentences == expected
    assert all(len(line.split()) == 5 + 2 for line in sentences)
    assert "12.5%" in last


@pytest.mark.parametrize(
    "arguments, cause",
    [
        (["--distance", "0"], "distance 0"),
        (["--sentences", "0"], "0 sentences"),
        (["--seed", "-1"], "seed is -1"),
        (["--seed", str(2**64)], f"seed is {2**64}; it has to be below"),
    ],
)
def test_wrong_options_are_one_line_and_status_2(arguments, cause, capsys):
    assert main(["recall", *arguments]) == 2
    printed = capsys.readouterr()
    assert cause in printed.err and printed.err.count("\n") == 1 and not printed.out
