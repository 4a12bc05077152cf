"""Make the result table of a unit: one row an image, whatever became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from snellen.adapters.errors import ErrorCode, ErrorStage, ImageError
from snellen.adapters.types import ImageStatus, InferenceResult, TaskType
from snellen.metrics.detection.operating_point import OperatingPoint
from snellen.pipelines.data.class_map import ClassMap
from snellen.pipelines.execution.worker.preprocess import Prepared
from snellen.pipelines.tasks.record import GroundTruth, TaskRecord
from snellen.pipelines.tasks.registry import task_of
from snellen.store.parquet.schema import result_schema

_NO_RESULT = ImageError(ErrorStage.INFER, ErrorCode.INTERNAL, "no result came back")
_FROM_MANIFEST = ("image_index", "image_id")


def result_table(
    manifest: pa.Table,
    prepared: Sequence[Prepared],
    results: Sequence[InferenceResult | None],
    class_map: ClassMap | None,
    task: TaskType,
    operating: OperatingPoint | None = None,
) -> pa.Table:
    """Join manifest rows with what came of them.

    Args:
        manifest: n rows of the manifest.
        prepared: n prepared images, in the same order.
        results: n results; None where ``prepared`` has an error.
        class_map: names for the class ids.
        task: decides what ``is_correct`` means.
        operating: where detections count as made; None leaves their matches out.

    Returns:
        A table of ``snellen.store.parquet.schema.result_schema``, n rows, in manifest order.
    """
    meta = [field for field in manifest.schema if field.name.startswith("meta_")]
    schema = result_schema(meta)
    names = class_map.names if class_map is not None else ()
    rows = [
        _row(one, result, names, task_of(task), operating)
        for one, result in zip(prepared, results, strict=True)
    ]
    count = manifest.num_rows
    arrays = []
    for field in schema:
        if field.name in _FROM_MANIFEST or field.name.startswith("meta_"):
            arrays.append(manifest[field.name].combine_chunks().cast(field.type))
        elif field.name == "image_path":
            arrays.append(manifest["location"].combine_chunks())
        elif field.name == "image_name":
            ids = manifest["image_id"].to_pylist()
            arrays.append(pa.array([PurePosixPath(text).name or text for text in ids], field.type))
        elif any(field.name in row for row in rows):
            arrays.append(pa.array([row.get(field.name) for row in rows], field.type))
        else:
            arrays.append(pa.nulls(count, field.type))
    flat = [a.combine_chunks() if isinstance(a, pa.ChunkedArray) else a for a in arrays]
    return pa.Table.from_arrays(flat, schema=schema)


def _row(
    prepared: Prepared,
    result: InferenceResult | None,
    names: Sequence[str],
    task: TaskRecord,
    operating: OperatingPoint | None,
) -> dict[str, Any]:
    row: dict[str, Any] = {"preprocessing_time_ms": prepared.milliseconds}
    _add_truth(row, prepared.truth, names)
    if result is None or prepared.error is not None:
        error = prepared.error or _NO_RESULT
        row.update(_failure(error.stage, error.code, error.message))
        return row
    _add_size(row, prepared, result)
    if result.status is ImageStatus.FAILED:
        row.update(_failure(result.error_stage, result.error_code, result.error_message))
        return row
    row["status"] = "ok"
    row["inference_time_ms"] = result.inference_time_ms
    row["postprocessing_time_ms"] = result.postprocessing_time_ms
    row.update(task.predicted_columns(result, prepared.truth))
    if task.match_columns and operating is not None and prepared.truth.boxes is not None:
        row.update(task.match_columns(row, operating))
    return row


def _add_truth(row: dict[str, Any], truth: GroundTruth, names: Sequence[str]) -> None:
    if truth.class_id is not None:
        row["true_label_id"] = truth.class_id
        row["true_label"] = names[truth.class_id]
    if truth.boxes is not None:
        row["true_boxes"] = truth.boxes
        row["true_masks"] = truth.masks
        row["true_keypoints"] = truth.keypoints


def _add_size(row: dict[str, Any], prepared: Prepared, result: InferenceResult) -> None:
    item = prepared.item
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
