"""From a model's answer to the body of a response and the row of a table."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from snellen.adapters.types import Box, InferenceResult
from snellen.serve.api.model_resolver import Resolved
from snellen.serve.api.schemas import (
    BoxResponse,
    ClassScoreResponse,
    InferenceResultResponse,
    KeypointResponse,
    MaskResponse,
    PoseResponse,
)
from snellen.serve.inference.messages import Answer


def response_of(
    answer: Answer,
    resolved: Resolved,
    name: str,
    *,
    created_at: datetime,
    ids: tuple[int, int] | None = None,
    picture_path: str | None = None,
) -> InferenceResultResponse:
    """The body for a prediction.

    Args:
        answer: with a result whose status is ok.
        resolved: the model that was asked.
        name: display name of the image, which is its id too.
        created_at: when.
        ids: of the job and of the result, where the request was recorded.
        picture_path: of the recorded picture, relative to where such are kept.
    """
    result = answer.result
    assert result is not None
    return InferenceResultResponse(
        id=ids[1] if ids else None,
        inference_job_id=ids[0] if ids else None,
        training_job_id=resolved.job.id,
        checkpoint=resolved.checkpoint,
        checkpoint_sha256=answer.sha256,
        task_type=str(result.task_type),
        image_path=name,
        image_name=name,
        image_index=0,
        width=result.width,
        height=result.height,
        predicted_label=result.predicted_label,
        predicted_label_id=result.predicted_label_id,
        confidence=result.confidence,
        top5_predictions=_top5(result),
        predicted_boxes=_boxes(result, answer.labels),
        predicted_masks=_masks(result),
        predicted_keypoints=_poses(result),
        inference_time_ms=result.inference_time_ms,
        preprocessing_time_ms=result.preprocessing_time_ms,
        postprocessing_time_ms=result.postprocessing_time_ms,
        visualization=_data_url(answer.picture),
        visualization_path=picture_path,
        extra_data=result.extra_data or None,
        created_at=created_at,
    )


def _top5(result: InferenceResult) -> list[ClassScoreResponse] | None:
    if result.top5_predictions is None:
        return None
    return [ClassScoreResponse(**score) for score in result.top5_predictions]


def _boxes(result: InferenceResult, labels: Mapping[int, str]) -> list[BoxResponse] | None:
    if result.predicted_boxes is None:
        return None
    return [_box(box, labels) for box in result.predicted_boxes]


def _box(box: Box, labels: Mapping[int, str]) -> BoxResponse:
    x1, y1, x2, y2 = box["x1"], box["y1"], box["x2"], box["y2"]
    return BoxResponse(
        class_id=box["class_id"],
        label=labels.get(box["class_id"], str(box["class_id"])),
        confidence=box["confidence"],
        bbox=[(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1],
        xyxy=[x1, y1, x2, y2],
    )


def _masks(result: InferenceResult) -> list[MaskResponse] | None:
    if result.predicted_masks is None:
        return None
    size = [result.height or 0, result.width or 0]
    return [MaskResponse(size=size, counts=mask.decode("ascii")) for mask in result.predicted_masks]


def _poses(result: InferenceResult) -> list[PoseResponse] | None:
    if result.predicted_keypoints is None:
        return None
    return [
        PoseResponse(keypoints=[KeypointResponse(**point) for point in points])
        for points in result.predicted_keypoints
    ]


def _data_url(picture: bytes | None) -> str | None:
    if picture is None:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode('ascii')}"


def row_of(result: InferenceResult, name: str, picture_path: str | None) -> dict[str, Any]:
    """The columns of ``inference_results``, in the shapes of a result row."""
    return {
        "image_index": 0,
        "image_path": name,
        "image_name": name,
        "status": str(result.status),
        "error_stage": result.error_stage and str(result.error_stage),
        "error_code": result.error_code and str(result.error_code),
        "error_message": result.error_message,
        "predicted_label": result.predicted_label,
        "predicted_label_id": result.predicted_label_id,
        "confidence": result.confidence,
        "top5_predictions": result.top5_predictions,
        "predicted_boxes": result.predicted_boxes,
        "predicted_keypoints": result.predicted_keypoints,
        "inference_time_ms": result.inference_time_ms,
        "preprocessing_time_ms": result.preprocessing_time_ms,
        "postprocessing_time_ms": result.postprocessing_time_ms,
        "visualization_path": picture_path,
        "extra_data": result.extra_data or None,
    }
