"""Conversion of suppressed YOLO predictions to boxes, masks and keypoints of the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snellen.adapters.types import Box, Keypoint

if TYPE_CHECKING:
    from torch import Tensor

_MASK_PIXELS = 32_000_000
"""Maximum number of mask pixels held at once: 300 masks of 12 megapixels would be 3.6 GB."""


def boxes_of(found: Tensor, input_shape: Sequence[int], size: tuple[int, int]) -> list[Box]:
    """Return boxes in pixels of the original image.

    Args:
        found: shape (n, 6 + extra), from ``suppress``; its boxes are changed in place.
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
    """Return keypoints in pixels of the original image.

    Args:
        found: shape (n, 6 + numbers), from ``suppress``.
        kpt_shape: number of keypoints, and numbers per keypoint: x, y and perhaps a confidence.
        input_shape: height and width of the model's input.
        size: width and height of the original.

    Returns:
        One list per detection; ``v`` is the confidence, 1 where the model gives none.
    """
    from ultralytics.utils import ops

    width, height = size
    points = found[:, 6:].view(len(found), *kpt_shape)
    points = ops.scale_coords(input_shape, points, (height, width))
    return [
        [Keypoint(x=p[0], y=p[1], v=p[2] if len(p) > 2 else 1.0) for p in one]
        for one in points.tolist()
    ]


def masks_of(found: Tensor, protos: Tensor, size: tuple[int, int]) -> tuple[list[bytes], list[int]]:
    """Return masks at the size of the original image, as COCO compressed RLE.

    They are made and encoded in chunks, so that memory does not grow with detections.

    Args:
        found: from ``suppress``, with boxes that ``boxes_of`` has scaled already.
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
    """Return the mask in Fortran order; only the rows and columns that are set are copied."""
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
