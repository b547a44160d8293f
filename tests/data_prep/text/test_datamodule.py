"""From a FILE or folder to a trained model: one line on what is wrong, exact resume, honest baselines."""

import random
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from data_prep.text.datamodule import TextDataModule
from modules.decoders.language import LanguageDecoderOptions
from modules.errors import InputError
from modules.language.language_model import LanguageModel
from modules.text_codec import TextCodec

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "runs", "away", "from"]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path / "cache"))
    draw = random.Random(0)
    lines = (" ".join(draw.choices(WORDS, k=draw.randint(3, 9))) + ".\n" for _ in range(600))
    path = tmp_path / "text.txt"
    path.write_text("".join(lines))
    return path


def test_levels_are_measured_in_the_same_characters(file):
    figures = {}
    for level in ("character", "word", "byte"):
        data = TextDataModule(file, level)
        assert data.characters_of("val") == len(data.beginning("val", 10**6))
        assert data.codec.level == level
        figures[level] = data.baselines()
        assert figures[level] == data.baselines("val") != data.baselines("test")
        assert data.unknown_bits("val") == 0
        assert 0 < figures[level]["5-gram"] < figures[level]["unigram"] < 8
    assert figures["character"]["5-gram"] == pytest.approx(figures["byte"]["5-gram"], rel=0.01)
    # a word says at once what its letters say one by one
    assert figures["word"]["unigram"] < figures["character"]["unigram"] / 2


def test_unknown_words_are_paid_for(file):
    whole = TextDataModule(file, "word").baselines()["unigram"]
    data = TextDataModule(file, "word", max_vocabulary=8)
    assert len(data.codec.vocabulary) == 8
    assert data.unknown_bits("val") > 0 and data.baselines()["unigram"] > whole


def test_the_share_of_units_that_a_model_does_not_know_is_told(file, tmp_path, capsys):
    known = TextDataModule(file).read().codec
    assert "unknown" not in capsys.readouterr().out
    other = tmp_path / "other.txt"
    other.write_text("é é é\n" * 300)
    TextDataModule(other).read(known)
    told = capsys.readouterr().out
    assert "; unknown characters: train 50.00%, val 50.00%, test 50.00%\n" in told


def test_baselines_of_a_long_text_count_its_end(file, monkeypatch):
    monkeypatch.setattr("data_prep.text.datamodule.BASELINE_TOKENS", 2000)
    data = TextDataModule(file)
    few = data.baselines()["5-gram"]
    monkeypatch.setattr("data_prep.text.datamodule.BASELINE_TOKENS", 10**7)
    assert few > data.baselines()["5-gram"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 0}, "data.sequence_length is 0; it has to be above 0"),
        ({"batch_size": -1}, "data.batch_size is -1"),
        ({"min_count": 0}, "data.min_count is 0"),
        ({"max_vocabulary": 4}, "data.max_vocabulary is 4; it has to be above 4"),
        ({"encoding": "utf-9"}, "data.encoding is 'utf-9'; the nearest is 'utf-8'"),
        ({"seed": -1}, "data.seed is -1"),
    ],
)
def test_options_out_of_range_are_refused_at_once(options, message):
    with pytest.raises(InputError, match=message):
        TextDataModule(**options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a", "do not fill one window of 128"),
        ("ab " * 20, "54 characters to train on do not fill one window of 128; .*--data.sequence_length"),
        ("a\0b" * 500, "is no text"),
        (b"caf\xe9 " * 200, "text.txt:1: byte 3 is not UTF-8"),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_one_line(file, text, message):
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError, match=message) as caught:
        TextDataModule(file).training_codec()
    assert "\n" not in str(caught.value)


def test_a_text_none_of_whose_units_is_frequent_enough_is_one_line(file):
    file.write_text("once upon a time " * 100)
    with pytest.raises(InputError, match=r"no word .* occurs 5,000 times; give a smaller --data.min_count"):
        TextDataModule(file, level="word", min_count=5000).training_codec()


def test_a_folder_without_files_to_hold_out_is_one_line(tmp_path, file):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/train.txt").write_text("text " * 100)
    (tmp_path / "folder/val.txt").write_text("\ufeff")
    with pytest.raises(InputError, match="too short to hold out"):
        TextDataModule(tmp_path / "folder").training_codec()
    for options in ({"pattern": "*.txt"}, {"encoding": "latin-1"}):
        with pytest.raises(InputError, match=r"is of your own text; name it by --data.file"):
            TextDataModule(**options).read()
    with pytest.raises(InputError, match=r"is a file; data.pattern chooses files of a folder"):
        TextDataModule(file, pattern="*.txt").read()


# ------------------------------------------------------------------------------------------- training


def trainer_of(**options: object) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **options,
    )


def model_of() -> LanguageModel:
    return LanguageModel(LanguageDecoderOptions(layers=1, hidden_size=16, embedding_size=8))


def data_of(file: Path, **options: object) -> TextDataModule:
    return TextDataModule(file, **{"sequence_length": 32, "batch_size": 8, "eval_batch_size": 4, **options})


class SaveAfter(pl.Callback):
    def __init__(self, steps: int, path: Path) -> None:
        self.steps, self.path = steps, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self.steps:
            trainer.save_checkpoint(self.path)


def test_a_fit_goes_on_within_an_epoch_as_if_nothing_had_been(file, tmp_path):
    model, data = model_of(), data_of(file)
    trainer = trainer_of(max_epochs=2, callbacks=[SaveAfter(80, tmp_path / "x.ckpt")])
    trainer.fit(model, data)
    per_epoch = len(data.train_dataloader())
    assert trainer.global_step == 2 * per_epoch and per_epoch < 80 < 2 * per_epoch - 1
    resumed = model_of()
    again = trainer_of(max_epochs=2)
    again.fit(resumed, data_of(file), ckpt_path=str(tmp_path / "x.ckpt"), weights_only=True)
    assert again.global_step == trainer.global_step
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)


def test_scores_depend_on_no_batch_size(file):
    model = model_of()
    scores = []
    for options in ({}, {"eval_batch_size": 1}, {"eval_batch_size": 64, "sequence_length": 501}):
        data = data_of(file, **options)
        model.use_codec(data.training_codec())
        scores.append(trainer_of().validate(model, data, verbose=False)[0]["val/loss"])
        assert len(list(data.val_dataloader())) == len(data.val_dataloader())
    assert scores[1:] == pytest.approx(scores[:1] * 2, rel=1e-5)


def test_a_checkpoints_units_are_used_to_evaluate(file, tmp_path):
    model = model_of()
    model.use_codec(TextCodec.build("word", ["the quick fox\n"]))
    data = data_of(file)  # at character level, if it were for the options
    trainer_of().test(model, data, verbose=False)
    assert data.codec == model.codec and data.unknown_bits("test") > 0


def test_backwards_every_document_is_read_from_its_end(tmp_path):
    for name, text in (("train_a", "abc"), ("train_b", "de"), ("val", "ba")):
        (tmp_path / f"{name}.txt").write_text(text)
    tokens = {}
    for backward in (False, True):
        data = TextDataModule(tmp_path, pattern="*.txt", cache=tmp_path / "cache", backward=backward)
        ids = data.tokens("train").tolist()
        tokens[backward] = "".join("^" if i == 1 else data.codec.vocabulary.words[i] for i in ids)
    assert tokens == {False: "^abc^de", True: "^ed^cba"}
