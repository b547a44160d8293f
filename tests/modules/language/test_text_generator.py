"""The four lines of Python: train, generate, keep, and what is refused."""

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


def test_importing_the_package_imports_no_lightning():
    command = "import sys, modules; assert not {'torch', 'pytorch_lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60)
    with pytest.raises(ImportError):
        from modules import TextGeneratorr  # noqa: F401
