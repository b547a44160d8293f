"""How well a reader reads when its pictures grow, which costs it nothing (Ba et al. 2015, section 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from data_prep.house_numbers.datamodule import NumberDataModule
from data_prep.progress import counting_bar
from modules.house_numbers.number_reader import NumberReader
from pipelines.glimpses.score import interval

PICTURES = 500  # of each size
AT_ONCE = 50


def read_by_size(model: NumberReader, data: NumberDataModule, split: str) -> dict[str, dict[str, Any]]:
    """Returns the share of whole numbers that one reader reads right, by the picture's side in pixels.

    Its windows are shares of a picture, so it reads every size without further training. All sizes show the
    same numbers.

    Args:
        model: A reader by glimpses.
        data: The first pictures of a split are made anew at each size.
        split: Of which they are.
    """
    assert data.table is not None
    records = data.splits[split][:PICTURES]
    true = [record.number for record in records]
    found, was_training = {}, model.training
    model.eval()
    with counting_bar("pictures", len(records) > AT_ONCE) as bar:
        for size in model.sizes:
            task = bar.add_task(f"pictures of {size} pixels", total=len(records))
            pictures, read = replace(model.pictures, size=size), []
            for start in range(0, len(records), AT_ONCE):
                made = [data.table.picture(record, pictures) for record in records[start : start + AT_ONCE]]
                squares = torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)  # (B, 3, S, S)
                read += [said.number for said in model.read_batch(squares.to(model.device))]
                bar.advance(task, len(made))
            right = sum(a == b for a, b in zip(read, true, strict=True))
            found[str(size)] = {
                "pictures": len(records),
                "accuracy": right / len(records),
                "interval": interval(read, true),
            }
    model.train(was_training)
    return found
