"""Match predictions with ground truth: COCO's greedy rule for many images at once.

In every group (an image and a class) the predictions are taken by falling confidence, and each
takes the free truth that it overlaps most. The rule is sequential inside a group and independent
between groups, so all groups' first predictions are handled together, then all second ones, ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.matching.overlaps import Bools, Floats

Ints = npt.NDArray[np.int64]

IOU_THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
"""COCO's ten thresholds."""

_CHUNK = 1 << 16
"""Maximum number of overlaps computed at once; for poses of 17 points they need about 150 MB."""


@dataclass(frozen=True)
class Pairs:
    """Overlapping (prediction, truth) pairs of the same image, sorted by both.

    Attributes:
        prediction: int64, shape (P,).
        truth: int64, shape (P,).
        overlap: float, shape (P,).
    """

    prediction: Ints
    truth: Ints
    overlap: npt.NDArray[np.floating[Any]]

    def where(self, keep: Bools | Ints) -> Pairs:
        """Select pairs by a mask of shape (P,) or by their indices."""
        return Pairs(self.prediction[keep], self.truth[keep], self.overlap[keep])

    def overlaps_of(self, prediction: Ints, truth: Ints) -> npt.NDArray[np.floating[Any]]:
        """Look up the overlaps of n pairs that are all present: float, (n,)."""
        size = 1 + int(max(self.truth.max(initial=0), truth.max(initial=0)))
        keys = self.prediction * size + self.truth  # rising, as pairs are sorted by both
        return self.overlap[np.searchsorted(keys, prediction * size + truth)]


def image_pairs(
    predicted_row: Ints, true_row: Ints, overlap: Callable[[Ints, Ints], Floats], floor: float
) -> Pairs:
    """Find the pairs within an image that overlap by at least ``floor``.

    Args:
        predicted_row: int64, (D,), the image of each prediction, rising.
        true_row: int64, (G,), the image of each truth, rising.
        overlap: from the indices of n predictions and n truths to their overlaps.
        floor: minimum overlap, above 0.
    """
    start = np.searchsorted(true_row, predicted_row, side="left")
    count = np.searchsorted(true_row, predicted_row, side="right") - start
    ends = np.cumsum(count)
    parts = []
    first = 0
    while first < len(count):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        some = count[first:last]
        prediction = np.repeat(np.arange(first, last), some)
        inside = np.arange(len(prediction)) - np.repeat(np.cumsum(some) - some, some)
        truth = np.repeat(start[first:last], some) + inside
        if len(prediction):
            pairs = Pairs(prediction, truth, overlap(prediction, truth))
            parts.append(pairs.where(pairs.overlap >= floor))
        first = last
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Pairs(none, none, np.zeros(0))
    return Pairs(
        np.concatenate([part.prediction for part in parts]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.overlap for part in parts]),
    )


def ranks(group: Ints) -> Ints:
    """Number the elements of each group from 0 in the order given.

    Args:
        group: int64, (n,).

    Returns:
        int64, (n,).

    Example:
        >>> ranks(np.array([7, 3, 7, 7, 3])).tolist()
        [0, 0, 1, 2, 1]
    """
    order = np.argsort(group, kind="stable")
    edges = np.append(_starts(group[order]), len(group))
    position = np.empty(len(group), dtype=np.int64)
    position[order] = np.arange(len(group)) - np.repeat(edges[:-1], edges[1:] - edges[:-1])
    return position


def _starts(values: Ints) -> Ints:
    """Find the first index of every run of equal values."""
    fresh = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return np.flatnonzero(fresh)


def reachable(thresholds: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Lower thresholds of 1 by COCO's 1e-10, so that rounding does not prevent a match."""
    return np.asarray(np.minimum(thresholds, 1 - 1e-10))


def greedy(
    pairs: Pairs,
    rank: Ints,
    thresholds: npt.NDArray[np.floating[Any]],
    ignored: Bools,
    crowd: Bools,
) -> Ints:
    """Match predictions with truths at each threshold.

    COCO's rule (pycocotools ``evaluateImg``): a prediction takes, among the free truths that it
    overlaps by at least the threshold, the one it overlaps most, the last of equals. Ignored
    truths are considered only where no other qualifies; an ignored truth is taken once, a crowd
    any number of times.

    Args:
        pairs: the candidates, of the same group each.
        rank: int64, (D,), position of each prediction by falling confidence in its group.
        thresholds: float, (T,).
        ignored: bool, (G,), neither found nor missed; crowds among them.
        crowd: bool, (G,).

    Returns:
        int64, (D, T): the true object of each prediction, -1 for none.

    Example:
        Two predictions overlap truth 0; the more confident one takes it at both thresholds.

        >>> pairs = Pairs(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([0.8, 0.9, 0.6]))
        >>> no = np.zeros(2, dtype=np.bool_)
        >>> greedy(pairs, np.array([0, 1]), np.array([0.5, 0.75]), no, no).tolist()
        [[0, 0], [1, -1]]
    """
    matched = np.full((len(rank), len(thresholds)), -1, dtype=np.int64)
    taken = np.zeros((len(ignored), len(thresholds)), dtype=np.bool_)
    reach = reachable(thresholds)
    of_pair = rank[pairs.prediction]
    order = np.argsort(of_pair, kind="stable")
    edges = [*_starts(of_pair[order]).tolist(), len(order)]
    columns = np.arange(len(thresholds))
    for low, high in pairwise(edges):
        these = pairs.where(order[low:high])
        starts = _starts(these.prediction)
        near = these.overlap[:, None] >= reach
        regular = near & ~taken[these.truth] & ~ignored[these.truth, None]
        best = _best(these.overlap, regular, starts)
        if ignored[these.truth].any():
            free = ~taken[these.truth] | crowd[these.truth, None]
            second = _best(these.overlap, near & free & ignored[these.truth, None], starts)
            best = np.where(best >= 0, best, second)
        truth = np.where(best >= 0, these.truth[best], -1)
        matched[these.prediction[starts]] = truth
        found, column = np.nonzero(truth >= 0)
        taken[truth[found, column], columns[column]] = True
    return matched


def _best(overlap: npt.NDArray[np.floating[Any]], allowed: Bools, starts: Ints) -> Ints:
    """Find the last pair of the largest allowed overlap by segment and threshold; -1 for none."""
    value = np.where(allowed, overlap[:, None], -1.0)
    top = np.maximum.reduceat(value, starts, axis=0)
    edges = np.append(starts, len(overlap))
    lengths = edges[1:] - edges[:-1]
    is_top = allowed & (value == np.repeat(top, lengths, axis=0))
    place = np.where(is_top, np.arange(len(overlap))[:, None], -1)
    return np.asarray(np.maximum.reduceat(place, starts, axis=0), dtype=np.int64)
