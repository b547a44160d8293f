"""What is in a captions data set, printed: `python -m data_prep.captions DIR`; `draw DIR` draws one."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from data_prep.captions import read_captions
from data_prep.captions.duplicates import warning_of_copies
from data_prep.captions.records import CaptionTable, describe, write_table
from data_prep.captions.scenes import dataset as scenes
from data_prep.commands import check_new, run_commands
from data_prep.input_files import existing_folder
from modules.caption_tokens import segmentation_advice
from modules.errors import tell


def read(dir: Path, format: str = "auto", output: Path | None = None) -> None:
    """Print what is in a captions data set, in any format that fit reads. `draw DIR` draws one.

    Args:
        dir: folder of the data set.
        format: karpathy, flickr8k, coco, scenes or folder; auto takes the first whose files are there.
        output: also write the table to this file, one JSON object an image (captions.jsonl).
    """
    existing_folder(dir)
    check_new(dir, output=output)
    table = read_captions(dir, format)
    Console().print(describe(table))
    advice = segmentation_advice([text for record in table.records for text in record.captions])
    for warning in filter(None, (warning_of_copies(table.records), advice)):
        tell(f"warning: {dir}: {warning}")
    _write(table, output)


def draw(
    dir: Path,
    images: int = scenes.IMAGES,
    seed: int = scenes.SEED,
    size: int = scenes.SIZE,
    sheet: Path | None = None,
    output: Path | None = None,
) -> None:
    """Draw scenes with captions, unless they are there already, and print what is in them.

    Args:
        dir: folder of the data set; a set of other settings in it is replaced.
        images: how many pictures, all splits together.
        seed: any whole number.
        size: side of the pictures in pixels.
        sheet: also write a contact sheet of test pictures with their captions to this PNG.
        output: also write the table to this file, one JSON object an image (captions.jsonl).
    """
    check_new(dir, output=output, sheet=sheet)
    scenes.generate(dir, images, seed, size)
    table = scenes.read(dir)
    console = Console()
    console.print(describe(table))
    for split in ("val", "test"):
        rows = [row["scene"]["unseen"] for row in scenes.read_scenes(dir) if row["split"] == split]
        combinations = {tuple(combination) for row in rows for combination in row}
        console.print(
            f"{split}: {len(combinations)} combinations unseen in training, "
            f"in {sum(map(bool, rows))} of {len(rows)} images"
        )
    if sheet is not None:
        scenes.write_sheet(dir, sheet)
        print(f"wrote {sheet}")
    _write(table, output)


def _write(table: CaptionTable, output: Path | None) -> None:
    if output is not None:
        write_table(table, output)
        print(f"wrote {len(table.records):,} images to {output}")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of `python -m data_prep.captions [draw] DIR [options]`."""
    return run_commands("python -m data_prep.captions", read, {"draw": draw}, argv)


if __name__ == "__main__":
    sys.exit(main())
