"""The four lines of Python: train, generate, keep, and what is refused."""

import inspect
import io
import os
import signal
import subprocess
import sys

import pytest

from modules import TextGenerator
from modules.errors import InputError
from modules.language.language_model import LanguageModel

pytestmark = pytest.mark.usefixtures("one_thread")
RHYME = "Peter Piper picked a peck of pickled peppers.\n"
SMALL = {"layers": 1, "hidden_size": 48, "embedding_size": 16, "dropout": 0.0, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "x.txt"
    path.write_text(RHYME * 80, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(file):
    generator = TextGenerator(**SMALL)
    generator.train_from_file(file, epochs=4)
    return generator


def test_what_was_learnt_is_written(trained, capsys):
    trained.generate(prompt="Peter", length=120, temperature=0.2)
    written = capsys.readouterr().out
    assert written.startswith("Peter Piper picked a peck of pickled peppers.\nPeter Piper")
    trained.generate(n=2, length=10)
    assert len(capsys.readouterr().out.rstrip("\n")) >= 20


def test_output_that_lacks_a_character_ends_nothing(trained, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(TextGenerator, "texts", lambda *_, **__: ["snow ☃"])
    trained.generate()
    assert stdout.buffer.getvalue() == b"snow ?\n"


def test_training_prints_its_progress(file, capsys):
    TextGenerator(**SMALL).train_from_text(RHYME * 10, epochs=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2 and lines[1].startswith("epoch 2/2") and "bits per character" in lines[1]


def test_texts_follow_their_seed_and_differ_from_one_another(trained):
    texts = trained.texts(3, length=60, temperature=3.0, seed=4)
    assert texts == trained.texts(3, length=60, temperature=3.0, seed=4)
    assert len(set(texts)) == 3 and all(len(text) == 60 for text in texts)
    # how many are written at a time changes none
    assert trained.texts(1, length=60, temperature=3.0, seed=4) == texts[:1]
    assert trained.texts(3, length=60, temperature=3.0, seed=5) != texts
    # at temperature 0 there is nothing to draw
    assert len({*trained.texts(2, temperature=0.0), *trained.texts(temperature=0.0, seed=1)}) == 1


def test_a_kept_generator_writes_the_same_and_is_a_checkpoint_of_the_command_line(trained, tmp_path):
    trained.save(tmp_path / "x.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["x.ckpt"]
    again = TextGenerator.load(tmp_path / "x.ckpt")
    assert again.level == "character"
    assert again.texts(2, prompt="Peter", length=50) == trained.texts(2, prompt="Peter", length=50)
    assert LanguageModel.load(tmp_path / "x.ckpt").codec == trained.model.codec


def test_training_goes_on_from_what_was_learnt(file, capsys):
    generator = TextGenerator(**SMALL)
    for _ in range(2):
        generator.train_from_file(file, epochs=2)
    bits = [float(line.split()[2]) for line in capsys.readouterr().out.splitlines() if "bits" in line]
    assert bits[2] < bits[0] - 1


def test_every_training_has_dropout_and_ends_ready_to_write(file, tmp_path, monkeypatch):
    modes = []
    plain = LanguageModel.training_step

    def noted(model, batch, batch_idx):
        modes.append(all(module.training for module in model.decoder.modules()))
        return plain(model, batch, batch_idx)

    monkeypatch.setattr(LanguageModel, "training_step", noted)
    generator = TextGenerator(**SMALL)
    generator.train_from_text(RHYME * 10, epochs=1)
    generator.train_from_text(RHYME * 10, epochs=1)
    generator.save(tmp_path / "x.ckpt")
    again = TextGenerator.load(tmp_path / "x.ckpt")
    again.train_from_text(RHYME * 10, epochs=1)
    assert modes and all(modes)
    assert not generator.model.training and not again.model.training


def test_control_c_keeps_what_was_learnt_and_can_be_pressed_again(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    generator = TextGenerator(**SMALL)
    generator.train_from_text(RHYME * 10, epochs=1)
    monkeypatch.setattr(LanguageModel, "training_step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        generator.train_from_text(RHYME * 10, epochs=1)
    assert signal.getsignal(signal.SIGINT) is before
    assert not generator.model.training and len(generator.texts(length=5)[0]) == 5


def test_sigterm_and_an_exit_of_the_callers_own_are_no_control_c(monkeypatch):
    plain = LanguageModel.training_step

    def terminated(*given):
        os.kill(os.getpid(), signal.SIGTERM)
        return plain(*given)

    def exiting(*_):
        sys.exit(5)

    for ending, status in ((terminated, 128 + signal.SIGTERM), (exiting, 5)):
        monkeypatch.setattr(LanguageModel, "training_step", ending)
        with pytest.raises(SystemExit) as exit:
            TextGenerator(**SMALL).train_from_text(RHYME * 10, epochs=1)
        assert exit.value.code == status


@pytest.mark.parametrize("returned", ["\r\n", "\r"])
def test_line_ends_are_read_as_the_command_line_reads_them(returned, tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(("\ufeff" + RHYME * 10).replace("\n", returned).encode())
    generators = [TextGenerator(**SMALL) for _ in range(2)]
    generators[0].train_from_file(path, epochs=1)
    generators[1].train_from_text("\ufeff" + RHYME.replace("\n", returned) * 10, epochs=1)
    for generator in generators:
        assert set(generator.model.codec.vocabulary.words[4:]) == set(RHYME)
        (text,) = generator.texts(prompt=f"Peter{returned}", length=5)
        assert text.startswith("Peter\n") and len(text) == 11


def test_units_that_a_model_does_not_know_are_told_before_it_goes_on(trained, tmp_path, capsys):
    trained.save(tmp_path / "x.ckpt")
    again = TextGenerator.load(tmp_path / "x.ckpt")
    again.train_from_text(RHYME.replace("a", "á").replace("o", "ó") * 10, epochs=1)
    note = capsys.readouterr().out.splitlines()[0]
    assert note == "note: 20 of 460 characters are unknown to the model, which reads them as <unk>: 'á', 'ó'"
    with pytest.raises(InputError, match="100% of its characters are unknown to the model"):
        again.train_from_text("雪は白い。" * 100, epochs=1)


def test_a_long_epoch_speaks_where_there_is_no_bar(file, capsys, monkeypatch):
    monkeypatch.setattr("modules.language.text_generator.SPEAKS_EVERY", 0.0)
    TextGenerator(**SMALL).train_from_text(RHYME * 30, epochs=1)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) > 3 and all(line.startswith("epoch 1/1  ") for line in lines)
    assert "%" in lines[0] and "bits per character" in lines[0] and "Epoch 0" not in out + err
    assert "" not in lines and err == ""


def test_a_training_that_diverges_says_so_and_keeps_finite_weights():
    generator = TextGenerator(**SMALL | {"learning_rate": 1e38})
    with pytest.raises(
        InputError, match=r"the text: training diverged at step .*lower learning_rate than 1e\+38"
    ):
        generator.train_from_text(RHYME * 10, epochs=3)
    assert not generator.model.training and len(generator.texts(length=5)[0]) == 5


def test_what_stops_a_training_before_its_first_step_is_what_is_raised(monkeypatch):
    def broken(*_):
        raise OSError("no more memory")

    monkeypatch.setattr(LanguageModel, "configure_optimizers", broken)
    with pytest.raises(OSError, match="no more memory"):
        TextGenerator(**SMALL).train_from_text(RHYME * 10, epochs=1)


def test_words_are_written_with_their_blanks(tmp_path):
    generator = TextGenerator("word", **SMALL)
    generator.train_from_text(RHYME * 60, epochs=4)
    (text,) = generator.texts(prompt="Peter Piper", length=16, temperature=0.1)
    assert text.startswith(RHYME.rstrip("\n") + "\nPeter Piper picked")


def test_bytes_need_no_vocabulary():
    generator = TextGenerator("byte", **SMALL)
    generator.train_from_text(RHYME * 10, epochs=1)
    (text,) = generator.texts(prompt="雪", length=5)
    assert text.startswith("雪")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 characters; training needs at least"),
        (b"short", "5 characters; training needs at least"),
        (b"\xff\xfe\xff" * 200, "not UTF-8 at byte 0"),
        (b"a\0bc" * 200, "holds a NUL character and is no text"),
        (None, "No such file"),
    ],
)
def test_files_that_teach_nothing_are_refused(tmp_path, content, words):
    path = tmp_path / "x.txt"
    if content is not None:
        path.write_bytes(content)
    generator = TextGenerator(**SMALL)
    with pytest.raises(InputError, match=words) as error:
        generator.train_from_file(path)
    assert str(path) in str(error.value)
    assert not generator.is_trained


def test_what_cannot_be_asked_is_refused(trained, tmp_path):
    for asked in (TextGenerator().texts, lambda: TextGenerator().save(tmp_path / "x.ckpt")):
        with pytest.raises(InputError, match="nothing was learnt yet"):
            asked()
    with pytest.raises(InputError, match="'é', 'ß'"):
        trained.texts(prompt="éßé")
    with pytest.raises(InputError, match="temperature is -1"):
        trained.texts(temperature=-1.0)
    with pytest.raises(InputError, match="epochs is 0"):
        trained.train_from_text(RHYME * 20, epochs=0)
    with pytest.raises(InputError, match="n is 0; it has to be at least 1"):
        trained.texts(n=0)
    with pytest.raises(InputError, match="length is -1; it has to be at least 0"):
        trained.texts(length=-1)
    with pytest.raises(InputError, match=r"^top_k is -1"):
        trained.texts(top_k=-1)
    begin = inspect.unwrap(TextGenerator.__init__)  # the tests' own check of types would come first
    with pytest.raises(InputError, match="level is 'words'; the nearest is 'word' of character, word, byte"):
        begin(trained, "words")
    with pytest.raises(InputError, match="cell is 'LSTM'; the nearest is 'lstm' of rnn, jordan, lstm"):
        begin(trained, cell="LSTM")


def test_a_checkpoint_makes_its_folder_or_says_why_not(trained, tmp_path):
    trained.save(tmp_path / "new" / "deep" / "x.ckpt")
    assert [path.name for path in (tmp_path / "new" / "deep").iterdir()] == ["x.ckpt"]
    for path in (tmp_path / "new", tmp_path / "new" / "deep" / "x.ckpt" / "y.ckpt"):
        with pytest.raises(InputError, match="cannot be written"):
            trained.save(path)
    assert os.listdir(tmp_path) == ["new"] and os.listdir(tmp_path / "new") == ["deep"]  # noqa: PTH208


def test_importing_the_package_imports_no_lightning():
    command = "import sys, modules; assert not {'torch', 'pytorch_lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60)
    with pytest.raises(ImportError):
        from modules import TextGeneratorr  # noqa: F401
