"""The overlap of two objects: IoU of boxes and masks, OKS of keypoints.

Boxes are ``xyxy`` in absolute pixels, keypoints (x, y, v). The functions broadcast as numpy
does, so that the same one serves a list of pairs and a (predictions, truths) matrix. Computation
is in float64 and in pycocotools' order of operations: an overlap that equals a threshold there
equals it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["bbox", "segm", "keypoints"]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""Falloff of COCO's 17 human keypoints (https://cocodataset.org/#keypoints-eval)."""


def keypoint_sigmas(points: int, sigmas: Sequence[float] | None = None) -> Floats:
    """Return the falloff of each keypoint: float64, (points,).

    Args:
        points: K, number of keypoints of an instance; 0 without instances.
        sigmas: as configured; None means COCO's for 17 points and 1 / K for any other number,
            which is Ultralytics' rule.

    Raises:
        ValueError: the number of sigmas is not K, or one is not above 0.

    Example:
        >>> keypoint_sigmas(2).tolist(), keypoint_sigmas(17)[0].item()
        ([0.5, 0.5], 0.026)
    """
    if not points:
        return np.zeros(0)
    if sigmas is None:
        values = COCO_SIGMAS if points == len(COCO_SIGMAS) else (1.0 / points,) * points
    else:
        values = tuple(float(sigma) for sigma in sigmas)
    if len(values) != points or min(values) <= 0:
        raise ValueError(f"keypoint sigmas are {list(values)}. Expected {points} numbers above 0.")
    return np.asarray(values, dtype=np.float64)


def box_iou(predicted: Floats, true: Floats, crowd: Bools) -> Floats:
    """Compute the IoU of boxes; over the predicted area where the true object is a crowd.

    Args:
        predicted: (..., 4), xyxy pixels.
        true: (..., 4), xyxy pixels.
        crowd: (...), bool.

    Returns:
        float64 in [0, 1], of the broadcast shape; 0 where a box has no area.

    Example:
        >>> predicted, true = np.array([0.0, 0.0, 10.0, 10.0]), np.array([0.0, 0.0, 10.0, 8.0])
        >>> box_iou(predicted, true, np.array(False)).item()
        0.8
    """
    low = np.maximum(predicted[..., :2], true[..., :2])
    high = np.minimum(predicted[..., 2:], true[..., 2:])
    common = np.clip(high - low, 0.0, None).prod(axis=-1)
    own = (predicted[..., 2:] - predicted[..., :2]).prod(axis=-1)
    other = (true[..., 2:] - true[..., :2]).prod(axis=-1)
    whole = np.where(crowd, own, own + other - common)
    ratio = np.divide(common, whole, out=np.zeros_like(whole), where=common > 0)
    return np.asarray(ratio, dtype=np.float64)


def mask_iou(
    predicted: Sequence[bytes], true: Sequence[bytes], crowd: Bools, height: int, width: int
) -> Floats:
    """Compute the IoU of the masks of one image; over the predicted area for a crowd.

    Args:
        predicted: D masks, COCO compressed RLE at (height, width).
        true: G masks, likewise.
        crowd: (G,), bool.
        height: pixels.
        width: pixels.

    Returns:
        float64, (D, G).

    Example:
        The left half and a quarter of an image of 4 x 4 pixels:

        >>> mask_iou([b"088"], [b"02208"], np.array([False]), 4, 4).tolist()
        [[0.5]]
    """
    if not predicted or not true:
        return np.zeros((len(predicted), len(true)))
    from hotcoco import primitives

    return primitives.mask_iou(rles(predicted, height, width), rles(true, height, width), crowd)


def rles(masks: Sequence[bytes], height: int, width: int) -> list[dict[str, Any]]:
    """Convert masks to RLE dicts of pycocotools.

    Example:
        >>> rles([b"088"], 4, 4)
        [{'size': [4, 4], 'counts': b'088'}]
    """
    return [{"size": [height, width], "counts": bytes(mask)} for mask in masks]


def oks(predicted: Floats, true: Floats, boxes: Floats, areas: Floats, sigmas: Floats) -> Floats:
    """Compute the object keypoint similarity, as pycocotools does.

    The mean of ``exp(-d^2 / (2 * area * (2 * sigma)^2))`` over the true keypoints with v > 0. A
    truth without any is a region to ignore: d is then the distance from its box, doubled in size
    on each side, and all keypoints count.

    Args:
        predicted: (..., K, 3), x, y, v.
        true: (..., K, 3), x, y, v.
        boxes: (..., 4), xyxy of the true object.
        areas: (...), square pixels of the true object.
        sigmas: (K,), see `keypoint_sigmas`.

    Returns:
        float64 in [0, 1], of the broadcast shape without its last two axes.

    Example:
        >>> true = np.array([[1.0, 1.0, 2.0], [3.0, 3.0, 2.0]])
        >>> box, area = np.array([0.0, 0.0, 4.0, 4.0]), np.array(16.0)
        >>> moved = true + [1.0, 0.0, 0.0]
        >>> round(oks(moved, true, box, area, keypoint_sigmas(2)).item(), 4)
        0.9692
    """
    seen: Bools = np.asarray(true[..., 2] > 0)
    some: Bools = np.asarray(seen.any(axis=-1))
    counted = seen | ~some[..., None]
    apart = predicted[..., :2] - true[..., :2]
    if not some.all():
        size = boxes[..., 2:] - boxes[..., :2]
        low = (boxes[..., :2] - size)[..., None, :]
        high = (boxes[..., :2] + 2 * size)[..., None, :]
        points = predicted[..., :2]
        outside = np.maximum(0.0, low - points) + np.maximum(0.0, points - high)
        apart = np.where(some[..., None, None], apart, outside)
    scale = (areas + np.spacing(1))[..., None]
    distance = (apart**2).sum(axis=-1) / (sigmas * 2) ** 2 / scale / 2
    similar = np.where(counted, np.exp(-distance), 0.0).sum(axis=-1)
    return np.asarray(similar / counted.sum(axis=-1), dtype=np.float64)
