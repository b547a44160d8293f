"""What grows with the photographs of a captioner's training: a table, and what must stay flat.

python -m pytest tests/benchmarks/test_caption_growth.py -m benchmark -s
"""

import shutil
from pathlib import Path

import pytest

from tests.benchmarks.caption_growth import measure, table

LARGEST = 123_000  # as COCO has


@pytest.mark.benchmark
def test_six_times_the_photographs_take_no_more_memory_and_begin_at_once(tmp_path: Path) -> None:
    few, many = rows = [measure(tmp_path, count) for count in (1_000, 6_000)]
    table(rows)
    # 400 MB of annotations more, of which each step reads 5 MB
    assert many["mapped MB"] - few["mapped MB"] < 50
    assert many["own MB"] - few["own MB"] < 100
    assert many["step ms"] < 2 * few["step ms"]
    assert many["next epoch"] < 1


@pytest.mark.benchmark
def test_as_many_photographs_as_coco_has(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 15e9:
        pytest.skip(f"{tmp_path} has no 15 GB free")
    rows = [measure(tmp_path, count) for count in (1_000, 10_000, LARGEST)]
    table(rows)
    assert rows[-1]["mapped MB"] - rows[0]["mapped MB"] < 50
    assert rows[-1]["own MB"] - rows[0]["own MB"] < 4e-3 * LARGEST
    assert rows[-1]["step ms"] < 2 * rows[0]["step ms"]
    assert rows[-1]["next epoch"] < 10
