"""Conversion of the outputs of a YOLO model, run by any program, to results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from snellen.adapters.result_builders import nonfinite_result
from snellen.adapters.types import InferenceResult, Preprocessed, TaskType
from snellen.adapters.ultralytics.boxes import boxes_of, keypoints_of, masks_of
from snellen.adapters.ultralytics.nms import NmsSettings, suppress

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class YoloHead:
    """Settings by which the outputs of a model are read.

    Attributes:
        task: of the model.
        labels: K class names, in the order of the outputs.
        input_shape: height and width of the model's input.
        nms: settings of non-maximum suppression.
        end2end: the outputs need none.
        kpt_shape: number of keypoints and numbers per keypoint, of a pose model.
    """

    task: TaskType
    labels: tuple[str, ...]
    input_shape: tuple[int, int]
    nms: NmsSettings
    end2end: bool = False
    kpt_shape: tuple[int, int] | None = None


def object_results(
    predictions: Tensor, protos: Tensor | None, items: Sequence[Preprocessed], head: YoloHead
) -> list[InferenceResult]:
    """Suppress and scale; an image with NaN or infinite outputs fails alone, NONFINITE.

    Args:
        predictions: shape (N, 4 + classes + extra, anchors); (N, detections, 6 + extra) of an
            end-to-end head. Extra are mask coefficients or keypoints.
        protos: mask prototypes, shape (N, c, h, w), of a segmentation model.
        items: the N images; ``min_confidence`` of one overrides the head's.
        head: settings by which the outputs are read.

    Returns:
        N results in order, with empty path and name. Boxes are xyxy in pixels of the original.
    """
    import torch

    usual = head.nms.confidence
    limits = [usual if i.min_confidence is None else i.min_confidence for i in items]
    # A box is never suppressed by a less confident one: suppressing at the lowest limit of the
    # batch and filtering afterwards gives each image what its own limit would.
    settings = replace(head.nms, confidence=min(limits, default=usual))
    with torch.inference_mode():
        finite = torch.isfinite(predictions).flatten(1).all(dim=1).tolist()
        found = suppress(predictions.float(), settings, len(head.labels), end2end=head.end2end)
        return [
            _result(one[one[:, 4] > limit], item, _of(protos, position), head)
            if ok
            else nonfinite_result(item, head.task)
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
            warning = (
                f"the image is so large that only the {most} most confident of {len(found)} "
                "detections are returned"
            )
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
    if head.kpt_shape is not None:
        result.predicted_keypoints = keypoints_of(found, head.kpt_shape, head.input_shape, size)
    if protos is not None:
        result.predicted_masks, kept = masks_of(found, protos, size)
        boxes = [boxes[position] for position in kept]
    result.predicted_boxes = boxes
    return result
