"""Contributions of single images to the average precision of a set.

AP is a ratio of sums over all images, so that no image has a share of it by itself. The
contribution of an image is the derivative of AP with respect to the weight of the image's
predictions, with the ground truth as it is. AP is homogeneous of degree 1 in these weights: with
every weight doubled it doubles. By Euler's theorem the contributions of all images therefore sum
to AP. An image without predictions contributes 0; one whose predictions are wrong contributes less
than 0, because they lower the precision of other images.

AP is the area under the interpolated precision-recall curve here, at all recalls instead of COCO's
101, so that it is differentiable. For a class with S objects, with H_k correct among the M_k most
confident predictions, P_j = max over k >= j of H_k / M_k, reached at k(j), and n_k the number of
correct predictions j with k(j) = k:

    AP = (1 / S) sum over correct j of P_j
    contribution of image i =
        (1 / S) (sum over its correct j of (P_j + A_j)  -  sum over all of its j of B_j)
    A_j = sum over k >= j of n_k / M_k,     B_j = sum over k >= j of n_k P_k / M_k

(The method is the infinitesimal jackknife: L. A. Jaeckel, Bell Laboratories memorandum, 1972.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snellen.metrics.detection.state import OverlapState
from snellen.metrics.matching.assignment import IOU_THRESHOLDS
from snellen.metrics.matching.overlaps import Bools, Floats


def mean_precision_contributions(state: OverlapState, num_classes: int) -> Floats:
    """Compute the contribution of each image to mAP50-95.

    Args:
        state: of the whole set, ordered by image.
        num_classes: K.

    Returns:
        float64, (m,), one per image; they sum to mAP50-95 with the area under the curve in place of
        the mean of 101 recalls. Zeros without any object.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> mean_precision_contributions(state, 2).round(3).tolist()
        [0.45, 0.0]
    """
    total = np.zeros(len(state.images))
    truths = state.truths[state.truths["counted"] > 0]
    kept = state.detections[state.detections["within"]]
    kept = kept[np.lexsort((-kept["confidence"], kept["class_id"]))]
    edges = np.searchsorted(kept["class_id"], np.arange(num_classes + 1))
    classes = np.unique(truths["class_id"]).tolist()
    for number in classes:
        support = int(truths["counted"][truths["class_id"] == number].sum())
        part = kept[edges[number] : edges[number + 1]]
        image = np.searchsorted(state.images, part["image"])
        for bit in range(len(IOU_THRESHOLDS)):
            skip = (part["skip"] >> bit) & 1 == 1
            right = ((part["hit"] >> bit) & 1 == 1)[~skip]
            shares = prediction_contributions(right, support)
            total += np.bincount(image[~skip], shares, len(total))
    return np.asarray(total / max(1, len(classes) * len(IOU_THRESHOLDS)))


def prediction_contributions(right: Bools, support: int) -> Floats:
    """Compute the contribution of each prediction to the AP of one class at one threshold.

    Args:
        right: bool, (n,), correct predictions by falling confidence, without ignored ones.
        support: number of objects of the class, above 0.

    Returns:
        float64, (n,).

    Example:
        The second prediction lowers the precision at which the third one is found:

        >>> prediction_contributions(np.array([True, False, True]), support=2).round(3).tolist()
        [0.556, -0.111, 0.389]
    """
    result = np.zeros(len(right))
    places = np.flatnonzero(right)
    if not len(places):
        return result
    made = (places + 1).astype(np.float64)
    precision = np.arange(1, len(places) + 1) / made
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    # k(j): the last of equal precisions, so that each vertex is its own best.
    is_vertex = np.append(envelope[1:] < precision[:-1], True)
    vertices = np.flatnonzero(is_vertex)
    counts = np.diff(vertices, prepend=-1)
    lift = _from(places[vertices], counts / made[vertices], len(right))
    loss = _from(places[vertices], counts * precision[vertices] / made[vertices], len(right))
    result -= loss
    result[places] += envelope + lift[places]
    return result / support


def _from(places: Any, values: Floats, size: int) -> Floats:
    """Sum the values at a place or later, for each place: (size,)."""
    at = np.zeros(size)
    at[places] = values
    return np.cumsum(at[::-1])[::-1]
