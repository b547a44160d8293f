"""Goes on with a prompt: the one way in which the command line, a fit's samples and `TextGenerator` write."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import torch

from modules.decoders.language_steps import WeightsName
from modules.decoding import DecodingOptions, sample_stream
from modules.errors import InputError, tell
from modules.language.language_model import LanguageModel
from modules.language.surprise import CHUNK, opening
from modules.text_codec import StreamDecoder, TextCodec, normalised
from modules.vocabulary import Vocabulary
from modules.word_tokens import Spacing, WordSplitter

MARKERS = range(len(Vocabulary.MARKERS))
SHOWN = 10  # unknown units that a complaint names


class Prompt(NamedTuple):
    """The ids of a prompt, and whether its last blank belongs to the word that follows."""

    tokens: list[int]
    blank_held: bool


def read_prompt(codec: TextCodec, prompt: str, name: str = "--prompt", *, told: bool = True) -> Prompt:
    """Returns the ids of a prompt.

    At word level a blank at the end is that before the next word, which has none of its own then. Words that
    the model has never seen are read as its mark of unknown ones, which one line on stderr says.

    Args:
        codec: Of the model.
        prompt: Text to go on with.
        name: What a complaint calls it.
        told: Say which words are unknown.

    Raises:
        InputError: It has characters that the model has never seen.
    """
    prompt = normalised(prompt)
    held = False
    if codec.level == "word":
        splitter, spacing = WordSplitter(), Spacing()
        units = splitter.push(prompt)
        for unit in units:
            spacing.advance(unit)
        held = prompt.endswith(" ") and not prompt.endswith("  ") and spacing.expects_blank("a")
        units += [] if held else splitter.flush()
    else:
        units = codec.units(prompt)
    unknown = list(dict.fromkeys(unit for unit in units if unit not in codec.vocabulary))
    shown = ", ".join(map(repr, unknown[:SHOWN])) + (" ..." if len(unknown) > SHOWN else "")
    if unknown and codec.level == "word":
        if told:
            many = f"{len(unknown)} word{'s' if len(unknown) > 1 else ''} that the model does not know"
            tell(f"note: {name}: {many}, read as <unk>: {shown}")
    elif unknown:
        known = f"{len(codec.vocabulary) - len(MARKERS):,} that the model knows"
        composed = unicodedata.normalize("NFC", prompt)
        remedy = "" if codec.unknown(composed) else "; all are known when they are composed (Unicode's NFC)"
        raise InputError(f"{name}: characters that are not among the {known}: {shown}{remedy}")
    return Prompt(codec.vocabulary.encode(units), held)


def primed_decoder(codec: TextCodec, tokens: list[int]) -> StreamDecoder:
    """Returns a decoder that has these ids behind it."""
    decoder = codec.stream_decoder()
    for token in tokens:
        decoder.push(token)
    return decoder


def continuations(
    model: LanguageModel,
    prompt: Prompt,
    options: DecodingOptions,
    length: int,
    texts: int,
    weights: WeightsName = "float32",
) -> Iterator[list[str]]:
    """Yields what each drawn unit adds to each text, and last what was held back at their ends.

    A text stands at the beginning of a line, as one that is scored does.

    Args:
        model: In evaluation mode.
        prompt: What the texts go on with.
        options: How to draw.
        length: Units (characters, words, bytes) to write.
        texts: How many, drawn by random numbers of their own.
        weights: auto has large matrices in 8 bits where the device gains by that.
    """
    given = torch.tensor([opening(model.codec), *prompt.tokens], device=model.device)
    state = model.decoder.init_state(1)
    with torch.inference_mode():
        for at in range(0, len(prompt.tokens), CHUNK):  # a whole file at once would not fit into memory
            _, state = model.decoder.read(given[None, :-1][:, at : at + CHUNK], state)
    state = state.select(torch.zeros(texts, dtype=torch.long, device=model.device))
    step = model.decoder.for_steps(weights).step
    stream = sample_stream(step, state, given[-1:].expand(texts), options, banned=MARKERS)
    decoders = [primed_decoder(model.codec, prompt.tokens) for _ in range(texts)]
    for number, tokens in zip(range(length), stream, strict=False):
        added = [decoder.push(token) for decoder, token in zip(decoders, tokens.tolist(), strict=True)]
        if number == 0 and prompt.blank_held:
            added = [text.removeprefix(" ") for text in added]
        yield added
    yield [decoder.flush() for decoder in decoders]


def written_texts(
    model: LanguageModel, prompt: Prompt, options: DecodingOptions, length: int, texts: int
) -> list[str]:
    """Returns what whole texts have behind the prompt; arguments as of `continuations`."""
    return [
        "".join(pieces) for pieces in zip(*continuations(model, prompt, options, length, texts), strict=True)
    ]
