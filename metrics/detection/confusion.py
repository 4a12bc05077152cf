"""The confusion matrix of a detector at the operating point, with the background as a class.

The rule has two steps. First every match at the operating point is a cell: true positives are
the diagonal, ignored predictions are no cell. Then the predictions that are still without a truth
take, by falling confidence, the free truth of another class that they overlap most and by at
least the threshold, the last of equals. What is left pairs with the background, the last row and
column. So a row sums to the truths of its class, a column to the TPs and FPs of its class, and
the diagonal is the TPs: the matrix agrees with per-class precision and recall. (A single
class-agnostic pass, as Ultralytics has it, assigns the true object of a TP to a more confident
prediction of another class.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snellen.metrics.detection.options import DetectionOptions
from snellen.metrics.detection.rules import Matched
from snellen.metrics.matching.assignment import Ints, greedy
from snellen.metrics.matching.overlaps import Bools


@dataclass(frozen=True)
class Confused:
    """The pairs that the confusion matrix of a part counts.

    Attributes:
        predicted: int64, (n,), predictions that are counted, in their order.
        true: int64, (n,), the true object of each, -1 for the background.
        missed: int64, (m,), truths without a prediction.
    """

    predicted: Ints
    true: Ints
    missed: Ints


def confuse(matched: Matched, included: Bools, threshold: float) -> Confused:
    """Pair predictions with truths of any class.

    Args:
        matched: one part with D predictions.
        included: bool, (D,), predictions at or above the confidence of the operating point.
        threshold: overlap of the operating point.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.detection.rules import match
        >>> matched = match(images, "bbox", options_of(["bbox"]))
        >>> confuse(matched, np.ones(3, dtype=np.bool_), 0.5).true.tolist()
        [0, 1, -1]
    """
    candidates = matched.candidates
    ignored, pairs = candidates.ignored, candidates.pairs
    first = np.where(included, matched.operating, -1)
    taken = ignored.copy()
    taken[first[first >= 0]] = True
    free = included & (first < 0)
    rest = pairs.where(free[pairs.prediction] & ~taken[pairs.truth])
    none = np.zeros_like(taken)
    second = greedy(rest, candidates.order, np.array([threshold]), taken, none)[:, 0]
    partner = np.where(first >= 0, first, second)
    counted = np.flatnonzero(included & ~((first >= 0) & np.append(ignored, False)[first]))
    missed = ~ignored
    missed[partner[partner >= 0]] = False
    return Confused(counted, partner[counted], np.flatnonzero(missed))


def confusion_cells(matched: Matched, num_classes: int, options: DetectionOptions) -> Ints:
    """Return the cells of the confusion matrix of a part.

    Returns:
        int64, (c,): ``true * (K + 1) + predicted`` of each pair, with K the background.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.detection.rules import match
        >>> matched = match(images, "bbox", options_of(["bbox"]))
        >>> confusion_cells(matched, 2, options_of(["bbox"])).tolist()
        [0, 3, 7]
    """
    truths, found = matched.candidates.images.truths, matched.candidates.images.predictions
    included = options.thresholds.reached(found.class_id, found.confidence)
    pairs = confuse(matched, included, options.operating_iou)
    true = np.append(truths.class_id, num_classes)[pairs.true]
    return np.concatenate(
        [
            true * (num_classes + 1) + found.class_id[pairs.predicted],
            truths.class_id[pairs.missed] * (num_classes + 1) + num_classes,
        ]
    )
