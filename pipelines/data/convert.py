"""Conversion of a dataset to a manifest file, which is evaluated without listing the images."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from snellen.adapters.errors import ImageError, InputError
from snellen.pipelines.config.evaluate import EvaluateConfig
from snellen.pipelines.data.image_reader import (
    ImageAccess,
    content_hash,
    manifest_rows,
    read_row,
)
from snellen.pipelines.data.manifest import ROW_GROUP, ManifestSummary, write_manifest
from snellen.pipelines.data.registered import with_registered_dataset
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.progress import Reporter
from snellen.store.atomic_file import atomic_file, output_errors
from snellen.store.parquet.unit_files import sha256_path

_READERS = 8


def convert_dataset(
    config: EvaluateConfig,
    target: Path,
    reporter: Reporter,
    *,
    overwrite: bool = False,
    with_hashes: bool = False,
) -> ManifestSummary:
    """Write the manifest of ``config.dataset`` to ``target``.

    Labels keep the dataset's own classes; each run maps them to those of its checkpoint.

    Args:
        config: names the dataset.
        target: the Parquet file.
        reporter: told about progress.
        overwrite: replace an existing file.
        with_hashes: read every image and write the sha256 of its bytes, so that a copy of the
            dataset is recognised whatever the times of its files. An image that cannot be read
            has none.

    Raises:
        InputError: the dataset cannot be used; OUTPUT_TAKEN, ``target`` exists.
    """
    if target.exists() and not overwrite:
        raise InputError(
            "OUTPUT_TAKEN", f"'{target}' exists. Expected a new file. Remove it or add --overwrite."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    config = with_registered_dataset(config)
    source = open_source(config.dataset)
    reporter.status(f"Listing images of {config.dataset.path}")
    info = source.describe()
    summary = write_manifest(
        source,
        info,
        target,
        progress=lambda rows: reporter.status(f"Listing images: {rows:,} so far"),
    )
    if not with_hashes:
        return summary
    access = ImageAccess.of(config.dataset, info.root, config.images)
    _add_hashes(target, access, reporter)
    return replace(summary, sha256=sha256_path(target))


def _add_hashes(path: Path, access: ImageAccess, reporter: Reporter) -> None:
    done = 0
    with (
        output_errors(path),
        pq.ParquetFile(path) as file,
        atomic_file(path) as hashed,
        pq.ParquetWriter(hashed, file.schema_arrow, compression="zstd") as writer,
        ThreadPoolExecutor(_READERS, thread_name_prefix="snellen-hash") as pool,
    ):

        def hash_of(row: dict[str, Any]) -> str | None:
            try:
                return content_hash(read_row(row, access))
            except ImageError:
                return None  # the run makes a failed row of it

        for table in _tables(file):
            hashes = pa.array(pool.map(hash_of, manifest_rows(table)), pa.string())
            position = table.schema.get_field_index("content_hash")
            hashed_table = table.set_column(position, table.schema.field(position), hashes)
            writer.write_table(hashed_table, row_group_size=ROW_GROUP)
            done += table.num_rows
            reporter.status(f"Hashing images: {done:,} so far")


def _tables(file: pq.ParquetFile) -> Iterator[pa.Table]:
    for batch in file.iter_batches(batch_size=ROW_GROUP):
        yield pa.Table.from_batches([batch])
