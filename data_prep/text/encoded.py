"""A text as numbers on disk: encoded once, then read through a memory map, however large it is.

A folder for each text, level and vocabulary, CACHE/text/KEY:

    train.tokens val.tokens test.tokens   ids, every document after a <bos>, in the smallest unsigned integers
    meta.json                             vocabulary, documents, characters, and what unknown units cost

The folder gets its name when it is complete; what a killed run left behind has another and is removed by the
next that encodes the same text.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.progress import Progress

from data_prep.cache import cache_folder, in_turn, stated_options, writing_in
from data_prep.input_files import SPLITS
from data_prep.text.files import TextFiles, bytes_bar
from data_prep.text.splits import Document, split_documents
from modules.errors import InputError
from modules.metrics.language import Spelling
from modules.text_codec import Level, TextCodec
from modules.vocabulary import Vocabulary

_FORMAT = 1  # another number, another folder: for changes of what is written or how texts are split
_OPTIONS = ("level", "min_count", "max_vocabulary", "codec")  # that the first keys named, in their order


@dataclass
class EncodedSplit:
    """What is known of a split beside its tokens.

    Args:
        documents: Number of documents.
        tokens: Number of ids, one <bos> a document included.
        characters: Of the text, line ends as one.
        unknown: Tokens that are <unk>.
        unknown_bits: What spelling them costs (`Spelling`).
    """

    documents: int = 0
    tokens: int = 0
    characters: int = 0
    unknown: int = 0
    unknown_bits: float = 0.0

    @property
    def units(self) -> int:
        """Tokens that are predicted."""
        return self.tokens - self.documents


class EncodedText:
    """A text that was encoded.

    Args:
        folder: Its folder in the cache.
        text: The files that it was made of.
    """

    def __init__(self, folder: Path, text: TextFiles) -> None:
        self.folder, self.encoding = folder, text.encoding
        meta = json.loads((folder / "meta.json").read_text())
        self.codec = TextCodec.from_dict(meta["codec"])
        self.dtype = np.dtype(meta["dtype"])
        self.how_split: str = meta["how_split"]
        paths = {file.name: file.path for file in text.files}
        self.documents = [Document(path=paths[row["name"]], **row) for row in meta["documents"]]
        self.splits = {name: EncodedSplit(**meta["splits"][name]) for name in SPLITS}

    def tokens(self, split: str) -> np.ndarray:
        """Returns the ids of a split as a read-only memory map."""
        if not self.splits[split].tokens:
            return np.empty(0, self.dtype)
        return np.memmap(self.folder / f"{split}.tokens", self.dtype, "r")

    def beginning(self, split: str, characters: int) -> str:
        """Returns at most so many characters from the beginning of a split, as they stand in the files."""
        text = ""
        for document in self.documents:
            if document.split == split:
                for piece in document.pieces(self.encoding):
                    text += piece[: characters - len(text)]
                    if len(text) == characters:
                        return text
        return text

    def is_whole(self) -> bool:
        """Returns whether the files have the sizes they should have."""
        return all(
            (self.folder / f"{name}.tokens").stat().st_size == self.splits[name].tokens * self.dtype.itemsize
            for name in SPLITS
        )


@dataclass(frozen=True)
class Units:
    """How a text is to be encoded.

    Args:
        level: What a token is.
        min_count: Rarer characters or words of the training split become <unk>.
        max_vocabulary: Most ids altogether.
        codec: Of a checkpoint, in place of one from the training split.
    """

    level: Level
    min_count: int = 1
    max_vocabulary: int | None = None
    codec: TextCodec | None = None


def encode_text(text: TextFiles, units: Units, root: Path | None = None) -> EncodedText:
    """Returns the encoded text, from the cache where it is there already.

    Args:
        text: The files.
        units: How it is to be encoded.
        root: Folder of all caches; `cache_root()` if not given.

    Raises:
        InputError: A file is no text, or the cache cannot be written.
    """
    content = _content(text)
    if units.codec is not None:
        # a checkpoint's units are most often those that this very text gave
        own = replace(units, codec=None)
        found = _open(cache_folder("text", _key(content, own), root), text)
        if found is not None and found.codec == units.codec:
            return found
    folder = cache_folder("text", _key(content, units), root)
    if (found := _open(folder, text)) is not None:
        return found
    texts = folder.parent
    with writing_in(texts, "the encoded text"), in_turn(texts / f".{folder.name}.lock", folder):
        found = _open(folder, text)
        if found is None:
            for leftover in (folder, *texts.glob(f".{folder.name}.part*")):
                shutil.rmtree(leftover, ignore_errors=True)
            part = texts / f".{folder.name}.part{os.getpid()}"
            part.mkdir()
            try:
                _write(text, units, part)
                part.replace(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
            found = EncodedText(folder, text)
    return found


def _open(folder: Path, text: TextFiles) -> EncodedText | None:
    """Returns the text of a folder, or None where it is missing or damaged."""
    try:
        found = EncodedText(folder, text)
        return found if found.is_whole() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _content(text: TextFiles) -> str:
    """Returns a hash of the files' names and contents."""
    whole = hashlib.sha256(str(text.encoding).encode())
    with bytes_bar("reading", text.size) as bar:
        for file in text.files:
            content = hashlib.sha256()
            try:
                with file.path.open("rb") as stream:
                    while chunk := stream.read(1 << 20):
                        content.update(chunk)
                        bar.advance(bar.task_ids[0], len(chunk))
            except OSError as error:
                raise InputError(f"{file.path}: cannot be read ({error.strerror or error})") from None
            whole.update(f"\n{file.name}\0{content.hexdigest()}".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _key(content: str, units: Units) -> str:
    """Returns the name of the folder of a text that is encoded so."""
    # what a codec decides, no option does
    options = stated_options(units, _OPTIONS) if units.codec is None else units.codec.to_dict()
    return hashlib.sha256(json.dumps([_FORMAT, content, options]).encode()).hexdigest()[:16]


def _write(text: TextFiles, units: Units, folder: Path) -> None:
    """Splits the text, finds its units in the training split, and writes everything."""
    single = len(text.files) == 1
    with bytes_bar("splitting", text.size if single else 0) as bar:
        documents, how_split = split_documents(text, bar if single else None)
    codec = units.codec
    if codec is None:
        training = [document for document in documents if document.split == "train"]
        with bytes_bar("counting", text.size) as bar:
            pieces = (document.pieces(text.encoding, bar) for document in training)
            codec = TextCodec.build(units.level, pieces, units.min_count, units.max_vocabulary)
    dtype = np.min_scalar_type(len(codec.vocabulary) - 1)
    splits = {name: EncodedSplit() for name in SPLITS}
    spelling = Spelling(codec)
    total = text.size * (len(SPLITS) if single else 1)  # a single file is read once a split
    with bytes_bar("encoding", total) as bar, ExitStack() as files:
        outputs = {name: files.enter_context((folder / f"{name}.tokens").open("wb")) for name in SPLITS}
        for document in documents:
            split = splits[document.split]
            split.documents += 1
            for ids, characters, unknown in _encoded(codec, document, text.encoding, bar):
                outputs[document.split].write(ids.astype(dtype).tobytes())
                split.tokens += len(ids)
                split.characters += characters
                split.unknown += sum(unknown.values())
                split.unknown_bits += spelling.bits(unknown)
        for output in outputs.values():
            output.flush()
            os.fsync(output.fileno())
    meta = {
        "codec": codec.to_dict(),
        "dtype": dtype.name,
        "how_split": how_split,
        "documents": [
            {key: value for key, value in vars(document).items() if key != "path"} for document in documents
        ],
        "splits": {name: asdict(split) for name, split in splits.items()},
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


def _encoded(
    codec: TextCodec, document: Document, encoding: str | None, bar: Progress
) -> Iterator[tuple[np.ndarray, int, dict[str, int]]]:
    """Yields ids, the characters behind them, and the unknown units among them, after a <bos>."""
    encoder = codec.stream_encoder()
    yield np.array([Vocabulary.BOS], np.uint32), 0, {}
    for piece in document.pieces(encoding, bar):
        yield encoder.push(piece), len(piece), dict(encoder.unknown)
        encoder.unknown.clear()
    yield encoder.flush(), 0, dict(encoder.unknown)
