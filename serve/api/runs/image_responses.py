"""Responses of images, from their result rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from snellen.serve.api.bodies.image_bodies import (
    InferenceImageResponse,
    MatchResponse,
    TestImageResultResponse,
    TrueBoxResponse,
)
from snellen.serve.api.redaction import without_paths
from snellen.serve.api.schemas import (
    BoxResponse,
    ClassScoreResponse,
    KeypointResponse,
    MaskResponse,
    PoseResponse,
)
from snellen.store.parquet.schema import META_PREFIX
from snellen.store.views import InferenceJobView, RunView

Row = Mapping[str, Any]
_PLAIN = (
    *("image_name", "image_index", "width", "height", "status", "error_stage", "error_code"),
    *("true_label", "true_label_id", "predicted_label", "predicted_label_id", "confidence"),
    *("true_confidence", "loss", "tp", "fp", "fn", "is_correct", "iou", "oks"),
)


def test_image(
    run: RunView, row: Row, row_id: int, created_at: datetime
) -> TestImageResultResponse:
    """Return the response of an image of a test run; objects that ``row`` lacks are null."""
    names = run.class_names or []
    return TestImageResultResponse(
        id=row_id,
        test_run_id=run.id,
        image_path=row["image_id"],
        **{key: row.get(key) for key in _PLAIN},
        error_message=_message(row),
        inference_time_ms=row.get("inference_time_ms"),
        top5_predictions=_top5(row),
        true_boxes=_each(row.get("true_boxes"), lambda box: _true_box(box, names)),
        predicted_boxes=_boxes(row, names),
        true_masks=_masks(row, "true_masks"),
        predicted_masks=_masks(row, "predicted_masks"),
        true_keypoints=_poses(row, "true_keypoints"),
        predicted_keypoints=_poses(row, "predicted_keypoints"),
        matches=_each(row.get("matches"), lambda match: MatchResponse(**match)),
        metadata={
            key.removeprefix(META_PREFIX): value
            for key, value in row.items()
            if key.startswith(META_PREFIX)
        },
        extra_data=_extra(row),
        created_at=created_at,
    )


def predicted_image(
    job: InferenceJobView, row: Row, row_id: int, checkpoint: str, created_at: datetime
) -> InferenceImageResponse:
    """Return the response of an image of an inference job."""
    return InferenceImageResponse(
        id=row_id,
        inference_job_id=job.id,
        training_job_id=job.training_job_id,
        checkpoint=checkpoint,
        checkpoint_sha256=str((job.fingerprint or {}).get("checkpoint_sha256") or ""),
        task_type=job.task_type,
        image_path=row.get("image_id") or row["image_name"],
        image_name=row["image_name"],
        image_index=row["image_index"],
        width=row.get("width"),
        height=row.get("height"),
        status=row["status"],
        error_code=row.get("error_code"),
        error_message=_message(row),
        predicted_label=row.get("predicted_label"),
        predicted_label_id=row.get("predicted_label_id"),
        confidence=row.get("confidence"),
        top5_predictions=_top5(row),
        predicted_boxes=_boxes(row, job.class_names or []),
        predicted_masks=_masks(row, "predicted_masks"),
        predicted_keypoints=_poses(row, "predicted_keypoints"),
        inference_time_ms=row.get("inference_time_ms") or 0.0,
        preprocessing_time_ms=row.get("preprocessing_time_ms") or 0.0,
        postprocessing_time_ms=row.get("postprocessing_time_ms") or 0.0,
        visualization_path=row.get("visualization_path"),
        extra_data=_extra(row),
        created_at=created_at,
    )


def _each(values: Sequence[Any] | None, build: Any) -> list[Any] | None:
    return None if values is None else [build(value) for value in values]


def _message(row: Row) -> str | None:
    message = row.get("error_message")
    return None if message is None else without_paths(message)


def _extra(row: Row) -> dict[str, Any] | None:
    text = row.get("extra_data")
    found = json.loads(text) if isinstance(text, str) else text
    return found or None


def _top5(row: Row) -> list[ClassScoreResponse] | None:
    return _each(row.get("top5_predictions"), lambda score: ClassScoreResponse(**score))


def _label(class_id: int, names: Sequence[str]) -> str:
    return names[class_id] if 0 <= class_id < len(names) else str(class_id)


def _sides(box: Row) -> dict[str, Any]:
    x1, y1, x2, y2 = box["x1"], box["y1"], box["x2"], box["y2"]
    return {
        "bbox": [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1],
        "xyxy": [x1, y1, x2, y2],
    }


def _boxes(row: Row, names: Sequence[str]) -> list[BoxResponse] | None:
    return _each(
        row.get("predicted_boxes"),
        lambda box: BoxResponse(
            class_id=box["class_id"],
            label=_label(box["class_id"], names),
            confidence=box["confidence"],
            **_sides(box),
        ),
    )


def _true_box(box: Row, names: Sequence[str]) -> TrueBoxResponse:
    return TrueBoxResponse(
        class_id=box["class_id"],
        label=_label(box["class_id"], names),
        area=box["area"],
        is_crowd=bool(box["is_crowd"]),
        ignore=bool(box["ignore"]),
        **_sides(box),
    )


def _masks(row: Row, column: str) -> list[MaskResponse] | None:
    size = [row.get("height") or 0, row.get("width") or 0]
    return _each(row.get(column), lambda counts: MaskResponse(size=size, counts=counts))


def _poses(row: Row, column: str) -> list[PoseResponse] | None:
    return _each(
        row.get(column),
        lambda points: PoseResponse(keypoints=[KeypointResponse(**point) for point in points]),
    )
