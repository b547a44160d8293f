"""The `find` command: photographs by the words of their captions, on the terminal and as a page."""

from __future__ import annotations

import json as jsonlib
import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from modules.errors import InputError, check_at_least, printable
from pipelines.captioning.photographs.caption_index import CaptionIndex, Found, Parts, photographs_of

FOUND = "bold green"
LONGEST_LINE = 10_000  # letters, in a pipe


def find(
    *query: str,
    captions: Path = Path("captions.jsonl"),
    images: Path | None = None,
    limit: int = 20,
    open: bool = False,
    json: bool = False,
) -> None:
    """Find photographs by what their captions say: python pipelines/caption.py find dog in the snow.

    Photographs whose captions have all words come first, then those with some. A word is found in all its
    forms: dog, dogs. The index is kept in the cache, and made anew when the file of captions has changed.

    Args:
        query: What to look for.
        captions: What `predict` wrote, or any jsonl, csv (image, caption) or COCO results.
        images: Folder of the photographs, for --open; by default where predict read them, or that of the
            captions' file.
        limit: Most photographs.
        open: Write a page of thumbnails, print its path, and show it where there is a browser.
        json: Print one JSON object in place of the table.
    """
    check_at_least(1, limit=limit)
    words = " ".join(query)
    with closing(CaptionIndex(captions)) as index:
        begun = time.perf_counter()
        found, number = index.search(words, limit)
        seconds = time.perf_counter() - begun
    page = _page(words, captions, images, found, number) if open else None
    if json:
        rows = [_as_dict(each) for each in found]
        result = {"query": words, "captions": str(captions), "with_all_words": number, "seconds": seconds}
        print(jsonlib.dumps(result | {"page": str(page) if page else None, "photographs": rows}))
        return
    if found:
        console = console_of_lines()
        console.print(_table(found, longest_name=40 if console.width < LONGEST_LINE else None))
    print(f"{summary(words, found, number)} (searched {len(index):,} photographs in {1000 * seconds:.0f} ms)")
    if page:
        print(f"page  {page}")


def console_of_lines() -> Console:
    """Returns a console that keeps lines whole in a pipe, which has no width to fold them for."""
    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else LONGEST_LINE)


def summary(query: str, found: list[Found], number: int) -> str:
    """Returns one line: how many photographs were found, and how many are shown."""
    if not found:
        return f"no caption has a word of {query!r}"
    shown = sum(each.has_all for each in found)
    lines = [f"{number:,} with all words"] if number else ["no caption has all words"]
    lines += [f"the best {shown:,} shown"] if shown < number else []
    lines += [f"{len(found) - shown:,} shown with some of them"] if shown < len(found) else []
    return ", ".join(lines)


def plain(parts: Parts) -> str:
    """Returns a caption without its marks."""
    return "".join(text for text, _ in parts)


def _as_dict(found: Found) -> dict[str, Any]:
    others = {"captions": [plain(other) for other in found.others]} if found.others else {}
    return {"image": found.image, "caption": plain(found.caption), **others, "all_words": found.has_all}


def _table(found: list[Found], longest_name: int | None) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", max_width=longest_name)
    table.add_column(overflow="fold")
    for each in found:
        # as Text: neither is markup
        said = Text()
        for number, caption in enumerate([each.caption, *each.others]):
            said.append("\n" if number else "")
            for text, is_found in caption:
                said.append(printable(text), style=FOUND if is_found else "dim" if number else "")
        table.add_row(Text(printable(each.image), style="" if each.has_all else "dim"), said)
    return table


def _page(query: str, captions: Path, images: Path | None, found: list[Found], number: int) -> Path:
    """Writes the page of what was found, and shows it."""
    from pipelines.captioning.photographs.photo_page import Photo, show, write_photo_page  # it draws

    folder = images or photographs_of(captions) or captions.parent
    photos = [
        Photo(each.image, Path(each.file or folder / each.image), [each.caption, *each.others])
        for each in found
    ]
    if photos and not any(photo.path.is_file() for photo in photos):
        raise InputError(f"{photos[0].path}: no such photograph; name the folder of all with --images DIR")
    page = write_photo_page(query, summary(query, found, number), photos)
    show(page)
    return page
