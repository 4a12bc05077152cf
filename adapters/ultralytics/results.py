"""From the outputs of a YOLO model to results, whatever ran the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from snellen.adapters.errors import ConfigError, ErrorCode, ErrorStage, ImageError
from snellen.adapters.results import failed_result
from snellen.adapters.types import AdapterSpec, InferenceResult, Preprocessed, TaskType
from snellen.adapters.ultralytics.boxes import (
    NmsSettings,
    boxes_of,
    keypoints_of,
    masks_of,
    suppress,
)

if TYPE_CHECKING:
    from torch import Tensor

YOLO_OPTIONS = ("imgsz", "nms", "nms_iou", "max_detections", "multi_label")
_CONFIDENCE, _IOU, _MAX_DETECTIONS = 0.25, 0.7, 300


@dataclass(frozen=True, slots=True)
class YoloHead:
    """How the outputs of a model are to be read.

    Attributes:
        task: object detection, instance segmentation or pose estimation.
        classes: number of classes.
        input_shape: height and width of the model's input.
        nms: settings of non-maximum suppression.
        end2end: the outputs need none.
        kpt_shape: (keypoints, numbers each) of a pose model.
    """

    task: TaskType
    classes: int
    input_shape: tuple[int, int]
    nms: NmsSettings
    end2end: bool
    kpt_shape: tuple[int, int] | None


def nms_settings(spec: AdapterSpec, *, end2end: bool) -> NmsSettings:
    """The settings of a model's options, with Ultralytics' own where nothing is set.

    Raises:
        ConfigError: OPTION_INVALID, a setting of suppression for a model that needs none.
    """
    options = spec.options
    if end2end and options.get("nms_iou") is not None:
        raise ConfigError(
            "OPTION_INVALID",
            "model.nms_iou: this model's head needs no non-maximum suppression, so the "
            "setting would do nothing; remove it.",
        )
    confidence = spec.min_confidence
    return NmsSettings(
        confidence=_CONFIDENCE if confidence is None else confidence,
        iou=float(options.get("nms_iou") or _IOU),
        max_detections=int(options.get("max_detections") or _MAX_DETECTIONS),
        multi_label=bool(options.get("multi_label", False)),
    )


def object_results(
    raw: Tensor, protos: Tensor | None, items: Sequence[Preprocessed], head: YoloHead
) -> list[InferenceResult]:
    """Suppress and scale; an image with NaN or infinite outputs fails alone, NONFINITE.

    Args:
        raw: predictions, shape (N, 4 + classes + extra, anchors); (N, detections, 6 + extra) of
            an end-to-end head. Extra are mask coefficients or keypoints.
        protos: mask prototypes, shape (N, c, h, w), of a segmentation model.
        items: the N images; ``min_confidence`` of one overrides the head's.
        head: how to read them.

    Returns:
        N results in order, with empty path and name.
    """
    import torch

    usual = head.nms.confidence
    limits = [usual if i.min_confidence is None else i.min_confidence for i in items]
    # Surer boxes are never suppressed by less sure ones: suppressing at the lowest limit of the
    # batch and filtering afterwards gives each image what its own limit would.
    settings = replace(head.nms, confidence=min(limits, default=usual))
    with torch.inference_mode():
        finite = torch.isfinite(raw).flatten(1).all(dim=1).tolist()
        found = suppress(raw.float(), settings, head.classes, end2end=head.end2end)
        return [
            _result(one[one[:, 4] > limit], item, _of(protos, position), head)
            if ok
            else _nonfinite(item, head.task)
            for position, (one, item, limit, ok) in enumerate(
                zip(found, items, limits, finite, strict=True)
            )
        ]


def _of(protos: Tensor | None, position: int) -> Tensor | None:
    return None if protos is None else protos[position]


def _result(
    found: Tensor, item: Preprocessed, protos: Tensor | None, head: YoloHead
) -> InferenceResult:
    size = (item.width, item.height)
    extra = dict(item.extra)
    if protos is not None and item.max_mask_pixels is not None:
        most = max(1, item.max_mask_pixels // (item.width * item.height))
        if len(found) > most:
            warning = f"of {len(found)} detections on so large an image the {most} surest are given"
            extra["warnings"] = [*extra.get("warnings", ()), warning]
            found = found[:most]
    result = InferenceResult(
        image_path="",
        image_name="",
        task_type=head.task,
        width=item.width,
        height=item.height,
        extra_data=extra,
    )
    boxes = boxes_of(found, head.input_shape, size)
    if head.task is TaskType.POSE_ESTIMATION and head.kpt_shape is not None:
        result.predicted_keypoints = keypoints_of(found, head.kpt_shape, head.input_shape, size)
    if protos is not None:
        result.predicted_masks, kept = masks_of(found, protos, size)
        boxes = [boxes[position] for position in kept]
    result.predicted_boxes = boxes
    return result


def _nonfinite(item: Preprocessed, task: TaskType) -> InferenceResult:
    message = "the model's output holds NaN or infinity"
    result = failed_result(ImageError(ErrorStage.INFER, ErrorCode.NONFINITE, message), task)
    result.width, result.height, result.extra_data = item.width, item.height, dict(item.extra)
    return result
