"""Manifest file: Parquet or CSV with the columns path, label and any others.

Parquet is streamed by record batch, CSV by pyarrow's reader. ``path`` (or ``image_path``,
``location``, ``filename``, ``file_name``) is an address, an absolute path, or relative to
``dataset.root`` (default: the manifest's folder). ``image_id``, ``size``, ``mtime_ns`` and
``content_hash`` (or ``sha256``) are used if they exist; all other columns are kept as
``meta_<column>``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from snellen.adapters.errors import InputError
from snellen.pipelines.data.manifest_reader import CLASSES_KEY
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import sort_key
from snellen.pipelines.storage.address import ADDRESS_PATTERN, check_addresses
from snellen.pipelines.storage.remote_path import Place

_PATH_COLUMNS = ("path", "image_path", "location", "filename", "file_name")
_LABEL_COLUMNS = ("label", "class", "class_name", "target")
_NESTED = (
    "true_boxes",
    "true_masks",
    "true_keypoints",
    "label_width",
    "label_height",
    "label_error",
)
_PLACE = ("shard", "offset", "length")
_HASH_COLUMNS = ("content_hash", "sha256")
_SHA256 = "^[0-9a-f]{64}$"
_OWN_COLUMNS = (
    *("image_id", "size", "mtime_ns", "image_index", "label_id"),
    *_HASH_COLUMNS,
    *_NESTED,
    *_PLACE,
)
_BATCH = 65_536


class ManifestSource(Source):
    """The rows of a Parquet or CSV file, in file order."""

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return True for a .parquet, .pq or .csv file."""
        return path.suffix.lower() in {".parquet", ".pq", ".csv"} and path.is_file()

    def describe(self) -> DatasetInfo:
        """Read the schema and scan the label column for its distinct values.

        Raises:
            InputError: an unreadable file, or one without a path column.
        """
        schema = self._schema()
        path_column, label_column = self._columns(schema)
        taken = {path_column, label_column, *_OWN_COLUMNS}
        meta = tuple(
            pa.field(f"meta_{field.name.removeprefix('meta_')}", field.type)
            for field in schema
            if field.name not in taken
        )
        classes, are_ids = self._stored_classes(schema), False
        if not self.reads_labels:
            classes = None
        elif classes is None:
            if "true_boxes" in schema.names:
                raise InputError(
                    "DATASET_CLASSES",
                    f"dataset.path: '{self._path}' has boxes but no class names. Expected them in "
                    f"the file's metadata ({CLASSES_KEY}), where `snellen manifest` writes them.",
                )
            classes, are_ids = self._classes(schema, label_column)
        root = self.place(self.config.root, "root") if self.config.root else None
        return DatasetInfo(
            root=root or self._path.parent,
            split=None,
            classes=classes,
            labels_are_ids=are_ids,
            class_order=self.config.class_order,
            meta_fields=meta,
        )

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield record batches of up to 65,536 rows, as Arrow columns."""
        path_column, label_column = self._columns(self._schema())
        root = str(info.root)
        index = pa.array(info.classes or (), pa.string())
        for batch in self._stream():
            paths = batch.column(path_column).cast(pa.string())
            check_addresses(paths, str(self._path))
            labels = self._labels(batch, label_column)
            columns: dict[str, Sequence[Any]] = {
                "image_id": self._ids(batch, paths, root),
                "location": _absolute(paths, root),
                "size": _optional(batch, "size", pa.int64()),
                "mtime_ns": _optional(batch, "mtime_ns", pa.int64()),
                "content_hash": self._hashes(batch),
                "label": labels,
                "label_id": pc.index_in(labels, index),
            }
            for name in (*_NESTED, *_PLACE):
                if name in batch.schema.names:
                    columns[name] = batch.column(name)
            for field in info.meta_fields:
                own = field.name in batch.schema.names
                columns[field.name] = batch.column(
                    field.name if own else field.name.removeprefix("meta_")
                )
            yield columns

    @property
    def _path(self) -> Place:
        return self.place(self.config.path)

    def _stored_classes(self, schema: pa.Schema) -> tuple[str, ...] | None:
        """Return the classes in the metadata of a manifest that Snellen wrote."""
        stored = (schema.metadata or {}).get(CLASSES_KEY.encode())
        return None if stored is None else tuple(json.loads(stored))

    def _is_csv(self) -> bool:
        return self._path.suffix.lower() == ".csv"

    def _schema(self) -> pa.Schema:
        try:
            if self._is_csv():
                with self._open_csv() as reader:
                    return reader.schema
            with self._open_parquet() as file:
                return file.schema_arrow
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
            raise InputError(
                "DATASET_UNREADABLE",
                f"dataset.path: '{self._path}' cannot be read: {error}. Expected Parquet or CSV.",
            ) from None

    def _open_csv(self) -> pa_csv.CSVStreamingReader:
        # Labels are always text: 007 is a name, and a later block may not look like a number.
        text = dict.fromkeys(
            (*_PATH_COLUMNS, *_LABEL_COLUMNS, "image_id", *_HASH_COLUMNS), pa.string()
        )
        return pa_csv.open_csv(
            self._path if isinstance(self._path, Path) else self._path.open(),
            convert_options=pa_csv.ConvertOptions(column_types=text, strings_can_be_null=True),
        )

    def _open_parquet(self) -> pq.ParquetFile:
        path = self._path
        return pq.ParquetFile(path if isinstance(path, Path) else path.open())

    def _stream(self) -> Iterator[pa.RecordBatch]:
        try:
            if self._is_csv():
                with self._open_csv() as reader:
                    yield from reader
                return
            with self._open_parquet() as file:
                yield from file.iter_batches(batch_size=_BATCH)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(
                "DATASET_UNREADABLE",
                f"dataset.path: '{self._path}' cannot be read: {error}. Expected Parquet or CSV.",
            ) from None

    def _columns(self, schema: pa.Schema) -> tuple[str, str | None]:
        names = set(schema.names)
        path = next((name for name in _PATH_COLUMNS if name in names), None)
        if path is None:
            raise InputError(
                "DATASET_COLUMNS",
                f"dataset.path: '{self._path}' has the columns {', '.join(schema.names)}, none of "
                f"which is a path. Expected one of {', '.join(_PATH_COLUMNS)}.",
            )
        return path, next((name for name in _LABEL_COLUMNS if name in names), None)

    def _labels(self, batch: pa.RecordBatch, column: str | None) -> pa.Array:
        if column is None:
            return pa.nulls(batch.num_rows, pa.string())
        labels = batch.column(column)
        if pa.types.is_dictionary(labels.type):
            labels = labels.cast(labels.type.value_type)
        return labels.cast(pa.string())

    def _hashes(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the hashes of the images in lower case; empty ones are null."""
        name = next((name for name in _HASH_COLUMNS if name in batch.schema.names), None)
        if name is None:
            return pa.nulls(batch.num_rows, pa.string())
        found = pc.utf8_lower(pc.utf8_trim_whitespace(batch.column(name).cast(pa.string())))
        found = pc.if_else(pc.equal(found, ""), None, found)
        wrong = found.filter(pc.invert(pc.match_substring_regex(found, _SHA256)))
        if len(wrong):
            raise InputError(
                "DATASET_COLUMNS",
                f"dataset.path: '{self._path}' has {wrong[0].as_py()!r} in the column {name}. "
                "Expected the sha256 of the image file, 64 hexadecimal digits. Correct it, or "
                "rename the column.",
            )
        return found

    def _classes(
        self, schema: pa.Schema, column: str | None
    ) -> tuple[tuple[str, ...] | None, bool]:
        if column is None:
            return None, False
        distinct: set[str] = set()
        for batch in self._label_stream(column):
            distinct.update(v for v in pc.unique(self._labels(batch, column)).to_pylist() if v)
        are_ids = pa.types.is_integer(schema.field(column).type)
        key = sort_key("natural" if are_ids else self.config.class_order)
        return tuple(sorted(distinct, key=key)), are_ids  # type: ignore[arg-type]

    def _label_stream(self, column: str) -> Iterator[pa.RecordBatch]:
        if self._is_csv():
            yield from self._stream()
            return
        with self._open_parquet() as file:
            yield from file.iter_batches(batch_size=_BATCH, columns=[column])

    def _ids(self, batch: pa.RecordBatch, paths: pa.Array, root: str) -> pa.Array:
        if "image_id" in batch.schema.names:
            return batch.column("image_id").cast(pa.string())
        prefix = f"{root}/"
        inside = pc.starts_with(paths, prefix)
        return pc.if_else(inside, pc.utf8_slice_codeunits(paths, len(prefix)), paths)


def _absolute(paths: pa.Array, root: str) -> pa.Array:
    whole = pc.if_else(
        pc.match_substring_regex(paths, f"^/|{ADDRESS_PATTERN}"),
        paths,
        pc.binary_join_element_wise(root, paths, "/"),
    )
    return pc.replace_substring(whole, "\\", "\\\\")  # as escape_id does


def _optional(batch: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    if name in batch.schema.names:
        return batch.column(name).cast(kind)
    return pa.nulls(batch.num_rows, kind)
