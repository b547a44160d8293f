"""The `sample` command: a language model goes on with a text by drawing unit after unit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from data_prep.text.abc_notation import BrokenTuneError, split_tunes
from data_prep.text.tunes import corpus_folder
from modules.decoders.language_steps import WeightsName
from modules.decoding import DecodingOptions
from modules.errors import InputError, check_at_least, tell
from modules.language.continuation import continuations, read_prompt
from modules.whole_files import write_whole
from pipelines.language.loaded_model import given_prompt, load_model
from pipelines.language.music.plucked_string import wav as sound_of
from pipelines.language.music.tune_reader import ReadTune
from pipelines.output_files import outputs


def sample(
    ckpt_path: Path,
    prompt: str = "",
    prompt_file: Path | None = None,
    length: int = 500,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    samples: int = 1,
    midi: Path | None = None,
    wav: Path | None = None,
    weights: WeightsName = "auto",
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Continue a prompt; the text is written as it comes, after the prompt.

    Args:
        ckpt_path: checkpoint of a language model, such as RUN/checkpoints/best.ckpt.
        prompt: text to go on with, as at the beginning of a line.
        prompt_file: UTF-8 file with the prompt, less the line break at its end.
        length: characters, words or bytes to write, whatever the model's units are.
        temperature: logits are divided by it; below 1 sharpens, above 1 flattens, 0 takes the most probable.
        top_p: draw only from the most probable units that together hold this probability.
        top_k: draw only from the k most probable units; 0 means all.
        seed: of the random numbers; the same seed gives the same text.
        samples: so many texts, each after a heading where there are several.
        midi: MIDI file with the first tune of the text that can be read, where a model of tunes wrote it.
        wav: the same as sound.
        weights: auto rounds large matrices to 8 bits where the processor is quicker with them, which changes
            a draw now and then; float32 rounds nothing.
        device: auto, cpu, cuda, cuda:N or mps; auto takes an NVIDIA GPU where there is one.
        overwrite: replace MIDI and WAV where they exist.
    """
    check_at_least(0, length=length, temperature=temperature)
    check_at_least(1, samples=samples)
    try:
        method: Literal["greedy", "sample"] = "sample" if temperature else "greedy"
        options = DecodingOptions(method, temperature=temperature or 1.0, top_p=top_p, top_k=top_k, seed=seed)
    except InputError as error:  # its options stand alone here
        raise InputError(str(error).removeprefix("decoding.")) from None
    prompt, name = given_prompt(prompt, prompt_file)
    if samples > 1 and (midi or wav):
        raise InputError(f"samples is {samples}; --midi and --wav play the tune of one text")
    with outputs({"midi": midi, "wav": wav}, overwrite, (ckpt_path, *filter(None, [prompt_file]))):
        if midi or wav:
            corpus_folder()  # says how to install what reads tunes
        model = load_model(ckpt_path, device)
        texts = continuations(
            model, read_prompt(model.codec, prompt, name), options, length, samples, weights
        )
        try:
            written = _write_texts(texts, prompt, samples)
        except BrokenPipeError:  # the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        if midi or wav:
            _play(written, midi, wav)


def _play(text: str, midi: Path | None, wav: Path | None) -> None:
    """Writes the first tune of a text that can be read, as MIDI and as sound; InputError where none can."""
    wrong = ""
    for tune in split_tunes(text):
        try:
            read = ReadTune(tune.text)
            files = {midi: read.midi(), wav: sound_of(read.notes)}
        except BrokenTuneError as error:
            wrong = wrong or f"line {tune.line + error.line - 1}: {error}"
            continue
        for path, content in files.items():
            if path is not None:
                write_whole(path, content)
                tell(f"the tune of line {tune.line} is in {path}")
        return
    raise InputError(
        "the text is no tune in ABC notation, which --midi and --wav play: "
        f"{wrong or 'no tune begins in it'}; "
        "try another --seed, a lower --temperature or --prompt X:1, with a model of tunes"
    )


def _write_texts(texts: Iterator[list[str]], prompt: str, samples: int) -> str:
    """Writes the first text unit by unit and the others, which grow with it, when it is done; returns it."""

    def heading(number: int) -> str:
        return f"{'' if number == 1 else chr(10)}----- {number} of {samples}\n" if samples > 1 else ""

    print(heading(1) + prompt, end="", flush=True)
    others: list[list[str]] = [[prompt] for _ in range(samples - 1)]
    first_text = [prompt]
    for first, *rest in texts:
        print(first, end="", flush=True)
        first_text.append(first)
        for text, unit in zip(others, rest, strict=True):
            text.append(unit)
    print(flush=True)
    for number, text in enumerate(others, start=2):
        print(heading(number) + "".join(text), flush=True)
    return "".join(first_text)
