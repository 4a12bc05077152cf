"""Writer of the manifest: the fixed, ordered list of the images of a run.

The source is streamed into one Parquet file, so memory does not depend on the number of images.
Only a 64-bit hash per image is held, to find duplicate ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from snellen.adapters.errors import InputError
from snellen.pipelines.data.manifest_reader import CLASSES_KEY, ROOT_KEY
from snellen.pipelines.data.object_checks import ObjectChecks
from snellen.pipelines.data.report import PassedOver
from snellen.pipelines.data.row_counter import RowCounter
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.store.atomic_file import atomic_file, output_errors
from snellen.store.parquet.schema import manifest_schema
from snellen.store.parquet.unit_files import sha256_path

ROW_GROUP = 4096
"""Rows per row group; a worker reads the groups that its unit overlaps."""


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """Summary of a written manifest.

    Attributes:
        rows: number of images.
        sha256: of the file.
        excluded: number of images that the class map excludes.
        report: the dataset report, as it is stored with a run.
    """

    rows: int
    sha256: str
    excluded: int
    report: dict[str, Any]


def write_manifest(
    source: Source,
    info: DatasetInfo,
    path: Path,
    *,
    exclude: frozenset[str] = frozenset(),
    progress: Callable[[int], None] | None = None,
) -> ManifestSummary:
    """Stream the rows of a source into a manifest.

    Args:
        source, info: the dataset and its description; ``dataset.limit`` is the number of
            images, spread evenly; ``dataset.strict`` rejects one with warnings.
        path: the Parquet file to write; it appears whole or not at all.
        exclude: dataset classes whose images are excluded.
        progress: called with the number of images found so far.

    Raises:
        InputError: DATASET_EMPTY, DATASET_DUPLICATE_IDS or DATASET_STRICT, or as
            `ObjectChecks.finish`.
        RunError: DISK_FULL, OUTPUT_READONLY or OUTPUT_NOT_WRITABLE.
    """
    limit = source.config.limit
    schema = _with_classes(manifest_schema(info.meta_fields), info)
    report = source.begin_report()
    report.describe(info.class_order, info.columns)
    for warning in info.warnings:
        report.warn(warning)
    counter = RowCounter(info.classes)
    hashes: list[npt.NDArray[np.uint64]] = []
    excluded = 0
    rows = 0
    with atomic_file(path) as partial:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for table in _checked(source, _tables(source, info, schema)):
                kept = _without(table, exclude)
                excluded += table.num_rows - kept.num_rows
                hashes.append(pl.Series(kept["image_id"]).hash().to_numpy())
                kept = _numbered(kept, rows)
                counter.add(kept)
                with output_errors(path):
                    writer.write_table(kept, row_group_size=ROW_GROUP)
                rows += kept.num_rows
                if progress is not None:
                    progress(rows)
        if rows == 0:
            raise _empty(source, excluded)
        _check_unique(partial, hashes)
        if excluded:
            report.pass_over(PassedOver.EXCLUDED_CLASS, count=excluded)
        if limit is not None and limit < rows:
            counter = RowCounter(info.classes)
            _thin(partial, rows, limit, counter)
            report.pass_over(PassedOver.LIMIT, count=rows - limit)
            rows = limit
        counter.finish(report, exclude)
        report.reject_if_strict(source.config.strict)
        digest = sha256_path(partial)
    return ManifestSummary(rows, digest, excluded, report.to_json())


def _empty(source: Source, excluded: int) -> InputError:
    passed = "; ".join(source.report.warnings())
    return InputError(
        "DATASET_EMPTY",
        f"dataset.path: '{source.config.path}' has no images"
        + (f" besides the {excluded} that model.class_map excludes" if excluded else "")
        + f". Expected at least one.{f' {passed}.' if passed else ''}",
    )


def _with_classes(schema: pa.Schema, info: DatasetInfo) -> pa.Schema:
    """Add classes and root to the metadata, so that a manifest is itself a dataset."""
    known = {CLASSES_KEY: json.dumps(info.classes), ROOT_KEY: str(info.root)}
    if info.classes is None:
        known.pop(CLASSES_KEY)
    return schema.with_metadata({**(schema.metadata or {}), **known})


def _checked(source: Source, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the tables, checked as `ObjectChecks` does unless ground truth is not needed."""
    if not source.reads_labels:
        yield from tables
        return
    fail_mixed = source.config.mixed_labels == "fail"
    checks = ObjectChecks(source.needs or frozenset(), fail_mixed=fail_mixed)
    for table in tables:
        yield checks.apply(table)
    checks.finish(source.report)


def _tables(source: Source, info: DatasetInfo, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the batches of the source as tables of whole row groups; small batches are joined."""
    waiting: list[pa.Table] = []
    count = 0
    for columns in source.batches(info):
        table = _to_table(columns, schema)
        waiting.append(table)
        count += table.num_rows
        if count >= ROW_GROUP:
            joined = pa.concat_tables(waiting)
            full = count - count % ROW_GROUP
            yield joined.slice(0, full)
            waiting, count = [joined.slice(full)], count - full
    if count:
        yield pa.concat_tables(waiting)


def _to_table(columns: dict[str, Sequence[Any]], schema: pa.Schema) -> pa.Table:
    count = len(next(iter(columns.values())))
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        if values is None:
            arrays.append(pa.nulls(count, field.type))
        elif isinstance(values, pa.Array | pa.ChunkedArray):
            arrays.append(values.cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _without(table: pa.Table, labels: frozenset[str]) -> pa.Table:
    if not labels:
        return table
    dropped = pc.is_in(table["label"], pa.array(sorted(labels), pa.string()))
    return table.filter(pc.invert(dropped))


def _numbered(table: pa.Table, first: int) -> pa.Table:
    index = pa.array(np.arange(first, first + table.num_rows, dtype=np.int64))
    return table.set_column(
        table.schema.get_field_index("image_index"), table.schema.field("image_index"), index
    )


def _check_unique(path: Path, hashes: list[npt.NDArray[np.uint64]]) -> None:
    """Reject duplicate ids; equal hashes are compared as text, so that collisions are no error."""
    merged = np.concatenate(hashes)
    merged.sort()
    repeated = np.unique(merged[1:][merged[1:] == merged[:-1]])
    if not len(repeated):
        return
    seen: set[str] = set()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["image_id"]):
            ids = pl.Series(batch.column(0))
            for image_id in ids.filter(ids.hash().is_in(repeated)).to_list():
                if image_id in seen:
                    raise InputError(
                        "DATASET_DUPLICATE_IDS",
                        f"duplicate image id '{image_id}'. Expected unique ids: results are keyed "
                        "by them. Remove one of the two images from the dataset.",
                    )
                seen.add(image_id)


def _thin(path: Path, rows: int, limit: int, counter: RowCounter) -> None:
    """Keep ``limit`` rows and count them; the i-th is row floor(i * rows / limit)."""
    with (
        output_errors(path),
        atomic_file(path) as thinned,
        pq.ParquetFile(path) as file,
        pq.ParquetWriter(thinned, file.schema_arrow, compression="zstd") as writer,
    ):
        wanted = np.arange(limit, dtype=np.int64) * rows // limit
        start = taken = 0
        for batch in file.iter_batches(batch_size=ROW_GROUP):
            inside = wanted[(wanted >= start) & (wanted < start + batch.num_rows)] - start
            table = pa.Table.from_batches([batch]).take(pa.array(inside))
            counter.add(table)
            writer.write_table(_numbered(table, taken), row_group_size=ROW_GROUP)
            taken += len(inside)
            start += batch.num_rows
