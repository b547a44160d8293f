"""sample: what it writes, and that seeds repeat it."""

import io
import os
import sys

import pytest
import torch

from modules.decoding import DecodingOptions
from modules.language import continuation as text_continuation
from modules.language.continuation import continuations, read_prompt
from modules.language.surprise import SurpriseReader, opening
from modules.vocabulary import Vocabulary
from pipelines.text import main
from tests.pipelines.language.tiny_language_models import TEXT, never_known, save, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")


def run(command, path, capsys, *arguments):
    assert main([command, "--ckpt_path", str(path), *arguments]) == 0
    return capsys.readouterr().out


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


@pytest.mark.parametrize("level", ["character", "word", "byte"])
@pytest.mark.parametrize("written", ["def f(x):\n    ", "def f(x):\r\n    \r\n", "\ufeffdef f(x):\r    \r"])
def test_a_prompt_from_a_file_is_read_as_training_texts_are(level, written, tmp_path, capsys):
    path, file = save(tiny_model(level=level), tmp_path / "model.ckpt"), tmp_path / "prompt.txt"
    file.write_bytes(written.encode())
    plain = run("sample", path, capsys, "--prompt", "def f(x):\n    ", "--length", "20")
    assert plain.startswith("def f(x):\n    ")
    assert run("sample", path, capsys, "--prompt_file", str(file), "--length", "20") == plain


def test_a_prompt_longer_than_one_pass_is_read_to_its_end(tmp_path, capsys):
    path, file = save(tiny_model(), tmp_path / "model.ckpt"), tmp_path / "prompt.txt"
    model, text = tiny_model(), TEXT * 20
    file.write_text(text + "\n", encoding="utf-8")
    reader = SurpriseReader(model.decoder, opening(model.codec))
    reader.read(model.codec.encode(text))
    best = model.codec.decode([4 + int(reader.following[4:].argmax())])
    options = ("--prompt_file", str(file), "--length", "1", "--temperature", "0")
    assert run("sample", path, capsys, *options) == f"{text}{best}\n"


def test_a_word_that_the_model_does_not_know_is_read_as_such_after_one_line(tmp_path, capsys):
    path = save(tiny_model(level="word"), tmp_path / "model.ckpt")
    options = ["--prompt", "The zebra sat, zebra", "--length", "5"]
    assert main(["sample", "--ckpt_path", str(path), *options]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("The zebra sat, zebra")
    assert err == "note: --prompt: 1 word that the model does not know, read as <unk>: 'zebra'\n"
    prompt = read_prompt(tiny_model(level="word").codec, "The zebra", told=False)
    assert prompt.tokens[-1] == Vocabulary.UNK and capsys.readouterr().err == ""


@pytest.mark.parametrize("level", ["character", "word"])
def test_the_mark_of_unknown_units_is_never_written(level, tmp_path, capsys):
    text = run("sample", never_known(level, tmp_path), capsys, "--length", "80")
    assert "<unk>" not in text and "\ufffd" not in text


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--prompt", "a☃ñ☃"], "--prompt: characters that are not among the"),
        (["--temperature=-1"], "temperature is -1"),
        (["--top_p", "0"], "top_p is 0"),
        (["--top_k=-1"], "top_k is -1"),
        (["--length=-1"], "length is -1"),
        (["--samples", "0"], "samples is 0"),
        (["--prompt", "e\u0301"], "'\u0301'; all are known when they are composed (Unicode's NFC)"),
        (["--prompt_file", "absent.txt"], "absent.txt: no such file"),
        (["--prompt_file", "/"], "/: is a folder"),
        (["--prompt_file", "x.txt", "--prompt", "a"], "are both given"),
        (["--promt", "x"], "nearest is 'prompt'"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(checkpoint, capsys, arguments, cause):
    assert main(["sample", *arguments, "--ckpt_path", str(checkpoint)]) == 2
    out, err = capsys.readouterr()
    assert cause in err and err.count("\n") == 1 and out == ""


def test_all_unknown_characters_are_named(checkpoint, capsys):
    main(["sample", "--ckpt_path", str(checkpoint), "--prompt", "a☃ñ☃b語"])
    err = capsys.readouterr().err
    assert "'☃', 'ñ', '語'" in err and "'a'" not in err
    assert set(TEXT) >= {"a", "b"}


TUNE = "X:1\nM:4/4\nL:1/4\nK:C\nCDEF|GABc|\n"


def test_a_tune_is_written_as_midi_and_sound(tmp_path, capsys):
    pytest.importorskip("music21")
    path = save(tiny_model(TUNE + "\n"), tmp_path / "model.ckpt")
    midi, sound = tmp_path / "tune.mid", tmp_path / "tune.wav"
    prompt = tmp_path / "prompt.txt"
    prompt.write_text(TUNE + "\n\n")  # the tune ends here, whatever the model writes
    options = ("--prompt_file", str(prompt), "--length", "5", "--midi", str(midi), "--wav", str(sound))
    assert run("sample", path, capsys, *options).startswith(TUNE)
    assert midi.read_bytes()[:4] == b"MThd" and sound.read_bytes()[:4] == b"RIFF"
    assert main(["sample", "--ckpt_path", str(path), *options]) == 2
    assert "exists already" in capsys.readouterr().err
    prompt.write_text("X:1\nK:C\nXX\n\n" + TUNE + "\n\n")  # the first that can be read is played
    again = tmp_path / "again.mid"
    run("sample", path, capsys, "--prompt_file", str(prompt), "--length", "5", "--midi", str(again))
    assert again.read_bytes() == midi.read_bytes()
    for options, cause in [
        (("--wav", str(tmp_path / "a.wav"), "--samples", "2"), "samples is 2; --midi and --wav play"),
        (("--wav", str(tmp_path / "a.wav"), "--prompt", "CDEF"), "try another --seed, a lower --temp"),
    ]:
        assert main(["sample", "--ckpt_path", str(path), "--length", "5", *options]) == 2
        assert cause in capsys.readouterr().err and not (tmp_path / "a.wav").exists()
