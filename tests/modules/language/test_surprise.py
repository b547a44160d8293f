"""Log-probabilities of a text against a loop over single steps, whatever its pieces and chunks."""

import math
import re

import pytest
import torch

from modules.decoders.language import LanguageDecoderOptions
from modules.language.language_model import LanguageModel
from modules.language.surprise import SurpriseReader, TextReader, opening
from modules.metrics.language import Spelling
from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")
TEXT = "The cat sat (on é), and\nthe dog ran.\n  It's over there. " * 3


def make_model(level="character", text=TEXT, **options) -> LanguageModel:
    settings = {"hidden_size": 6, "embedding_size": 4, "layers": 2} | options
    torch.manual_seed(0)
    model = LanguageModel(LanguageDecoderOptions(**settings))
    model.use_codec(TextCodec.build(level, [text]))
    for parameter in model.decoder.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


def by_hand(model: LanguageModel, ids: list[int]) -> list[float]:
    """Log-probability of every id, one step of the decoder after the other from a line break on."""
    state, before, log_probs = model.decoder.init_state(1), opening(model.codec), []
    with torch.no_grad():
        for id in ids:
            logits, state, _ = model.decoder.step(torch.tensor([before]), state)
            log_probs.append(float(logits[0, id] - logits[0].logsumexp(0)))
            before = id
    return log_probs


def read(model, text, piece=10**6, **options):
    reader = TextReader(model.codec, model.decoder, **options)
    units = [unit for at in range(0, len(text), piece) for unit in reader.push(text[at : at + piece])]
    return units + reader.flush(), reader.score


@pytest.mark.parametrize("level", ["character", "word", "byte"])
@pytest.mark.parametrize("options", [{}, {"cell": "gru"}, {"kind": "fixed_window", "window": 3}], ids=str)
def test_a_text_has_the_probability_of_its_steps(level, options):
    model = make_model(level, **options)
    units, score = read(model, TEXT)
    wanted = by_hand(model, model.codec.encode(TEXT))
    assert [unit.log_prob for unit in units] == pytest.approx(wanted, abs=1e-4)
    assert score.log_prob == pytest.approx(sum(wanted), abs=1e-3)
    assert "".join(unit.text for unit in units) == TEXT
    assert (score.units, score.characters, score.unknown) == (len(wanted), len(TEXT), 0)
    assert score.bits_per_char == pytest.approx(-sum(wanted) / math.log(2) / len(TEXT), rel=1e-5)
    assert score.perplexity == pytest.approx(math.exp(-sum(wanted) / len(wanted)), rel=1e-4)
    assert sum(unit.bits for unit in units) == pytest.approx(score.bits_per_char * len(TEXT), rel=1e-6)


@pytest.mark.parametrize(("chunk", "piece"), [(1, 1000), (7, 5), (64, 1), (7, 1000)])
def test_neither_chunks_nor_pieces_change_anything(chunk, piece):
    model = make_model()
    wanted, whole = read(model, TEXT)
    units, score = read(model, TEXT, piece, chunk=chunk)
    assert [unit.text for unit in units] == [unit.text for unit in wanted]
    assert [unit.log_prob for unit in units] == pytest.approx([unit.log_prob for unit in wanted], abs=1e-5)
    assert [unit.expected for unit in units] == [unit.expected for unit in wanted]
    assert score.log_prob == pytest.approx(whole.log_prob, abs=1e-4) and score.units == whole.units


def test_words_do_not_depend_on_pieces_that_end_after_blanks():
    model = make_model("word")
    wanted, whole = read(model, TEXT)
    reader = TextReader(model.codec, model.decoder)
    pieces = re.findall("[^ ]* ", TEXT)
    assert "".join(pieces) == TEXT
    units = [unit for piece in pieces for unit in reader.push(piece)] + reader.flush()
    assert [unit.text for unit in units] == [unit.text for unit in wanted]
    assert [unit.log_prob for unit in units] == pytest.approx([unit.log_prob for unit in wanted], abs=1e-5)
    assert reader.score.log_prob == pytest.approx(whole.log_prob, abs=1e-4)


def test_what_was_expected_is_the_most_probable_unit():
    model = make_model()
    units, _ = read(model, TEXT[:30])
    state, before = model.decoder.init_state(1), opening(model.codec)
    for unit, id in zip(units, model.codec.encode(TEXT[:30]), strict=True):
        with torch.no_grad():
            logits, state, _ = model.decoder.step(torch.tensor([before]), state)
        best = int(logits.argmax())
        assert unit.expected == model.codec.vocabulary.words[best]
        assert unit.expected_log_prob == pytest.approx(float(logits.log_softmax(1)[0, best]), abs=1e-5)
        assert unit.log_prob <= unit.expected_log_prob
        before = id


def test_unknown_units_are_counted_and_pay_for_their_spelling():
    model = make_model("word")
    units, score = read(model, "The zebra sat")
    wanted = by_hand(model, model.codec.encode("The zebra sat"))
    spelling = Spelling(model.codec).unit_bits("zebra")
    assert [unit.text for unit in units] == ["The", " zebra", " sat"] and score.unknown == 1
    assert score.log_prob == pytest.approx(sum(wanted), abs=1e-4)
    assert units[1].bits == pytest.approx(spelling - wanted[1] / math.log(2), abs=1e-4)
    assert score.bits_per_char == pytest.approx((spelling - sum(wanted) / math.log(2)) / 13, abs=1e-4)


def test_units_that_a_model_gives_no_probability_are_left_out():
    model = make_model(unknown=False)
    units, score = read(model, "The ☃☃ cat")
    wanted = by_hand(model, model.codec.encode("The ☃☃ cat"))
    assert [math.isnan(unit.log_prob) for unit in units] == [c == "☃" for c in "The ☃☃ cat"]
    assert score.log_prob == pytest.approx(sum(p for p in wanted if p > -math.inf), abs=1e-4)
    assert (score.units, score.scored_units, score.scored_characters, score.unknown) == (10, 8, 8, 2)
    assert score.bits_per_char == pytest.approx(-score.log_prob / math.log(2) / 8)
    assert score.uniform_bits_per_char(16) == pytest.approx(4)


def test_the_logits_that_follow_are_those_after_the_last_unit():
    model = make_model()
    ids = model.codec.encode(TEXT[:20])
    reader = SurpriseReader(model.decoder, opening(model.codec), chunk=6)
    reader.read(ids)
    with torch.no_grad():
        logits, _ = model.decoder(torch.tensor([[opening(model.codec), *ids]]), model.decoder.init_state(1))
    assert torch.allclose(reader.following, logits[0, -1], atol=1e-5)
    assert len(reader.read([]).log_probs) == 0


@pytest.mark.parametrize("level", ["character", "word", "byte"])
def test_a_text_stands_after_a_line_break_where_there_is_one(level):
    codec = TextCodec.build(level, [TEXT])
    assert codec.decode([opening(codec)]) == "\n"
    assert opening(TextCodec.build("character", ["no line ends"])) == Vocabulary.BOS
