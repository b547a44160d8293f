"""The output of `predict --engine ray`: a folder of shards, and a manifest that counts what is in them."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from ray.data.block import BlockAccessor
from ray.data.datasource import Datasink

from data_prep.captions.sources import is_remote, naming
from modules.errors import InputError
from modules.whole_files import ESCAPED, write_whole
from pipelines.output_files import written_by_one

MANIFEST = "manifest.json"
ROWS = 50_000  # at least, in every shard but those of the end
NAMED = 1_000  # errors that the manifest names; their rows name all
# what a row may have, as the local engine writes it; null where it has not
SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("caption", pa.string()),
        ("score", pa.float64()),
        ("unsure", pa.bool_()),
        ("lacks", pa.list_(pa.string())),
        ("captions", pa.list_(pa.string())),
        ("words", pa.list_(pa.string())),
        ("sentinel", pa.list_(pa.float64())),
        ("error", pa.string()),
    ]
)


class ShardSink(Datasink):
    """Writes rows, which come as lines of JSON in the column `row`, into the shards of a folder.

    A shard's name is the number of its task: one that is written again after a failure replaces itself.

    Args:
        folder: Path or address.
        format: jsonl or parquet.
    """

    def __init__(self, folder: str, format: str) -> None:
        self.folder, self.format = folder, format
        self.shards: list[dict[str, Any]] = []  # what is known of each, when all are written

    @property
    def min_rows_per_write(self) -> int:
        return ROWS

    def write(self, blocks: Iterable[Any], ctx: Any) -> dict[str, Any] | None:
        lines: list[bytes] = []
        damaged: list[bytes] = []
        for block in blocks:
            table = BlockAccessor.for_block(block).to_arrow()
            if not table.num_rows:
                continue
            lines += table["row"].to_pylist()
            damaged += table.filter(table["is_archive"])["row"].to_pylist()
        if not lines:
            return None
        rows = [json.loads(line) for line in lines]
        name = f"part-{ctx.task_idx:06}.{self.format}"
        self._put(name, b"".join(line + b"\n" for line in lines) if self.format == "jsonl" else parquet(rows))
        errors = [row for row in rows if "error" in row]
        return {
            "file": name,
            "rows": len(rows),
            "captioned": sum("caption" in row for row in rows),
            "errors": len(errors),
            "named": [{"image": row["image"], "error": row["error"]} for row in errors[:NAMED]],
            "damaged": [json.loads(line) for line in damaged],
        }

    def _put(self, name: str, data: bytes) -> None:
        if is_remote(self.folder):
            system, path = fsspec.core.url_to_fs(f"{self.folder}/{name}")
            system.pipe_file(path, data)
        else:
            write_whole(Path(self.folder) / name, data)

    def on_write_complete(self, write_result: Any) -> None:
        self.shards = [shard for shard in write_result.write_returns if shard is not None]

    def write_manifest(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Writes the manifest and returns it: counts, shards, damaged archives and the first errors.

        Args:
            told: What else it says.
        """
        shards = sorted(self.shards, key=lambda shard: str(shard["file"]))
        counts = {name: sum(shard[name] for shard in shards) for name in ("rows", "captioned", "errors")}
        manifest = {
            **told,
            "format": self.format,
            **counts,
            "damaged_archives": [row for shard in shards for row in shard["damaged"]],
            "first_errors": [row for shard in shards for row in shard["named"]][:NAMED],
            "shards": [{name: shard[name] for name in ("file", *counts)} for shard in shards],
        }
        text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
        self._put(MANIFEST, text.encode(errors=ESCAPED))
        return manifest


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Returns rows as a Parquet file; a name that is no UTF-8 has escapes in it."""
    named = [{**row, "image": row["image"].encode(errors=ESCAPED).decode()} for row in rows]
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(named, schema=SCHEMA), stream)
    return stream.getvalue()


@contextmanager
def new_shards(output: str, overwrite: bool, inputs: Sequence[str]) -> Iterator[str]:
    """Gives the place to write shards to; a local folder appears under its name when all are there.

    Args:
        output: Path or address of the folder.
        overwrite: Whether shards that are there are replaced; nothing else ever is.
        inputs: What is read, in which nothing is written.

    Raises:
        InputError: There is something already, or it cannot be written.
    """
    check_shards(output, overwrite, inputs)
    if is_remote(output):
        # an object store has no folders to rename: the manifest, written last, tells that all are there
        system, path = fsspec.core.url_to_fs(output)
        with naming(output):
            if system.exists(path):
                system.rm(path, recursive=True)
            system.makedirs(path, exist_ok=True)
        yield output
        return
    folder = Path(output).resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with written_by_one(folder, "output"):
            unfinished, old = (folder.with_name(f".{folder.name}.{os.getpid()}{end}") for end in ("", ".old"))
            try:
                unfinished.mkdir()
                yield str(unfinished)
                if folder.exists():
                    folder.replace(old)
                unfinished.replace(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
                shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from error


def check_shards(output: str, overwrite: bool, inputs: Sequence[str]) -> None:
    """Raises InputError where the folder must not be written."""
    for place in inputs:
        both = [Path(each).resolve() for each in (output, place) if not is_remote(each)]
        inside = output.startswith(f"{place.rstrip('/')}/") or output == place
        if inside or (len(both) == 2 and both[0].is_relative_to(both[1])):
            raise InputError(f"{output}: lies in {place}, which is read; choose another --output")
    with naming(output):
        system, path = fsspec.core.url_to_fs(output)
        if system.isfile(path):
            raise InputError(f"{output}: is a file; --engine ray writes a folder, so choose another --output")
        found = [name.rpartition("/")[2] for name in system.find(path)] if system.exists(path) else []
    others = [name for name in found if name != MANIFEST and not name.startswith("part-")]
    if others:
        raise InputError(f"{output}: holds {others[0]}, which is no shard; choose another --output")
    if found and not overwrite:
        raise InputError(f"{output}: holds shards already; choose another --output or give --overwrite")
