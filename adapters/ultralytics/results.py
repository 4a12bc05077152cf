"""From the outputs of a YOLO model to results, whatever ran the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from snellen.adapters.errors import ConfigError, ErrorCode, ErrorStage, ImageError
from snellen.adapters.options import AdapterOptions
from snellen.adapters.results import failed_result
from snellen.adapters.types import InferenceResult, Preprocessed, TaskType
from snellen.adapters.ultralytics.boxes import (
    NmsSettings,
    boxes_of,
    keypoints_of,
    masks_of,
    suppress,
)

if TYPE_CHECKING:
    from torch import Tensor

_CONFIDENCE, _IOU, _MAX_DETECTIONS = 0.25, 0.7, 300


class YoloOptions(AdapterOptions):
    """Options of YOLO models; None keeps the model's or Ultralytics' own setting.

    Attributes:
        imgsz: side of the square input in pixels.
        nms: False takes the end-to-end head of a model that has two heads.
        nms_iou: of two boxes of one class that overlap more, the less confident is dropped.
        max_detections: maximum number of detections per image.
        multi_label: a box may count for several classes, or for its most confident one only.
    """

    imgsz: Annotated[int, Field(ge=1)] | None = None
    nms: bool | None = None
    nms_iou: Annotated[float, Field(ge=0, le=1)] | None = None
    max_detections: Annotated[int, Field(ge=1)] | None = None
    multi_label: bool = False


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


def nms_settings(
    options: YoloOptions, min_confidence: float | None, *, end2end: bool
) -> NmsSettings:
    """Return the settings of non-maximum suppression, with Ultralytics' own as defaults.

    Args:
        options: of the adapter.
        min_confidence: predictions at or below it are dropped; None keeps the default.
        end2end: the head of the model needs no suppression.

    Raises:
        ConfigError: OPTION_INVALID, a setting of suppression for a model that needs none.
    """
    if end2end and options.nms_iou is not None:
        raise ConfigError(
            "OPTION_INVALID",
            "model.nms_iou: this model's head needs no non-maximum suppression, so the "
            "setting would do nothing; remove it.",
        )
    return NmsSettings(
        confidence=_CONFIDENCE if min_confidence is None else min_confidence,
        iou=options.nms_iou or _IOU,
        max_detections=options.max_detections or _MAX_DETECTIONS,
        multi_label=options.multi_label,
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
