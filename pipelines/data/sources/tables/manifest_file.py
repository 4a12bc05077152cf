"""Manifest file: Parquet or CSV with the columns path, label and any others.

Parquet is streamed by record batch, CSV by pyarrow's reader. The path is an address, an absolute
path, or relative to ``dataset.root`` (default: the manifest's folder); `columns` lists the names of
its column and of that of the label. ``image_id``, ``size``, ``mtime_ns`` and ``content_hash`` (or
``sha256``) are used if they exist; all other columns are kept as ``meta_<column>``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from snellen.adapters.errors import InputError
from snellen.pipelines.data.manifest_reader import CLASSES_KEY, ROOT_KEY
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.file_listing import sort_key, unescape_id
from snellen.pipelines.data.sources.tables.column_types import text_of, value_type, whole_numbers
from snellen.pipelines.data.sources.tables.columns import Columns, find_columns
from snellen.pipelines.data.sources.tables.table_files import CSV_SUFFIXES, TableFile, open_table
from snellen.pipelines.storage.address import ADDRESS_PATTERN, check_addresses, is_remote
from snellen.pipelines.storage.remote_path import Place, RemotePath

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
    *("size", "mtime_ns", "image_index", "label_id"),
    *_HASH_COLUMNS,
    *_NESTED,
    *_PLACE,
)
_CHECKED = 16


class ManifestSource(Source):
    """The rows of a Parquet or CSV file, in file order."""

    keys: ClassVar[frozenset[str] | None] = frozenset(
        {"root", "columns", "class_order", "first_label", "mixed_labels"}
    )

    @classmethod
    def recognises(cls, path: Place) -> bool:
        """Return True for a .parquet, .pq, .csv or .tsv file."""
        return path.suffix.lower() in {".parquet", ".pq", *CSV_SUFFIXES} and path.is_file()

    def describe(self) -> DatasetInfo:
        """Read the schema and scan the label column for its distinct values.

        Raises:
            InputError: DATASET_UNREADABLE; DATASET_COLUMNS as `find_columns`, or for labels that
                are no class each; DATASET_CLASSES for boxes without class names.
        """
        table, columns = self._table
        schema = table.schema
        taken = {columns.path, columns.label, columns.id, *_OWN_COLUMNS}
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
            classes, are_ids = self._classes(table, columns.label)
        root = self.place(self.config.root, "root") if self.config.root else None
        return DatasetInfo(
            root=root or self._path.parent,
            split=None,
            classes=classes,
            labels_are_ids=are_ids,
            class_order=self.config.class_order,
            meta_fields=meta,
            columns={kind: name for kind, name in asdict(columns).items() if name is not None},
        )

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield record batches as Arrow columns.

        Raises:
            InputError: DATASET_UNREADABLE; DATASET_COLUMNS for a row without a path;
                DATASET_IMAGES_NOT_FOUND if none of the first images exists.
        """
        table, names = self._table
        root = str(info.root)
        index = pa.array(info.classes or (), pa.string())
        first = True
        for batch in table.batches():
            paths = self._paths(batch.column(names.path))
            if first:
                self._check_first(paths, info.root)
                first = False
            labels = self._labels(batch, names.label)
            columns: dict[str, Sequence[Any]] = {
                "image_id": self._ids(batch, names.id, paths, root),
                "location": _absolute(paths, root, escaped=self._is_own),
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

    @property
    def _is_own(self) -> bool:
        """True for a manifest that Snellen wrote."""
        return ROOT_KEY.encode() in (self._table[0].schema.metadata or {})

    def _stored_classes(self, schema: pa.Schema) -> tuple[str, ...] | None:
        """Return the classes in the metadata of a manifest that Snellen wrote."""
        stored = (schema.metadata or {}).get(CLASSES_KEY.encode())
        return None if stored is None else tuple(json.loads(stored))

    @cached_property
    def _table(self) -> tuple[TableFile, Columns]:
        table = open_table(self._path)
        columns = find_columns(
            table.names, self.config.columns, str(self._path), labels=self.reads_labels
        )
        # Labels are always text: 007 is a name, and a later block may not look like a number.
        named = (columns.path, columns.label, columns.id, *_HASH_COLUMNS)
        table.keep_text([name for name in named if name is not None])
        return table, columns

    def _paths(self, cells: pa.Array) -> pa.Array:
        paths = text_of(cells)
        empty = pc.or_kleene(pc.is_null(paths), pc.equal(paths, ""))
        if pc.any(empty).as_py():
            raise InputError(
                "DATASET_COLUMNS",
                f"dataset.path: '{self._path}' has a row without a path. Expected one image per "
                "row. Remove the row.",
            )
        check_addresses(paths, str(self._path))
        return paths

    def _check_first(self, paths: pa.Array, root: Place) -> None:
        """Reject a table of local images if none of the first ones exists."""
        first = paths.slice(0, _CHECKED).to_pylist()
        if isinstance(root, RemotePath) or any(map(is_remote, first)):
            return
        tried = [root / (unescape_id(path) if self._is_own else path) for path in first]
        if tried and not any(path.exists() for path in tried):
            raise InputError(
                "DATASET_IMAGES_NOT_FOUND",
                f"dataset.path: none of the first {len(tried)} images of '{self._path}' exists; "
                f"the first is '{tried[0]}'. Expected paths below '{root}', or absolute ones. Set "
                "dataset.root to the folder that the paths start from.",
            )

    def _labels(self, batch: pa.RecordBatch, column: str | None) -> pa.Array:
        if column is None:
            return pa.nulls(batch.num_rows, pa.string())
        try:
            return text_of(whole_numbers(batch.column(column)))
        except pa.ArrowException as error:
            raise InputError(
                "DATASET_COLUMNS",
                f"dataset.path: '{self._path}' has the column {column} of type "
                f"{batch.column(column).type}, which cannot be a label: {error}. Expected one "
                "class name or class id per row. Set dataset.columns={label: COLUMN}.",
            ) from None

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

    def _classes(self, table: TableFile, column: str | None) -> tuple[tuple[str, ...] | None, bool]:
        if column is None:
            return None, False
        distinct: set[str] = set()
        for batch in table.batches([column]):
            found = pc.unique(self._labels(batch, column)).drop_null()
            distinct.update(found.to_pylist())
        kind = value_type(table.schema.field(column).type)
        are_ids = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        key = sort_key("natural" if are_ids else self.config.class_order)
        return tuple(sorted(distinct, key=key)), are_ids  # type: ignore[arg-type]

    def _ids(
        self, batch: pa.RecordBatch, column: str | None, paths: pa.Array, root: str
    ) -> pa.Array:
        if column is not None:
            return text_of(batch.column(column))
        prefix = f"{root}/"
        inside = pc.starts_with(paths, prefix)
        relative = pc.if_else(inside, pc.utf8_slice_codeunits(paths, len(prefix)), paths)
        return pc.replace_substring_regex(relative, "^(\\./)+", "")


def _absolute(paths: pa.Array, root: str, *, escaped: bool) -> pa.Array:
    whole = pc.if_else(
        pc.match_substring_regex(paths, f"^/|{ADDRESS_PATTERN}"),
        paths,
        pc.binary_join_element_wise(root, paths, "/"),
    )
    # As escape_id does; manifests that Snellen wrote have escaped locations already.
    return whole if escaped else pc.replace_substring(whole, "\\", "\\\\")


def _optional(batch: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    if name in batch.schema.names:
        return batch.column(name).cast(kind)
    return pa.nulls(batch.num_rows, kind)
