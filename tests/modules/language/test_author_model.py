"""A trunk that authors share: what each head says, what each learns from, and what is not scored."""

import math

import numpy as np
import pytest
import torch

from modules.decoders.language import LanguageDecoderOptions
from modules.errors import InputError
from modules.language.author_model import AuthorModel
from modules.language.batch import AuthorBatch, LabelledBatch
from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")
TEXT = "the cat sat\nand the dog ran\n"


def model(seed: int = 0) -> AuthorModel:
    made = AuthorModel(LanguageDecoderOptions(layers=1, embedding_size=5, hidden_size=6))
    made.use_authors(TextCodec.build("character", [TEXT]), ["ann", "bob", "cid"])
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return made.eval()


def by_hand(made: AuthorModel, text: str, author: int) -> list[float]:
    """-log2 p of every character by one author's head, step by step."""
    state, bits = made.decoder.init_state(1), []
    ids = made.codec.encode(text)
    for before, target in zip([*made.codec.encode("\n"), *ids], ids, strict=False):
        h, state = made.decoder.read(torch.tensor([[before]]), state)
        weight = made.decoder.output.weight + made.head_weight[author]
        logits = weight @ h[0, 0] + made.decoder.output.bias + made.head_bias[author, 0]
        logits[made.decoder.output.never] = -torch.inf
        bits.append(-float(logits.log_softmax(0)[target]) / math.log(2))
    return bits


@torch.no_grad()
def test_bits_are_those_of_each_head_over_the_shared_state(monkeypatch):
    made = model()
    text = "the dog sat\nthe cat ran\n"
    expected = [np.mean(by_hand(made, text, author)) for author in range(3)]
    found, scored = made.bits_of(text)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert scored == len(text) and np.ptp(expected) > 0.1
    monkeypatch.setattr("modules.language.author_model.CHUNK", 5)
    np.testing.assert_allclose(made.bits_of(text)[0], expected, rtol=1e-5)


@torch.no_grad()
def test_unknown_characters_are_read_and_not_scored():
    made = model()
    text = "the ☃dog"
    found, scored = made.bits_of(text)
    assert scored == len(text) - 1
    for author in range(3):
        bits = by_hand(made, text, author)
        assert found[author] == pytest.approx(np.mean(bits[:4] + bits[5:]), rel=1e-5)
    assert made.bits_of("☃☃") == (pytest.approx([0, 0, 0]), 0)


def test_a_stream_trains_the_trunk_and_the_head_of_its_author_alone():
    made = model().train()
    ids = torch.tensor([made.codec.encode("the cat"), made.codec.encode("and the")])
    batch = AuthorBatch(ids[:, :-1], ids[:, 1:].clone(), torch.tensor([True, True]), torch.tensor([2, 0]))
    batch.targets[0, -1] = Vocabulary.PAD
    nats, units, _ = made.losses(batch, made.decoder.init_state(2))
    nats.backward()
    assert units == 11
    reached = made.head_weight.grad.abs().sum((1, 2)) > 0
    assert reached.tolist() == [True, False, True]
    assert (
        made.decoder.output.weight.grad.abs().sum() > 0 and made.decoder.embedding.weight.grad.abs().sum() > 0
    )
    with torch.inference_mode():
        for row, author in enumerate(batch.authors.tolist()):
            bits, _ = made.read(ids[row : row + 1])
            own = bits[0, : 5 if row == 0 else 6, author].sum()
            expected = own if row == 0 else expected + own
    assert float(nats.detach()) == pytest.approx(float(expected) * math.log(2), rel=1e-5)


def test_passages_are_scored_and_calibrated(monkeypatch):
    made = model()
    monkeypatch.setattr(AuthorModel, "log", lambda self, *args, **kwargs: None)
    texts = [TEXT, "the dog ran\nthe cat", "a cat and a hat\n"]
    rows = [made.codec.encode("\n" + text) for text in texts]
    tokens = torch.zeros(3, max(map(len, rows)), dtype=torch.long)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    lengths = torch.tensor([len(ids) for ids in rows])
    made.begin_evaluation()
    made.evaluate(LabelledBatch(tokens, lengths, torch.tensor([0, 1, 2])), 0)
    made.conclude_evaluation("test")
    for bits, length, text in zip(made.bits, made.lengths, texts, strict=True):
        found, scored = made.bits_of(text)
        np.testing.assert_allclose(bits, found, rtol=1e-5)
        assert length == scored
    assert made.calibration.power == 1.0
    assert made.confusion.sum() == 3
    made.conclude_evaluation("val")
    assert made.calibration != model().calibration


def test_a_checkpoint_knows_authors_and_calibration(tmp_path):
    made = model()
    made.calibration = made.calibration._replace(power=0.5)
    checkpoint = {"hyper_parameters": dict(made.hparams), "state_dict": made.state_dict()}
    made.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "a.ckpt")
    again = AuthorModel.load(tmp_path / "a.ckpt")
    assert again.authors == ["ann", "bob", "cid"] and again.calibration == made.calibration
    np.testing.assert_array_equal(again.bits_of(TEXT)[0], made.bits_of(TEXT)[0])
    with pytest.raises(InputError, match="authors are not those of the training texts"):
        again.use_authors(again.codec, ["ann", "bob"])
