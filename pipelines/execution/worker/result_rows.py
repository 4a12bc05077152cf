"""The result rows of a unit: one row per image, failed ones included."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import ImageStatus, InferenceResult, TaskType
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.execution.worker.preprocess import UnitImage
from snellen.pipelines.execution.worker.row_guard import (
    failed_row,
    failure,
    image_name,
    invalid_label,
    table_of,
    with_matches,
)
from snellen.pipelines.tasks.record import GroundTruth, TaskRecord
from snellen.pipelines.tasks.registry import task_of
from snellen.store.parquet.schema import meta_fields, result_schema

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
    table = table_of(
        [
            _guarded(_from_manifest(row), image, task, names)
            for row, image in zip(known, images, strict=True)
        ]
    )
    match = task.match_columns
    if match is not None and operating is not None:
        table = with_matches(table, lambda rows: match(rows, operating))
    meta = meta_fields(manifest.schema)
    for field in meta:
        table = table.append_column(field, manifest[field.name].combine_chunks())
    return table.cast(result_schema(meta))


def _from_manifest(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image_index": row["image_index"],
        "image_id": row["image_id"],
        "image_path": row["location"],
        "image_name": image_name(row),
    }


def _guarded(
    known: dict[str, Any], image: UnitImage, task: TaskRecord, names: Sequence[str]
) -> dict[str, Any]:
    """Return the row of an image; a failed one where its columns cannot be made."""
    row = known | {
        "content_hash": image.content_hash,
        "preprocessing_time_ms": image.milliseconds,
    }
    try:
        _add_ground_truth(row, image.truth, names)
    except Exception as error:  # one image must not end a run of millions
        return failed_row(row, invalid_label(f"{type(error).__name__}: {error}."))
    try:
        return row | _outcome(image, task)
    except Exception as error:  # as above
        message = f"the prediction cannot be stored: {type(error).__name__}: {error}"
        return failed_row(row, ImageError(ErrorStage.POSTPROCESS, ErrorCode.INTERNAL, message))


def _outcome(image: UnitImage, task: TaskRecord) -> dict[str, Any]:
    """Return the columns that follow from the prediction, or from the error in its place."""
    result = image.result
    if result is None or image.error is not None:
        return failure(image.error or _NO_RESULT)
    row = _size(image, result)
    if result.status is ImageStatus.FAILED:
        return row | _failure_of(result)
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


def _size(image: UnitImage, result: InferenceResult) -> dict[str, Any]:
    row: dict[str, Any] = {}
    item = image.item
    if item is not None and item.width:
        row["width"], row["height"] = item.width, item.height
    extra: dict[str, Any] = {**(item.extra if item is not None else {}), **result.extra_data}
    if image.brightness is not None:
        extra["brightness"] = image.brightness
    if extra:
        row["extra_data"] = json.dumps(extra, sort_keys=True)
    return row


def _failure_of(result: InferenceResult) -> dict[str, Any]:
    stage, code = result.error_stage or ErrorStage.INFER, result.error_code or ErrorCode.INTERNAL
    return failure(ImageError(stage, code, result.error_message or ""))
