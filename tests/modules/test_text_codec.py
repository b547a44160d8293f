# ruff: noqa: RUF001
"""Text to ids and back at every level: nothing lost, unknown units named, streams equal to wholes."""

import io
import pickle
import random
import time

import pytest
import torch

from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary
from modules.word_tokens import JOIN, WordJoiner, WordSplitter

PROSE = (
    "He said, \"Hello there,\" and (quietly) left.\nShe can't — won't! It's $5, 3,000 or 50%; isn't it?\n\n"
    "“Yes,” said Mr. O'Hara of the U.S. — cannot you see?\n"
)
CODE = (
    'def f(x, *, y=1):\n    """Adds."""\n\treturn {"a": x[0] + y}  # it\'s done\n\n'
    '\n            f(f"{x!r}")\n'
)
CHINESE = "道可道，非常道。名可名，非常名。\n他说：“你好！” abc 混合text 𠀋字\u3000终\n"
STRANGE = "𝔘𝔫𝔦 👩‍👩‍👧 e\u0301 \u2028 \xa0 <unk> <join> <pad> `` '' \\frac{a}{b} |:G2 A2|\x0c  \n \t \n"
TEXTS = [PROSE, CODE, CHINESE, STRANGE]
LEVELS = ["character", "word", "byte"]


def codec_of(level: str, *texts: str) -> TextCodec:
    return TextCodec.build(level, texts or TEXTS)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("text", [*TEXTS, "", " ", "\n", "".join(TEXTS)])
def test_a_text_comes_back(level: str, text: str) -> None:
    codec = codec_of(level)
    ids = codec.encode(text)
    assert all(id >= 4 for id in ids)
    assert codec.decode(ids) == text
    assert codec.unknown(text) == []
    assert "".join(codec.pieces(text)) == text
    assert len(codec.pieces(text)) == len(codec.units(text)) == len(ids)
    assert codec.vocabulary.encode(codec.units(text)) == ids


def test_any_characters_come_back() -> None:
    draw = random.Random(0)
    alphabet = [*"ab'd.,-:;!?\"`()[]{}<>sntlm é犬013#$%&@/’“”…—\u3000\xa0\t\n\u2028\\", *" " * 9]
    alphabet += ["n't", "``", "''", "cannot", "𝒳", JOIN, "<unk>"]
    for _ in range(500):
        text = "".join(draw.choices(alphabet, k=draw.randint(0, 12)))
        codec = codec_of("word", text)
        words = codec.units(text)
        assert "".join(codec.pieces(text)) == text, words
        assert "<unk>" not in words
        assert codec.decode(codec.encode(text)) == text


def split_words(text: str) -> list[str]:
    splitter = WordSplitter()
    return splitter.push(text) + splitter.flush()


def test_words_are_the_tokenizers_and_their_spacing_is_read_without_tokens() -> None:
    assert split_words('He said, "Don\'t (ever) go."\n') == [
        *["He", "said", ",", '"', "Do", "n't", "(", "ever", ")", "go", ".", '"', "\n"]
    ]
    assert split_words("他说：“好” ok") == ["他", "说", "：", "“", "好", "”", "ok"]
    assert split_words("f(x)\n      y = 1") == [
        *["f", JOIN, "(", "x", ")", "\n", "    ", "  ", "y", "=", "1"],
    ]
    # ordinary prose needs next to no tokens for its blanks
    prose = 'The cat, which isn\'t ours, sat; "it was late," she said (twice). Was it? It was!\n' * 3
    assert not {JOIN, " "} & set(split_words(prose))


def test_words_that_a_model_wrote_read_naturally() -> None:
    words = [
        "We",
        "ca",
        "n't",
        "go",
        ",",
        '"',
        "he",
        "said",
        '"',
        "(",
        "twice",
        ")",
        ".",
        "\n",
        "好",
        "的",
        "。",
    ]
    joiner = WordJoiner()
    assert "".join(map(joiner.push, words)) == 'We can\'t go, "he said" (twice).\n好的。'


@pytest.mark.parametrize("level", ["character", "word"])
def test_unknown_units_are_named_once_in_order(level: str) -> None:
    codec = codec_of(level, "a b c")
    text = "a é b 犬 é\ud800"
    wanted = {"character": ["é", "犬", "\ud800"], "word": ["é", "犬", "é\ud800"]}[level]
    assert codec.unknown(text) == wanted
    ids = codec.encode(text)
    assert [u for u, id in zip(codec.units(text), ids, strict=True) if id == Vocabulary.UNK][:2] == [
        "é",
        "犬",
    ]
    encoder = codec.stream_encoder()
    encoder.push(text)
    assert list(encoder.unknown) == wanted and sum(encoder.unknown.values()) == ids.count(Vocabulary.UNK)
    assert ("\ufffd" if level == "character" else "<unk>") in codec.decode(ids)


def test_the_vocabulary_is_of_the_frequent_units() -> None:
    assert codec_of("character", "abacab", "ba").vocabulary.words[4:] == ["a", "b", "c"]
    assert TextCodec.build("character", ["abacab"], min_count=2).vocabulary.words[4:] == ["a", "b"]
    assert TextCodec.build("word", ["b a b c a b"], max_vocabulary=6).vocabulary.words[4:] == ["b", "a"]
    line = PROSE.index("\n") + 1
    in_pieces = TextCodec.build("word", [[PROSE[:line], PROSE[line:]], [CODE]])
    assert in_pieces == TextCodec.build("word", [PROSE, CODE])
    # a document does not go on where the one before it ended
    assert TextCodec.build("word", ["a", " b"]).unknown(" b") == []


def test_bytes_are_256_and_nothing_is_unknown() -> None:
    codec = TextCodec.build("byte")
    assert len(codec.vocabulary) == 260
    assert codec.encode("é") == [4 + 0xC3, 4 + 0xA9]
    assert codec.unknown(STRANGE) == []
    with pytest.raises(ValueError, match="256 bytes"):
        TextCodec("byte", Vocabulary([*Vocabulary.MARKERS, "a"]))


def test_half_a_character_is_held_back_and_never_a_failure() -> None:
    codec = TextCodec.build("byte")
    decoder = codec.stream_decoder()
    assert [decoder.push(id) for id in codec.encode("a犬𝒳")] == ["a", "", "", "犬", "", "", "", "𝒳"]
    assert decoder.flush() == ""
    assert decoder.push(codec.encode("犬")[0]) == ""
    assert decoder.flush() == "\ufffd"
    assert codec.decode([4 + 0xFF, 4 + 0x41]) == "\ufffdA"


@pytest.mark.parametrize("level", LEVELS)
def test_streams_give_what_wholes_give(level: str) -> None:
    text, codec = "".join(TEXTS), codec_of(level)
    encoder, ids, start = codec.stream_encoder(), [], 0
    while start < len(text):
        stop = start + 1
        while stop < len(text) and not text[stop - 1].isspace():
            stop += 1
        ids += encoder.push(text[start:stop]).tolist()
        start = stop
    ids += encoder.flush().tolist()
    assert ids == codec.encode(text)
    # a continuation is written with the blank that belongs between it and its prompt
    decoder = codec.stream_decoder()
    half = len(ids) // 2
    prompt = "".join(decoder.push(id) for id in ids[:half])
    assert prompt + "".join(decoder.push(id) for id in ids[half:]) + decoder.flush() == text


def test_markers_add_no_text() -> None:
    for level in LEVELS:
        codec = codec_of(level)
        assert (
            codec.decode([Vocabulary.BOS, *codec.encode("it's a"), Vocabulary.EOS, Vocabulary.PAD])
            == "it's a"
        )


@pytest.mark.parametrize("level", LEVELS)
def test_a_codec_survives_a_checkpoint_and_a_pickle(level: str) -> None:
    codec = codec_of(level)
    codec.encode(PROSE)
    stream = io.BytesIO()
    torch.save(codec.to_dict(), stream)
    stream.seek(0)
    again = TextCodec.from_dict(torch.load(stream, weights_only=True))
    assert again == codec and hash(again) == hash(codec)
    assert (again == codec_of(level, "x")) is (level == "byte")
    assert again.encode(CHINESE) == codec.encode(CHINESE)
    assert len(pickle.dumps(codec)) < 100_000  # the table of code points stays behind


def test_a_million_characters_take_a_moment() -> None:
    text = PROSE * 6000
    codec = codec_of("character")
    start = time.process_time()
    codec.stream_encoder().push(text)
    assert time.process_time() - start < 0.5


def test_characters_of_many_short_texts_are_counted_in_a_moment() -> None:
    start = time.process_time()
    codec = TextCodec.build("character", ["a b", ""] * 10_000)
    assert codec.vocabulary.words[4:] == [" ", "a", "b"]
    assert time.process_time() - start < 2
