"""Any text comes back from its ids, whole or in pieces; what the units do not know is said and not lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary

LEVELS = ["character", "word", "byte"]
EXAMPLES = 25  # the table of all code points takes its time
PARTS = [
    *"abI.,;:!?()[]{}<>\"'`-/\\$%@#&*_=+|~^0道。“”…—\u3000\xa0\u2028\t\n\r\x0c",
    " ", "  ", "        ", "n't", "'s", "can", "not", "gonna", "``", "''", "--", "...", "<join>",
    "<unk>", "3,000",
]  # fmt: skip
# what Python holds, halves of characters too, and what trips a tokenizer
texts = st.one_of(
    st.text(st.characters(exclude_categories=())), st.lists(st.sampled_from(PARTS), max_size=25).map("".join)
)


@pytest.mark.parametrize("level", LEVELS)
@settings(max_examples=EXAMPLES)
@given(text=texts)
def test_a_text_comes_back(level: str, text: str) -> None:
    codec = TextCodec.build(level, [text])
    ids = codec.encode(text)
    assert Vocabulary.UNK not in ids and codec.unknown(text) == []
    assert "".join(codec.pieces(text)) == text
    if level == "byte":
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    assert codec.decode(ids) == text


@pytest.mark.parametrize("level", LEVELS)
@settings(max_examples=EXAMPLES)
@given(known=texts, text=texts)
def test_one_piece_stands_for_each_token_known_or_not(level: str, known: str, text: str) -> None:
    codec = TextCodec.build(level, [known])
    ids = codec.encode(text)
    assert len(codec.pieces(text)) == len(codec.units(text)) == len(ids)
    assert (Vocabulary.UNK in ids) == bool(codec.unknown(text))
    assert TextCodec.from_dict(codec.to_dict()) == codec


@pytest.mark.parametrize("level", LEVELS)
@settings(max_examples=EXAMPLES)
@given(parts=st.lists(texts.map(lambda text: text + "\n"), max_size=4))
def test_pieces_that_end_at_a_line_break_are_read_as_the_whole(level: str, parts: list[str]) -> None:
    whole = "".join(parts)
    codec = TextCodec.build(level, [parts])
    assert codec == TextCodec.build(level, [whole])
    encoder = codec.stream_encoder()
    ids = [id for part in parts for id in encoder.push(part).tolist()]
    assert [*ids, *encoder.flush().tolist()] == codec.encode(whole)


@pytest.mark.parametrize("level", LEVELS)
@settings(max_examples=EXAMPLES)
@given(known=texts, numbers=st.lists(st.integers(0, 10**6)))
def test_any_ids_give_a_text_and_the_same_one_in_a_stream(level: str, known: str, numbers: list[int]) -> None:
    codec = TextCodec.build(level, [known])
    ids = [number % len(codec.vocabulary) for number in numbers]
    decoder = codec.stream_decoder()
    assert "".join(map(decoder.push, ids)) + decoder.flush() == codec.decode(ids)
