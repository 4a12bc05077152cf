"""Convert the reply of a model to the body of a response, and to a row of the run tables."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from snellen.adapters.types import Box, InferenceResult
from snellen.serve.api.model_resolver import ResolvedModel
from snellen.serve.api.schemas import (
    BoxResponse,
    ClassScoreResponse,
    ExplanationResponse,
    InferenceResultResponse,
    KeypointResponse,
    MaskResponse,
    PoseResponse,
)
from snellen.serve.inference.messages import HeatPicture, InferenceReply


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request in the run tables.

    Attributes:
        inference_job_id: id of its inference job.
        result_id: id of its result.
        picture_path: annotated image, relative to the folder of the runs; None without one.
    """

    inference_job_id: int
    result_id: int
    picture_path: str | None


def build_response(
    reply: InferenceReply,
    resolved: ResolvedModel,
    name: str,
    *,
    created_at: datetime,
    recorded: RecordedRequest | None = None,
) -> InferenceResultResponse:
    """Build the response for a prediction.

    Args:
        reply: with a result whose status is ok.
        resolved: the model.
        name: display name of the image, which is also its id.
        created_at: time of the prediction (UTC).
        recorded: the request in the run tables, if it was recorded.
    """
    result = reply.result
    assert result is not None
    return InferenceResultResponse(
        id=recorded and recorded.result_id,
        inference_job_id=recorded and recorded.inference_job_id,
        training_job_id=resolved.job.id,
        checkpoint=resolved.checkpoint,
        checkpoint_sha256=reply.sha256,
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
        predicted_boxes=_boxes(result, reply.labels),
        predicted_masks=_masks(result),
        predicted_keypoints=_poses(result),
        inference_time_ms=result.inference_time_ms,
        preprocessing_time_ms=result.preprocessing_time_ms,
        postprocessing_time_ms=result.postprocessing_time_ms,
        visualization=_data_url(reply.picture, "jpeg"),
        explanation=_explanation(reply.heat),
        visualization_path=recorded and recorded.picture_path,
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


def _explanation(heat: HeatPicture | None) -> ExplanationResponse | None:
    if heat is None:
        return None
    return ExplanationResponse(
        class_id=heat.class_id,
        region=list(heat.region),
        heat=_data_url(heat.picture, "png") or "",
    )


def _data_url(picture: bytes | None, kind: str) -> str | None:
    if picture is None:
        return None
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def result_row(result: InferenceResult, name: str, picture_path: str | None) -> dict[str, Any]:
    """Build a row of ``inference_results``, with values as in result files."""
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
