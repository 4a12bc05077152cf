"""The columns of the result files and of the manifest, with their Arrow types.

A result file has one row per image. Boxes are ``xyxy`` in absolute pixels of the upright image,
masks are COCO compressed RLE, times are milliseconds. Class ids are the checkpoint's in results
and the dataset's own in the manifest. Only ``image_index``, ``image_id`` and ``status`` (and
``location`` in a manifest) are never null; numbers that are not finite are stored as null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = "1"
"""Version of the columns' names, types and meanings, stored in the metadata of every file."""

VERSION_KEY = b"snellen_schema_version"
META_PREFIX = "meta_"

_METADATA: dict[bytes | str, bytes | str] = {VERSION_KEY: SCHEMA_VERSION.encode()}


def _floats(*names: str) -> list[pa.Field[Any]]:
    return [pa.field(name, pa.float32()) for name in names]


_KEYPOINT = pa.struct(_floats("x", "y", "v"))
TRUE_BOXES = pa.list_(
    pa.struct(
        [
            pa.field("class_id", pa.int32()),
            *_floats("x1", "y1", "x2", "y2", "area"),
            pa.field("is_crowd", pa.bool_()),
            pa.field("ignore", pa.bool_()),
        ]
    )
)
PREDICTED_BOXES = pa.list_(
    pa.struct(
        [pa.field("class_id", pa.int32()), *_floats("x1", "y1", "x2", "y2", "confidence")],
    )
)
MASKS = pa.list_(pa.binary())
KEYPOINTS = pa.list_(pa.list_(_KEYPOINT))
TOP5 = pa.list_(
    pa.struct(
        [
            pa.field("label_id", pa.int32()),
            pa.field("label", pa.string()),
            pa.field("confidence", pa.float32()),
        ]
    )
)
MATCHES = pa.list_(
    pa.struct(
        [
            pa.field("kind", pa.string()),
            pa.field("true_index", pa.int32()),
            pa.field("predicted_index", pa.int32()),
            pa.field("overlap", pa.float32()),
        ]
    )
)

_RESULT_FIELDS: list[pa.Field[Any]] = [
    pa.field("image_index", pa.int64()),
    pa.field("image_id", pa.string()),
    pa.field("image_path", pa.string()),
    pa.field("image_name", pa.string()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("status", pa.string()),
    pa.field("error_stage", pa.string()),
    pa.field("error_code", pa.string()),
    pa.field("error_message", pa.string()),
    pa.field("true_label", pa.string()),
    pa.field("true_label_id", pa.int32()),
    pa.field("predicted_label", pa.string()),
    pa.field("predicted_label_id", pa.int32()),
    pa.field("confidence", pa.float32()),
    pa.field("top5_predictions", TOP5),
    pa.field("true_confidence", pa.float32()),
    pa.field("loss", pa.float32()),
    pa.field("true_boxes", TRUE_BOXES),
    pa.field("predicted_boxes", PREDICTED_BOXES),
    pa.field("true_masks", MASKS),
    pa.field("predicted_masks", MASKS),
    pa.field("true_mask_path", pa.string()),
    pa.field("predicted_mask_path", pa.string()),
    pa.field("visualization_path", pa.string()),
    pa.field("true_keypoints", KEYPOINTS),
    pa.field("predicted_keypoints", KEYPOINTS),
    pa.field("matches", MATCHES),
    pa.field("tp", pa.int32()),
    pa.field("fp", pa.int32()),
    pa.field("fn", pa.int32()),
    pa.field("is_correct", pa.bool_()),
    pa.field("iou", pa.float32()),
    pa.field("oks", pa.float32()),
    pa.field("preprocessing_time_ms", pa.float32()),
    pa.field("inference_time_ms", pa.float32()),
    pa.field("postprocessing_time_ms", pa.float32()),
    pa.field("content_hash", pa.string()),
    pa.field("extra_data", pa.string()),
]
RESULT_SCHEMA = pa.schema(_RESULT_FIELDS, metadata=_METADATA)
"""Columns of a result file, without the metadata columns of a manifest."""

_MANIFEST_FIELDS: list[pa.Field[Any]] = [
    pa.field("image_index", pa.int64()),
    pa.field("image_id", pa.string()),
    pa.field("location", pa.string()),
    pa.field("shard", pa.string()),
    pa.field("offset", pa.int64()),
    pa.field("length", pa.int64()),
    pa.field("size", pa.int64()),
    pa.field("mtime_ns", pa.int64()),
    pa.field("content_hash", pa.string()),
    pa.field("label", pa.string()),
    pa.field("label_id", pa.int32()),
    pa.field("true_boxes", TRUE_BOXES),
    pa.field("true_masks", MASKS),
    pa.field("true_keypoints", KEYPOINTS),
    pa.field("label_width", pa.int32()),
    pa.field("label_height", pa.int32()),
    pa.field("label_error", pa.string()),
]
MANIFEST_SCHEMA = pa.schema(_MANIFEST_FIELDS, metadata=_METADATA)
"""Columns of a manifest: one row per image of a dataset, before any image is read.

``shard``, ``offset`` and ``length`` (bytes) locate a member of a tar file; ``mtime_ns`` is
nanoseconds since the epoch; ``content_hash`` is the sha256 of the image's bytes, null if it is not
known. ``label_width`` and ``label_height`` are the pixels of the upright
image that boxes, masks and keypoints refer to, null where the format does not say. ``label_error``
is ``CODE: message`` if the labels of the image cannot be used (LABEL_MISSING, LABEL_RANGE,
LABEL_INVALID, LABEL_SIZE_MISMATCH); its result row has the same error.
"""


def result_schema(meta_fields: Sequence[pa.Field[Any]] = ()) -> pa.Schema:
    """Return `RESULT_SCHEMA` followed by the manifest's metadata columns, prefixed ``meta_``."""
    return _extended(RESULT_SCHEMA, meta_fields)


def manifest_schema(meta_fields: Sequence[pa.Field[Any]] = ()) -> pa.Schema:
    """Return `MANIFEST_SCHEMA` followed by the dataset's metadata columns, prefixed ``meta_``."""
    return _extended(MANIFEST_SCHEMA, meta_fields)


def meta_fields(schema: pa.Schema) -> list[pa.Field[Any]]:
    """Return the metadata columns of a manifest or result schema, with their prefix."""
    return [field for field in schema if field.name.startswith(META_PREFIX)]


def _extended(schema: pa.Schema, fields: Sequence[pa.Field[Any]]) -> pa.Schema:
    names = set(schema.names)
    for field in fields:
        name = META_PREFIX + field.name.removeprefix(META_PREFIX)
        if name in names:
            raise ValueError(f"duplicate metadata column {name}. Expected unique names")
        names.add(name)
        schema = schema.append(pa.field(name, field.type))
    return schema
