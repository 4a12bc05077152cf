"""The bootstrap of large sets: blocks of images are drawn, and AP is computed from histograms.

The predictions are counted once by class, block and bin of confidence, and the correct ones
at each threshold. A draw gives the blocks weights; its AP is a product of matrices and a pass
along the bins. The cost of a draw does not grow with the set. A bin holds 1/512 of a class's
predictions, so AP is slightly coarse; only its variation over the draws is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.detection.average_precision import RECALLS
from snellen.metrics.detection.state import OverlapState
from snellen.metrics.matching.assignment import IOU_THRESHOLDS, Ints
from snellen.metrics.matching.overlaps import Floats

_BINS = 512
_BITS = np.arange(len(IOU_THRESHOLDS))

Histogram = npt.NDArray[np.float32]


def mean_precision(
    state: OverlapState, num_classes: int, block_of: Ints, weights: Histogram
) -> Floats:
    """Compute AP under weights of blocks.

    Args:
        state: of the whole set, ordered by image.
        num_classes: K.
        block_of: int64, (m,), the block of each image, from 0.
        weights: float32, (R, B).

    Returns:
        float64, (R, 10).

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> weights = np.ones((1, 2), dtype=np.float32)
        >>> mean_precision(state, 2, np.array([0, 1]), weights)[0, :2].round(3).tolist()
        [0.5, 0.5]
    """
    total = np.zeros((len(weights), len(IOU_THRESHOLDS)))
    classes = np.zeros(len(weights))
    for _, values in class_precision(state, num_classes, block_of, weights):
        known = np.isfinite(values[:, 0])
        total[known] += values[known]
        classes += known
    with np.errstate(invalid="ignore"):
        return np.asarray(total / classes[:, None])


def class_precision(
    state: OverlapState, num_classes: int, block_of: Ints, weights: Histogram
) -> Iterator[tuple[int, Floats]]:
    """Compute AP of each class that has truths, under weights of blocks.

    Args:
        state, num_classes, block_of, weights: as for `mean_precision`.

    Yields:
        The class and float64, (R, 10); NaN in draws without truths of the class.
    """
    kept = state.detections[state.detections["within"]]
    kept = kept[np.lexsort((-kept["confidence"], kept["class_id"]))]
    edges = np.searchsorted(kept["class_id"], np.arange(num_classes + 1))
    truths = state.truths
    for number in np.unique(truths["class_id"][truths["counted"] > 0]).tolist():
        of_class = truths[truths["class_id"] == number]
        counted = np.bincount(
            block_of[np.searchsorted(state.images, of_class["image"])],
            of_class["counted"],
            weights.shape[1],
        )
        support = weights.astype(np.float64) @ counted
        part = kept[edges[number] : edges[number + 1]]
        blocks = block_of[np.searchsorted(state.images, part["image"])]
        known = support > 0
        values = np.full((len(weights), len(IOU_THRESHOLDS)), np.nan)
        values[known] = _class_precision(part, blocks, weights[known], support[known])
        yield number, values


def _class_precision(part: Any, blocks: Ints, weights: Histogram, support: Floats) -> Floats:
    """Compute AP of one class in each draw: (R, 10)."""
    result = np.zeros((len(weights), len(_BITS)))
    if not len(part) or not len(weights):
        return result
    width = -(-len(part) // _BINS)
    cell = np.arange(len(part)) // width * weights.shape[1] + blocks
    drawn = np.ascontiguousarray(weights.T)
    made = _cumulated(cell, drawn)
    for bit in _BITS:
        skip = (part["skip"] >> bit) & 1 == 1
        hit = ((part["hit"] >> bit) & 1 == 1) & ~skip
        if not hit.any():
            continue
        counted = made - _cumulated(cell[skip], drawn) if skip.any() else made
        result[:, bit] = _interpolated(_cumulated(cell[hit], drawn), counted, support)
    return result


def _cumulated(cell: Ints, drawn: Histogram) -> Floats:
    """Count predictions up to each bin in each draw.

    Args:
        cell: int64, (n,), bin * B + block of each prediction.
        drawn: float32, (B, R).

    Returns:
        float64, (bins, R).
    """
    from scipy.sparse import csr_array

    blocks = len(drawn)
    counts = np.bincount(cell, minlength=blocks * _BINS).reshape(_BINS, blocks)
    # Most blocks have no prediction in a bin.
    by_bin = np.asarray(csr_array(counts.astype(np.float32)) @ drawn)
    return np.cumsum(by_bin, axis=0, dtype=np.float64)


def _interpolated(hits: Floats, made: Floats, support: Floats) -> Floats:
    """Compute COCO's mean of the best precision from each of 101 recalls on, by draw: (R,).

    Args:
        hits, made: float64, (bins, R), correct and all predictions up to each bin.
        support: float64, (R,), above 0.
    """
    best = hits / np.maximum(made, 1.0)
    np.maximum.accumulate(best[::-1], axis=0, out=best[::-1])
    # The number of recalls that are reached in a bin is the weight of its precision.
    recall = hits / support
    last = (recall * (len(RECALLS) - 1) + _ROUNDING).astype(np.int64)
    reached = last + (RECALLS[last] <= recall)
    weights = np.diff(reached, axis=0, prepend=0)
    return np.asarray((best * weights).sum(axis=0) / len(RECALLS))


_ROUNDING = 1e-9
"""Lets a recall of .29, which is 28.999... hundredths, be looked up as .29."""
