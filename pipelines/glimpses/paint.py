"""The `paint` command: a painter puts house numbers on a canvas, stroke by stroke."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.house_numbers.records import checked_number
from modules.errors import InputError, check_at_least, check_seed
from modules.house_numbers.batch import MOST_DIGITS
from modules.house_numbers.painter import Painter
from modules.whole_files import write_whole
from pipelines.devices import chosen_device
from pipelines.glimpses.painter_runs import newest_painter
from pipelines.glimpses.paintings import animation as animated
from pipelines.glimpses.paintings import as_bytes, png, sheet
from pipelines.output_files import outputs

MOST = 400  # paintings on a sheet
SEEDS = 1_000_003  # paintings of one seed before those of the next


def paint(
    number: str | None = None,
    n: int = 16,
    output: Path = Path("painted.png"),
    animation: Path | None = None,
    ckpt_path: Path | None = None,
    runs: Path = Path("runs"),
    temperature: float = 1.0,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Paint a house number, each time another plate. Without a number it is whatever the painter likes.

    Args:
        number: What the plates show, of at most five digits.
        n: How many.
        output: PNG of all of them, in rows.
        animation: Also write a GIF of the growing canvas, with the window of every stroke on it.
        ckpt_path: Checkpoint of a painter; by default the best of the newest painter's run.
        runs: Folder of all runs, where that is looked for.
        temperature: What the noise is multiplied by; below 1 the plates are plainer, 0 makes all alike.
        seed: Of the noise; the same seed paints the same plates.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    check_at_least(1, n=n)
    check_seed(seed, "seed")
    if n > MOST:
        raise InputError(f"n is {n:,}; a sheet has room for {MOST}")
    if not 0 <= temperature <= 10:
        raise InputError(f"temperature is {temperature:g}; it has to be from 0 to 10")
    if number is not None:
        number = checked_number(number, "--number")
    for path, suffix in ((output, ".png"), (animation, ".gif")):
        if path is not None and path.suffix.lower() != suffix:
            option = "output" if path is output else "animation"
            raise InputError(f"{path}: --{option} is written as {suffix[1:].upper()}; name a file {suffix}")
    checkpoint = newest_painter(runs) if ckpt_path is None else ckpt_path
    with outputs({"output": output, "animation": animation}, None, (checkpoint,)):
        model = Painter.load(checkpoint).to(chosen_device(device))
        if number is not None and not model.options.conditional:
            raise InputError(
                f"{checkpoint}: this painter is told no number (model.painter.conditional is false); "
                "leave --number out"
            )
        numbers = painted_numbers(number, n, seed) if model.options.conditional else None
        strokes = model.paint(numbers, range(seed * SEEDS, seed * SEEDS + n), temperature)
        # both are drawn before one is written: Ctrl-C leaves both or neither
        grown = animated(strokes) if animation is not None else b""
        write_whole(output, png(sheet(as_bytes(strokes[-1].picture.cpu().numpy()))))
        if animation is not None:
            write_whole(animation, grown)
    if ckpt_path is None:
        print(f"painter      {checkpoint}")
    if numbers is not None:
        print(f"numbers      {', '.join(dict.fromkeys(numbers))}")
    for label, path in (("sheet", output), ("animation", animation)):
        if path is not None:
            print(f"{label:<12} {path}")


def painted_numbers(number: str | None, n: int, seed: int) -> list[str]:
    """Returns what each of n plates shows: the number, or where there is none any of 1 to 5 digits."""
    if number is not None:
        return [number] * n
    random = np.random.default_rng(seed)
    digits = random.integers(1, MOST_DIGITS + 1, size=n)
    return [str(random.integers(10 ** (count - 1), 10**count)) for count in digits]
