"""From raw YOLO outputs to boxes, masks and keypoints of the original image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snellen.adapters.types import Box, Keypoint

if TYPE_CHECKING:
    from torch import Tensor

_MASK_PIXELS = 32_000_000
"""Pixels of masks that are held at once: 300 detections on 12 megapixels would be 3.6 GB."""
_NO_TIME_LIMIT = 1e9


@dataclass(frozen=True, slots=True)
class NmsSettings:
    """Settings of non-maximum suppression.

    Attributes:
        confidence: predictions at or below it are dropped.
        iou: boxes of a class that overlap more lose to the surer one.
        max_detections: at most this many an image.
        multi_label: a box may count for several classes (Ultralytics' evaluation) or for its
            best one only (its prediction).
    """

    confidence: float
    iou: float
    max_detections: int
    multi_label: bool


def suppress(
    outputs: Tensor, settings: NmsSettings, classes: int, *, end2end: bool
) -> list[Tensor]:
    """Ultralytics' own non-maximum suppression.

    Returns:
        A tensor an image, shape (n, 6 + extra): x1, y1, x2, y2 in pixels of the model's input,
        confidence, class, and mask coefficients or keypoints; by falling confidence.
    """
    from ultralytics.utils.nms import non_max_suppression

    found: list[Tensor] = non_max_suppression(
        outputs,
        settings.confidence,
        settings.iou,
        multi_label=settings.multi_label,
        max_det=settings.max_detections,
        nc=classes,
        end2end=end2end,
        # Its default gives up after some seconds and drops the rest of the batch with a warning.
        max_time_img=_NO_TIME_LIMIT,
    )
    return found


def boxes_of(found: Tensor, input_shape: Sequence[int], size: tuple[int, int]) -> list[Box]:
    """Boxes in pixels of the original image.

    Args:
        found: from ``suppress``; its boxes are changed in place.
        input_shape: height and width of the model's input.
        size: width and height of the original.
    """
    from ultralytics.utils import ops

    width, height = size
    found[:, :4] = ops.scale_boxes(input_shape, found[:, :4], (height, width))
    return [
        Box(class_id=int(row[5]), x1=row[0], y1=row[1], x2=row[2], y2=row[3], confidence=row[4])
        for row in found[:, :6].tolist()
    ]


def keypoints_of(
    found: Tensor, kpt_shape: tuple[int, int], input_shape: Sequence[int], size: tuple[int, int]
) -> list[list[Keypoint]]:
    """Keypoints in pixels of the original image; ``v`` is 1 where the model gives none."""
    from ultralytics.utils import ops

    width, height = size
    points = found[:, 6:].view(len(found), *kpt_shape)
    points = ops.scale_coords(input_shape, points, (height, width))
    return [
        [Keypoint(x=p[0], y=p[1], v=p[2] if len(p) > 2 else 1.0) for p in one]
        for one in points.tolist()
    ]


def masks_of(found: Tensor, protos: Tensor, size: tuple[int, int]) -> tuple[list[bytes], list[int]]:
    """Masks at the size of the original image, as COCO compressed RLE.

    They are made and encoded in chunks, so that memory does not grow with detections.

    Args:
        found: from ``suppress`` with boxes that ``boxes_of`` has scaled already.
        protos: mask prototypes, shape (c, h, w).
        size: width and height of the original.

    Returns:
        The masks, and the positions of the detections that have one: like Ultralytics, those
        without any pixel are dropped.
    """
    from hotcoco import mask as rle

    masks: list[bytes] = []
    kept: list[int] = []
    for start, chunk in _mask_chunks(found, protos, size):
        for offset, one in enumerate(chunk):
            if one.any():
                counts: Any = rle.encode(_by_columns(one))["counts"]
                masks.append(counts.encode() if isinstance(counts, str) else bytes(counts))
                kept.append(start + offset)
    return masks, kept


def _by_columns(mask: Any) -> Any:
    """The mask in Fortran's order. Only what is set is copied: the rest is most of the time."""
    rows = np.flatnonzero(mask.any(axis=1))
    top, bottom = rows[0], rows[-1] + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    part = np.s_[top:bottom, columns[0] : columns[-1] + 1]
    found = np.zeros(mask.shape, mask.dtype, order="F")
    found[part] = mask[part]
    return found


def _mask_chunks(found: Tensor, protos: Tensor, size: tuple[int, int]) -> Iterator[tuple[int, Any]]:
    from ultralytics.utils import ops

    width, height = size
    step = max(1, _MASK_PIXELS // (width * height))
    for start in range(0, len(found), step):
        part = found[start : start + step]
        made = ops.process_mask_native(protos, part[:, 6:], part[:, :4], (height, width))
        yield start, made.cpu().numpy()
