"""The `listen` command: tunes in ABC notation as sound, as MIDI, and on a page that plays them."""

from __future__ import annotations

from pathlib import Path

from data_prep.input_files import read_text
from data_prep.text.abc_notation import BrokenTuneError, split_tunes
from modules.errors import InputError, check_at_least, tell
from modules.text_codec import normalised
from modules.whole_files import write_whole
from pipelines.language.music.player import piano_roll
from pipelines.language.music.plucked_string import wav
from pipelines.language.music.tune_reader import ReadTune
from pipelines.output_files import check_output, no_folders_in_vain
from pipelines.reports.page import write_page


def listen(file: Path, output: Path | None = None, n: int = 20, overwrite: bool = False) -> None:
    """Turn tunes in ABC notation into WAV and MIDI files, and a page that plays them; print its path.

    A tune begins with a line X: and ends with an empty line. What is no tune is left out and named. Needs
    pip install -e ".[music]".

    Args:
        file: the tunes, such as what sample has written.
        output: folder for the page and its files; by default the name of the file, less its ending.
        n: at most so many tunes, the first ones.
        overwrite: replace files that exist there.
    """
    check_at_least(1, n=n)
    tunes = list(split_tunes(normalised(read_text(file))))
    if not tunes:
        raise InputError(f"{file}: holds no tune; a tune begins with a line such as X:1")
    folder = output or file.with_suffix("")
    if folder.resolve() == file.resolve():
        raise InputError(f"{file}: name a folder to write to by --output DIR")
    if folder.is_file():
        raise InputError(f"{folder}: is a file; --output names a folder")
    page = folder / "index.html"
    names = [f"{number:02}" for number in range(1, min(n, len(tunes)) + 1)]
    with no_folders_in_vain(folder):
        for path in [page, *(folder / f"{name}.{kind}" for name in names for kind in ("wav", "mid"))]:
            check_output(path, "output", overwrite, (file,))
        read, broken = [], []
        for name, tune in zip(names, tunes, strict=False):  # all before the first is written
            try:
                own = ReadTune(tune.text)
                read.append((name, tune.text, own.notes, own.midi()))
            except BrokenTuneError as error:
                broken.append(f"{file}:{tune.line + error.line - 1}: {error}")
        if not read:
            raise InputError(broken[0])
    for line in broken:
        tell(f"left out: {line}")
    rows = []
    for name, text, notes, midi in read:
        write_whole(folder / f"{name}.mid", midi)
        write_whole(folder / f"{name}.wav", wav(notes))
        rows.append({"name": name, "text": text, "roll": piano_roll(notes)})
    left = len(tunes) - len(names)
    template = Path(__file__).parent / "music" / "listen.html.jinja"
    write_page(page, template, name=file.name, tunes=rows, left=left)
    if left:
        print(f"{left:,} more tunes are left away (--n)")
    print(page)
