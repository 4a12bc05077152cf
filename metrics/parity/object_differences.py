"""The comparison of two detectors' predictions for one image: boxes, masks and keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snellen.adapters.types import InferenceResult
from snellen.metrics.matching.overlaps import Floats, box_iou, mask_iou
from snellen.metrics.parity.differences import ImageDifference, Tolerance

MATCH_IOU = 0.5
"""Minimum IoU of two detections of the same object."""


def compare_objects(
    first: InferenceResult, second: InferenceResult, tolerance: Tolerance
) -> ImageDifference:
    """Match the detections of two results and compare the matched ones."""
    return _ObjectComparison(first, second, tolerance).compare()


class _ObjectComparison:
    """The detections of both results, side by side."""

    def __init__(
        self, first: InferenceResult, second: InferenceResult, tolerance: Tolerance
    ) -> None:
        self._results = (first, second)
        self._tolerance = tolerance
        self._rows = tuple(_rows(result) for result in self._results)

    def compare(self) -> ImageDifference:
        tolerance = self._tolerance
        pairs = match_detections(*self._rows)
        a, b = self._rows
        confidences = np.maximum(a[pairs[:, 0], 4], b[pairs[:, 1], 4])
        unmatched = (self._alone(0, pairs[:, 0]), self._alone(1, pairs[:, 1]))
        pairs = pairs[confidences >= tolerance.compared_from]
        apart = np.abs(a[pairs[:, 0], :5] - b[pairs[:, 1], :5])
        confidence = float(apart[:, 4].max(initial=0.0))
        box = float(apart[:, :4].max(initial=0.0))
        points, visibility = self._keypoints(pairs)
        overlap = self._masks(pairs)
        confidence = max(confidence, visibility)
        shares = {
            "count": float("inf") if any(unmatched) else 0.0,
            "confidence": confidence / tolerance.confidence,
            "box": box / tolerance.pixels,
            "keypoints": (points or 0.0) / tolerance.pixels,
            "mask": 0.0 if overlap is None else (1 - overlap) / (1 - tolerance.mask_iou),
        }
        return ImageDifference(
            tuple(key for key, share in shares.items() if share > 1),
            confidence=confidence,
            counts=(self._count(0), self._count(1)),
            unmatched=unmatched,
            box=box,
            keypoints=points,
            mask_iou=overlap,
            severity=max(shares.values()),
        )

    def _count(self, side: int) -> int:
        return int((self._rows[side][:, 4] >= self._tolerance.compared_from).sum())

    def _alone(self, side: int, matched: Any) -> int:
        """Count detections without a partner, except those that the other may have cut off."""
        tolerance = self._tolerance
        own, other = self._rows[side], self._rows[1 - side]
        lowest = tolerance.compared_from
        if len(other) >= tolerance.limit:
            lowest = max(lowest, float(other[:, 4].min()))
        alone = np.ones(len(own), dtype=np.bool_)
        alone[matched] = False
        return int((alone & (own[:, 4] > lowest + tolerance.confidence)).sum())

    def _keypoints(self, pairs: Any) -> tuple[float | None, float]:
        first, second = self._results
        if first.predicted_keypoints is None or second.predicted_keypoints is None:
            return None, 0.0
        if not len(pairs):
            return 0.0, 0.0
        one, other = (
            np.array([[[p["x"], p["y"], p["v"]] for p in poses[i]] for i in places])
            for poses, places in (
                (first.predicted_keypoints, pairs[:, 0]),
                (second.predicted_keypoints, pairs[:, 1]),
            )
        )
        apart = np.abs(one - other)
        return float(apart[..., :2].max(initial=0.0)), float(apart[..., 2].max(initial=0.0))

    def _masks(self, pairs: Any) -> float | None:
        first, second = self._results
        if first.predicted_masks is None or second.predicted_masks is None:
            return None
        least = 1.0
        for i, j in pairs:
            one, other = first.predicted_masks[i], second.predicted_masks[j]
            if one != other:
                crowd = np.zeros(1, dtype=np.bool_)
                height, width = first.height or 0, first.width or 0
                least = min(least, float(mask_iou([one], [other], crowd, height, width)[0, 0]))
        return least


def _rows(result: InferenceResult) -> Floats:
    """Return the boxes as (n, 6): x1, y1, x2, y2, confidence, class."""
    keys = ("x1", "y1", "x2", "y2", "confidence", "class_id")
    boxes: Sequence[Any] = result.predicted_boxes or ()
    return np.array([[box[key] for key in keys] for box in boxes], dtype=np.float64).reshape(-1, 6)


def match_detections(first: Floats, second: Floats) -> Any:
    """Pair detections of one class greedily by falling IoU, then by the closest confidence.

    Args:
        first, second: float64, (n, 6) and (m, 6): x1, y1, x2, y2 (pixels), confidence, class.

    Returns:
        int64, (pairs, 2): indices into both; each at most once, IoU at least `MATCH_IOU`.

    Example:
        >>> one = np.array([[0.0, 0.0, 10.0, 10.0, 0.9, 1.0]])
        >>> match_detections(one, one).tolist()
        [[0, 0]]
    """
    overlaps = box_iou(first[:, None, :4], second[None, :, :4], np.zeros((1, 1), dtype=np.bool_))
    same = first[:, None, 5] == second[None, :, 5]
    i, j = np.nonzero(same & (overlaps >= MATCH_IOU))
    apart = np.abs(first[i, 4] - second[j, 4])
    # Rounded, so that the confidence decides between boxes that differ by noise only.
    order = np.lexsort((apart, -np.round(overlaps[i, j], 4)))
    taken_i: set[int] = set()
    taken_j: set[int] = set()
    pairs = []
    for place in order:
        one, other = int(i[place]), int(j[place])
        if one not in taken_i and other not in taken_j:
            taken_i.add(one)
            taken_j.add(other)
            pairs.append((one, other))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
