"""The columns of result rows and manifests."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snellen.store.parquet.schema import (
    MANIFEST_SCHEMA,
    RESULT_SCHEMA,
    SCHEMA_VERSION,
    VERSION_KEY,
    manifest_schema,
    meta_fields,
    result_schema,
)
from snellen.store.parquet.unit_files import write_unit_file
from tests.store.making import META, row, table


def test_the_columns_of_a_result_row() -> None:
    assert RESULT_SCHEMA.names == [
        "image_index",
        "image_id",
        "image_path",
        "image_name",
        "width",
        "height",
        "status",
        "error_stage",
        "error_code",
        "error_message",
        "true_label",
        "true_label_id",
        "predicted_label",
        "predicted_label_id",
        "confidence",
        "top5_predictions",
        "true_confidence",
        "loss",
        "true_boxes",
        "predicted_boxes",
        "true_masks",
        "predicted_masks",
        "true_mask_path",
        "predicted_mask_path",
        "visualization_path",
        "true_keypoints",
        "predicted_keypoints",
        "matches",
        "tp",
        "fp",
        "fn",
        "is_correct",
        "iou",
        "oks",
        "preprocessing_time_ms",
        "inference_time_ms",
        "postprocessing_time_ms",
        "content_hash",
        "extra_data",
    ]
    assert RESULT_SCHEMA.field("true_label_id").type == pa.int32()
    assert RESULT_SCHEMA.field("confidence").type == pa.float32()
    assert RESULT_SCHEMA.field("predicted_masks").type == pa.list_(pa.binary())


def test_metadata_columns_are_prefixed_and_come_last() -> None:
    schema = manifest_schema(META)
    assert schema.names == [*MANIFEST_SCHEMA.names, "meta_camera"]
    assert result_schema(meta_fields(schema)).names[-1] == "meta_camera"
    with pytest.raises(ValueError, match="duplicate metadata column meta_camera"):
        result_schema([*META, *META])


def test_files_carry_the_version_of_the_schema(tmp_path: Path) -> None:
    file, _ = write_unit_file(table(row(0)), tmp_path, 0, "a")
    metadata = pq.read_schema(tmp_path / file).metadata
    assert metadata[VERSION_KEY] == SCHEMA_VERSION.encode()


def test_the_manifest_schema_has_what_preparing_needs() -> None:
    assert {"location", "size", "mtime_ns", "label"} <= set(manifest_schema().names)
