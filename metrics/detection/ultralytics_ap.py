"""The AP that Ultralytics prints, for comparison with its logs.

Source: ``ultralytics.utils.metrics.ap_per_class`` and ``compute_ap``. The curve differs from
COCO's: precision is interpolated linearly between the points of the curve, and the area is
integrated over 101 recalls by trapezoids. The matches differ, too:

- Crowds and ignored truths are excluded; a prediction on one is a false positive.
- Of equally large overlaps the first truth is taken; the number of predictions is not limited.
- OKS takes ``0.53 * w * h`` of the box as the area; COCO takes the annotated one.
- Ultralytics itself measures in the letterboxed image, and masks at a quarter of its size; this
  module measures in the original image. The metrics agree to about three digits.
- Equal confidences are ordered by image here; in Ultralytics their order is undefined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.matching.assignment import IOU_THRESHOLDS, Pairs, greedy, image_pairs
from snellen.metrics.matching.candidates import Candidates
from snellen.metrics.matching.overlaps import Bools, Floats, Kind
from snellen.metrics.matching.pair_overlaps import ultralytics_pose_overlap

_RECALLS = np.linspace(0.0, 1.0, 101)
_TINY = 1e-16


def ultralytics_hits(candidates: Candidates, kind: Kind, sigmas: Sequence[float] | None) -> Bools:
    """Match predictions with truths by Ultralytics' rule.

    Args:
        candidates: one part with D predictions.
        kind: the overlap; poses are compared with Ultralytics' own area.
        sigmas: see `snellen.metrics.matching.overlaps.keypoint_sigmas`.

    Returns:
        bool, (D, 10): True where a prediction finds a truth at each of COCO's thresholds.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> from snellen.metrics.matching.candidates import find_candidates
        >>> candidates = find_candidates(images, "bbox", None, 0.1)
        >>> ultralytics_hits(candidates, "bbox", None)[:, 0].tolist()
        [True, False, False]
    """
    truths = candidates.images.truths
    findable = ~(truths.crowd | truths.ignore)
    if truths.keypoints is not None:
        # Ultralytics counts a pose without visible points, and no prediction overlaps it.
        findable = findable & (truths.keypoints[..., 2] > 0).any(axis=-1)
    pairs = _class_pairs(candidates, kind, sigmas)
    pairs = pairs.where(findable[pairs.truth])
    # Reversed truths and float32: of equal overlaps the first truth is taken.
    order = np.lexsort((-pairs.truth, pairs.prediction))
    overlap = pairs.overlap[order].astype(np.float32)
    turned = Pairs(pairs.prediction[order], pairs.truth[order], overlap)
    none = np.zeros(len(truths), dtype=np.bool_)
    matched = greedy(turned, candidates.rank, IOU_THRESHOLDS.astype(np.float32), none, none)
    return np.asarray(matched >= 0)


def _class_pairs(candidates: Candidates, kind: Kind, sigmas: Sequence[float] | None) -> Pairs:
    if kind != "keypoints":
        return candidates.pairs.where(candidates.same_class)
    truths, found = candidates.images.truths, candidates.images.predictions
    overlap = ultralytics_pose_overlap(candidates.images, sigmas)
    pairs = image_pairs(found.row, truths.row, overlap, IOU_THRESHOLDS[0] - 1e-3)
    return pairs.where(found.class_id[pairs.prediction] == truths.class_id[pairs.truth])


def ultralytics_ap(
    correct: Bools,
    confidence: npt.NDArray[np.floating[Any]],
    class_id: npt.NDArray[np.integer[Any]],
    support: npt.NDArray[np.integer[Any]],
) -> Floats:
    """Compute AP of each class at each threshold.

    Args:
        correct: bool, (n, T), predictions that match at each threshold.
        confidence: float, (n,).
        class_id: integer, (n,), 0 to K - 1.
        support: integer, (K,), number of truths of each class.

    Returns:
        float64, (K, T); NaN for a class without truths, 0 for one that is never predicted.

    Example:
        >>> correct, classes = np.array([[True], [False]]), np.array([0, 0])
        >>> ultralytics_ap(correct, np.array([0.9, 0.8]), classes, np.array([1, 0])).tolist()
        [[0.995], [nan]]
    """
    order = np.lexsort((-confidence, class_id))
    ordered = class_id[order]
    values = np.full((len(support), correct.shape[1]), np.nan)
    for number in np.flatnonzero(support).tolist():
        low, high = np.searchsorted(ordered, [number, number + 1])
        hits = np.cumsum(correct[order[low:high]], axis=0, dtype=np.float64)
        made = np.arange(1, high - low + 1)
        for column in range(correct.shape[1]):
            recall = hits[:, column] / (int(support[number]) + _TINY)
            values[number, column] = _area(recall, hits[:, column] / made)
    return values


def _area(recall: Floats, precision: Floats) -> float:
    """Integrate the envelope of a precision-recall curve, by falling confidence."""
    if not len(recall):
        return 0.0
    x = np.concatenate(([0.0], recall, [recall[-1]], [1.0]))
    y = np.concatenate(([1.0], precision, [0.0], [0.0]))
    envelope = np.maximum.accumulate(y[::-1])[::-1]
    heights = np.interp(_RECALLS, x, envelope)
    return float(((heights[1:] + heights[:-1]) / 2 * np.diff(_RECALLS)).sum())
