"""How far two models' answers about one image are apart: a checkpoint and its export, say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snellen.adapters.types import ImageStatus, InferenceResult, TaskType
from snellen.metrics.detection.overlaps import Floats, box_iou, mask_iou

MATCH_IOU = 0.5
"""Least overlap of two detections that are taken for the same one."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What two equivalent models may differ by.

    Attributes:
        confidence: largest difference of a probability or confidence.
        pixels: largest difference of a box's side or a keypoint's coordinate, in pixels of the
            original image.
        mask_iou: least overlap of two masks of the same object.
        compared_from: detections that are less confident on both sides are not compared.
        limit: detections an image that the models keep; at the limit it is chance which is last.
    """

    confidence: float = 1e-4
    pixels: float = 1e-2
    mask_iou: float = 0.999
    compared_from: float = 0.25
    limit: int = 300


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """What differs on one image; None where the task has no such thing.

    Attributes:
        reasons: which tolerances are exceeded: status, top1, confidence, count, box, keypoints,
            mask; empty where the answers are equivalent.
        confidence: largest |difference| over A's five best classes, or over matched detections.
        top1: the best class of each (label), of a classifier.
        counts: detections of each from `Tolerance.compared_from` on.
        unmatched: detections of each without a partner in the other.
        box, keypoints: largest |difference| of matched detections, pixels.
        mask_iou: least overlap of matched detections.
        severity: largest difference in units of its tolerance, to sort by.
    """

    reasons: tuple[str, ...]
    confidence: float = 0.0
    top1: tuple[str | None, str | None] | None = None
    counts: tuple[int, int] | None = None
    unmatched: tuple[int, int] | None = None
    box: float | None = None
    keypoints: float | None = None
    mask_iou: float | None = None
    severity: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The fields that the task has."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def compare_image(
    first: InferenceResult, second: InferenceResult, tolerance: Tolerance
) -> ImageDifference:
    """Compare two results of one image.

    Args:
        first, second: of the same image and task.
        tolerance: what is let pass.
    """
    failed = [result.status is ImageStatus.FAILED for result in (first, second)]
    if any(failed):
        return ImageDifference((), severity=0.0) if all(failed) else _status()
    if first.task_type is TaskType.IMAGE_CLASSIFICATION:
        return _classes(first, second, tolerance)
    return _Objects(first, second, tolerance).compare()


def _status() -> ImageDifference:
    return ImageDifference(("status",), severity=float("inf"))


def _classes(
    first: InferenceResult, second: InferenceResult, tolerance: Tolerance
) -> ImageDifference:
    """A class outside of B's five best counts with B's fifth, which is the most it can have."""
    known = {one["label_id"]: one["confidence"] for one in second.top5_predictions or ()}
    least = min(known.values(), default=0.0)
    largest = 0.0
    for one in first.top5_predictions or ():
        other = known.get(one["label_id"])
        apart = one["confidence"] - least if other is None else abs(one["confidence"] - other)
        largest = max(largest, apart)
    flipped = first.predicted_label_id != second.predicted_label_id
    over = largest > tolerance.confidence
    reasons = ("top1",) * flipped + ("confidence",) * over
    return ImageDifference(
        reasons,
        confidence=largest,
        top1=(first.predicted_label, second.predicted_label),
        severity=largest / tolerance.confidence + (1e9 if flipped else 0.0),
    )


class _Objects:
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
        surest = np.maximum(a[pairs[:, 0], 4], b[pairs[:, 1], 4])
        unmatched = (self._alone(0, pairs[:, 0]), self._alone(1, pairs[:, 1]))
        pairs = pairs[surest >= tolerance.compared_from]
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
        """Detections without a partner, but for those that the other side may just have cut off."""
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
    """Boxes as (n, 6): x1, y1, x2, y2, confidence, class."""
    keys = ("x1", "y1", "x2", "y2", "confidence", "class_id")
    boxes: Sequence[Any] = result.predicted_boxes or ()
    return np.array([[box[key] for key in keys] for box in boxes], dtype=np.float64).reshape(-1, 6)


def match_detections(first: Floats, second: Floats) -> Any:
    """Pair detections of one class greedily, by falling IoU; of equals the likeliest.

    Args:
        first, second: (n, 6) and (m, 6): x1, y1, x2, y2, confidence, class.

    Returns:
        int64, shape (pairs, 2): indices into both; each at most once, IoU at least `MATCH_IOU`.
    """
    overlaps = box_iou(first[:, None, :4], second[None, :, :4], np.zeros((1, 1), dtype=np.bool_))
    same = first[:, None, 5] == second[None, :, 5]
    i, j = np.nonzero(same & (overlaps >= MATCH_IOU))
    apart = np.abs(first[i, 4] - second[j, 4])
    # Rounded, so that boxes that are equal but for noise are told apart by their confidence.
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
