"""sample and complete: what they write, that seeds repeat it, and that probabilities are true."""

import io
import json
import math
import os
import sys
from itertools import product

import pytest
import torch

from modules.decoding import DecodingOptions
from modules.language import continuation as text_continuation
from modules.language.completion import complete as most_probable
from modules.language.continuation import continuations, read_prompt
from modules.language.surprise import SurpriseReader, TextReader, opening
from modules.vocabulary import Vocabulary
from pipelines.language import write as continuing
from pipelines.language.write import boundary
from pipelines.text import main
from tests.pipelines.language.tiny_language_models import TEXT, save, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(tiny_model(), tmp_path_factory.mktemp("tiny") / "model.ckpt")


def run(command, path, capsys, *arguments):
    assert main([command, "--ckpt_path", str(path), *arguments]) == 0
    return capsys.readouterr().out


def total(model, text: str) -> float:
    """Log-probability of a text from its beginning."""
    reader = TextReader(model.codec, model.decoder)
    reader.push(text)
    reader.flush()
    return reader.score.log_prob


# ---- sample


def test_a_seed_repeats_its_text_and_another_does_not(checkpoint, capsys):
    first, again, other = (
        run("sample", checkpoint, capsys, "--prompt", "def ", "--length", "60", "--seed", seed)
        for seed in ("1", "1", "2")
    )
    assert first == again != other
    assert first.startswith("def ") and len(first) == 4 + 60 + 1


def test_the_first_of_several_texts_is_the_one_that_stands_alone(checkpoint, capsys):
    options = ("--prompt", "The", "--length", "30", "--seed", "3")
    alone = run("sample", checkpoint, capsys, *options)
    several = run("sample", checkpoint, capsys, *options, "--samples", "3")
    texts = [text.split(" of 3\n", 1)[1] for text in several.split("----- ")[1:]]
    assert len(texts) == 3 and texts[0] == f"{alone}\n" and len(set(texts)) == 3
    assert all(text.startswith("The") for text in texts)


@pytest.mark.parametrize("temperature", ["0", "1e-4"])
def test_without_temperature_the_most_probable_unit_is_taken(checkpoint, capsys, temperature):
    model = tiny_model()
    text, reader = "def ", SurpriseReader(model.decoder, opening(model.codec))
    reader.read(model.codec.encode(text))
    for _ in range(20):
        best = 4 + int(reader.following[4:].argmax())
        text += model.codec.decode([best])
        reader.read([best])
    options = ("--prompt", "def ", "--length", "20", "--temperature", temperature)
    assert run("sample", checkpoint, capsys, *options) == f"{text}\n"


def test_units_are_written_as_they_come(checkpoint, monkeypatch):
    written: list[tuple[str, int]] = []

    class Stream(io.StringIO):
        def flush(self):
            written.append((self.getvalue(), drawn[0]))

    drawn = [0]
    plain = text_continuation.sample_stream

    def counted(*arguments, **options):
        for tokens in plain(*arguments, **options):
            drawn[0] += 1
            yield tokens

    monkeypatch.setattr(text_continuation, "sample_stream", counted)
    monkeypatch.setattr(sys, "stdout", Stream())
    assert main(["sample", "--ckpt_path", str(checkpoint), "--prompt", "a", "--length", "5"]) == 0
    lengths = [(len(text), count) for text, count in written]
    assert lengths[:6] == [(1 + count, count) for count in range(6)]
    assert drawn == [5]  # nothing is drawn that is not shown


def test_a_character_is_written_when_its_last_byte_has_come(monkeypatch):
    model = tiny_model(level="byte")
    ids = [byte + 4 for byte in "é😀".encode() + b"\xe2\x82"]
    monkeypatch.setattr(
        text_continuation, "sample_stream", lambda *_, **__: (torch.tensor([id]) for id in ids)
    )
    texts = continuations(model, read_prompt(model.codec, "x"), DecodingOptions(), len(ids), 1)
    assert [text for (text,) in texts] == ["", "é", "", "", "", "😀", "", "", "\ufffd"]


@pytest.mark.parametrize("level", ["character", "word"])
def test_the_mark_of_unknown_units_is_never_written(level, tmp_path, capsys):
    model = tiny_model(level=level)
    with torch.no_grad():
        model.decoder.output.bias[Vocabulary.UNK] = 60.0
    path = save(model, tmp_path / "model.ckpt")
    text = run("sample", path, capsys, "--length", "80")
    assert "<unk>" not in text and "\ufffd" not in text
    for row in json.loads(run("complete", path, capsys, "--json"))["completions"]:
        assert "<unk>" not in row["text"] and "\ufffd" not in row["text"]


def test_top_k_and_top_p_narrow_the_choice(checkpoint, capsys):
    greedy = run("sample", checkpoint, capsys, "--length", "30", "--temperature", "0")
    for option in (("--top_k", "1"), ("--top_p", "1e-9")):
        assert run("sample", checkpoint, capsys, "--length", "30", *option) == greedy
    assert run("sample", checkpoint, capsys, "--length", "30") != greedy


def test_a_reader_that_has_gone_away_ends_it_quietly(checkpoint, monkeypatch, capfd):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["sample", "--ckpt_path", str(checkpoint), "--length", "10000000"]) == 0
    assert "Error" not in capfd.readouterr().err


def test_a_blank_after_the_last_word_of_a_prompt_is_not_doubled():
    model = tiny_model("the cat sat. the dog ran , here\n" * 2, "word")
    with_blank, without = read_prompt(model.codec, "the cat "), read_prompt(model.codec, "the cat")
    assert with_blank == (without.tokens, True)
    begun = 0
    for seed in range(8):
        options = DecodingOptions("sample", seed=seed)
        written, plain = (
            "".join(text for (text,) in continuations(model, prompt, options, 12, 1))
            for prompt in (with_blank, without)
        )
        assert written == plain.removeprefix(" ")
        begun += plain.startswith(" ")
    assert begun  # some begin with a word, which brings its blank
    assert read_prompt(model.codec, "the\n").blank_held is False


# ---- complete


def all_continuations(model, prompt: str, length: int) -> dict[str, float]:
    """Log-probability of every next word of up to so many characters and the end after it, by enumeration."""
    units = model.codec.vocabulary.words[4:]
    before, found = total(model, prompt), {}
    for size in range(1, length + 1):
        for characters in product(units, repeat=size):
            text = "".join(characters)
            inside = [c.isalnum() for c in text]
            if any(inside) and inside == sorted(inside):  # blanks, then letters
                ends = [total(model, prompt + text + end) for end in units if not end.isalnum()]
                found[text] = float(torch.tensor(ends).logsumexp(0)) - before
    return found


def test_completions_have_the_probabilities_of_exhaustive_enumeration(tmp_path, capsys):
    model = tiny_model("ab \n", hidden_size=4)
    path = save(model, tmp_path / "model.ckpt")
    options = ("--prompt", "a", "--n", "6", "--max_length", "4", "--beam_size", "1000", "--json")
    printed = json.loads(run("complete", path, capsys, *options))
    wanted = all_continuations(model, "a", 3)
    rows = [row for row in printed["completions"] if row["finished"]]
    assert printed["exact"] and rows
    for row in rows:
        assert row["log_prob"] == pytest.approx(wanted[row["text"]], abs=1e-4)
        assert row["probability"] == pytest.approx(math.exp(row["log_prob"]))
    listed = {row["text"] for row in rows}
    last = printed["completions"][-1]["log_prob"]
    assert all(value <= last + 1e-4 for text, value in wanted.items() if text not in listed)
    log_probs = [row["log_prob"] for row in printed["completions"]]
    assert log_probs == sorted(log_probs, reverse=True) and len(listed) == len(rows)


@pytest.mark.parametrize("level", ["character", "word", "byte"])
def test_lines_end_before_their_line_break(level, tmp_path, capsys):
    model = tiny_model("ab b\nb a\n" * 3, level)
    path = save(model, tmp_path / "model.ckpt")
    printed = json.loads(run("complete", path, capsys, "--prompt", "b", "--until", "line", "--json"))
    for row in printed["completions"]:
        assert "\n" not in row["text"]
        if row["finished"] and "\ufffd" not in row["text"] and level != "word":
            wanted = total(model, f"b{row['text']}\n") - total(model, "b")
            assert row["log_prob"] == pytest.approx(wanted, abs=1e-4)


def test_two_completions_that_read_the_same_are_one():
    model = tiny_model(level="byte")
    found = most_probable(
        model.decoder.step,
        torch.full((1, 260), -20.0).index_fill(1, torch.tensor([0x80 + 4, 0x81 + 4]), 0.0),
        model.decoder.init_state(1),
        boundary(model.codec, "word")._replace(ends_after=torch.ones(260, dtype=torch.bool)),
        n=2,
        beam_size=5,
        max_length=3,
    )
    (row,) = continuing._distinct(model.codec, read_prompt(model.codec, ""), found)
    assert row["text"] == "\ufffd" and row["probability"] == pytest.approx(1, abs=1e-3)


def test_the_table_shows_prompt_and_probabilities_as_text(checkpoint, capsys):
    printed = run("complete", checkpoint, capsys, "--prompt", "def f(x) <b>", "--n", "3")
    assert printed.count("def f(x) <b>") == 3 and printed.count("%") == 4 and "together" in printed


# ---- what is wrong


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["sample", "--prompt", "a☃ñ☃"], "--prompt: characters that are not among the"),
        (["complete", "--prompt", "☃"], "'☃'"),
        (["sample", "--temperature=-1"], "temperature is -1"),
        (["sample", "--top_p", "0"], "top_p is 0"),
        (["sample", "--top_k=-1"], "top_k is -1"),
        (["sample", "--length=-1"], "length is -1"),
        (["sample", "--samples", "0"], "samples is 0"),
        (["complete", "--n", "0"], "n is 0"),
        (["complete", "--beam_size", "0"], "beam_size is 0"),
        (["complete", "--until", "wort"], "'word'"),
        (["sample", "--promt", "x"], "nearest is 'prompt'"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(checkpoint, capsys, arguments, cause):
    assert main([*arguments, "--ckpt_path", str(checkpoint)]) == 2
    out, err = capsys.readouterr()
    assert cause in err and err.count("\n") == 1 and out == ""


def test_all_unknown_characters_are_named(checkpoint, capsys):
    main(["sample", "--ckpt_path", str(checkpoint), "--prompt", "a☃ñ☃b語"])
    err = capsys.readouterr().err
    assert "'☃', 'ñ', '語'" in err and "'a'" not in err
    assert set(TEXT) >= {"a", "b"}


@pytest.mark.parametrize("command", ["sample", "complete"])
def test_what_is_no_language_model_is_refused(command, tmp_path, capsys):
    other = tmp_path / "caption.ckpt"
    torch.save({"task": "caption", "state_dict": {}, "hyper_parameters": {}}, other)
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(b"PK\x03\x04 no")
    for path, cause in (
        (other, "'caption'"),
        (broken, "no readable"),
        (tmp_path / "x.ckpt", "does not exist"),
    ):
        assert main([command, "--ckpt_path", str(path)]) == 2
        err = capsys.readouterr().err
        assert cause in err and err.count("\n") == 1
