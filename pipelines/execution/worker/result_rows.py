"""The result rows of a unit: one row per image, failed ones included."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import ImageStatus, InferenceResult, TaskType
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.execution.worker.preprocess import UnitImage
from snellen.pipelines.tasks.record import GroundTruth, TaskRecord
from snellen.pipelines.tasks.registry import task_of
from snellen.store.parquet.schema import RESULT_SCHEMA, meta_fields, result_schema

_NO_RESULT = ImageError(ErrorStage.INFER, ErrorCode.INTERNAL, "no result came back")


def result_table(
    manifest: pa.Table,
    images: Sequence[UnitImage],
    task_type: TaskType,
    names: Sequence[str],
    operating: OperatingPoint | None = None,
) -> pa.Table:
    """Join manifest rows with their predictions: one row per image, failed ones included.

    Args:
        manifest: n rows of the manifest.
        images: n images after inference, in the same order.
        task_type: of the model.
        names: the model's class names; empty for unlabelled images.
        operating: the point at which detections are matched; None for no matches.

    Returns:
        A table of ``snellen.store.parquet.schema.result_schema``, n rows, in manifest order.
    """
    task = task_of(task_type)
    known = manifest.select(["image_index", "image_id", "location"]).to_pylist()
    rows = [
        _from_manifest(row) | _row(image, task, names)
        for row, image in zip(known, images, strict=True)
    ]
    table = pa.Table.from_pylist(rows, schema=RESULT_SCHEMA)
    if task.match_columns is not None and operating is not None:
        for name, values in task.match_columns(table, operating).items():
            table = _with_column(table, name, values)
    meta = meta_fields(manifest.schema)
    for field in meta:
        table = table.append_column(field, manifest[field.name].combine_chunks())
    return table.cast(result_schema(meta))


def _with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    position = table.schema.get_field_index(name)
    field = table.schema.field(position)
    return table.set_column(position, field, values.cast(field.type))


def _from_manifest(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image_index": row["image_index"],
        "image_id": row["image_id"],
        "image_path": row["location"],
        "image_name": PurePosixPath(row["image_id"]).name or row["image_id"],
    }


def _row(image: UnitImage, task: TaskRecord, names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"preprocessing_time_ms": image.milliseconds}
    _add_ground_truth(row, image.truth, names)
    result = image.result
    if result is None or image.error is not None:
        error = image.error or _NO_RESULT
        return row | _failure(error.stage, error.code, error.message)
    _add_size(row, image, result)
    if result.status is ImageStatus.FAILED:
        return row | _failure(result.error_stage, result.error_code, result.error_message)
    row["status"] = "ok"
    row["inference_time_ms"] = result.inference_time_ms
    row["postprocessing_time_ms"] = result.postprocessing_time_ms
    return row | task.predicted_columns(result, image.truth)


def _add_ground_truth(row: dict[str, Any], truth: GroundTruth, names: Sequence[str]) -> None:
    if truth.class_id is not None:
        row["true_label_id"] = truth.class_id
        row["true_label"] = names[truth.class_id]
    if truth.boxes is not None:
        row["true_boxes"] = truth.boxes
        row["true_masks"] = truth.masks
        row["true_keypoints"] = truth.keypoints


def _add_size(row: dict[str, Any], image: UnitImage, result: InferenceResult) -> None:
    item = image.item
    if item is not None and item.width:
        row["width"], row["height"] = item.width, item.height
    extra: Mapping[str, Any] = {**(item.extra if item is not None else {}), **result.extra_data}
    if extra:
        row["extra_data"] = json.dumps(extra, sort_keys=True)


def _failure(stage: Any, code: Any, message: str | None) -> dict[str, Any]:
    return {
        "status": "failed",
        "error_stage": str(stage),
        "error_code": str(code),
        "error_message": message,
    }
