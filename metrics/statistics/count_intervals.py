"""Bootstrap intervals of the precision, recall and F1 of detectors at the operating point.

The objects of one image are not independent, so that images (or groups of images) are drawn, as
for AP: see `snellen.metrics.statistics.bootstrap`. The true positives, predictions and objects of
each class are counted once by block; a draw is a product of matrices. The interval is
value +- t * s; see `snellen.metrics.statistics.draws.student_half_width`. A value that does not
vary between draws, such as a precision of 1, has Wilson's interval over the blocks that have a
prediction or an object instead: it would have no width otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.detection.state import OverlapState
from snellen.metrics.detection.tide import IGNORED, RIGHT
from snellen.metrics.matching.assignment import Ints
from snellen.metrics.matching.overlaps import Bools, Floats
from snellen.metrics.statistics.draws import Blocks, Sampling
from snellen.metrics.statistics.proportions import Interval, proportion_interval

_CELLS_AT_ONCE = 4_000_000
"""Maximum number of weights (draws x blocks) held at once."""


@dataclass(frozen=True, eq=False)
class _Counts:
    """A count by class and block, and its sum over the classes.

    Attributes:
        by_block: sparse, (K + 1, B); the last row is the sum.
        drawn: float64, (R, K + 1), the count in each draw.
    """

    by_block: Any
    drawn: Floats


def count_intervals(
    state: OverlapState, num_classes: int, included: Bools, blocks: Blocks, sampling: Sampling
) -> list[dict[str, Interval]]:
    """Compute the intervals of precision, recall and F1 of each class and of the whole set.

    Args:
        state: of the whole set by the task's own overlap, ordered by image.
        num_classes: K.
        included: bool, (n,), the predictions that reach the confidence of the operating point.
        blocks: of the images.
        sampling: number, seed and level.

    Returns:
        K + 1 dicts with ``precision``, ``recall`` and ``f1``, the whole set last: [low, high]
        within [0, 1]; None without draws, for a class without objects, and for a precision without
        predictions.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.statistics.draws import blocks_of_images
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> blocks, sampling = blocks_of_images(2), Sampling(20, 0.95, seed=0)
        >>> found = count_intervals(state, 2, np.ones(3, np.bool_), blocks, sampling)
        >>> [round(limit, 2) for limit in found[0]["recall"]]  # one object, which is found
        [0.21, 1.0]
    """
    none: dict[str, Interval] = dict.fromkeys(("precision", "recall", "f1"))
    if sampling.resamples < 2 or not blocks.count:
        return [dict(none) for _ in range(num_classes + 1)]
    found = state.detections[included & (state.detections["tide"] != IGNORED)]
    right = found[found["tide"] == RIGHT]
    truths = state.truths[state.truths["counted"] > 0]
    by_block = [
        _by_block(state, part, num_classes, blocks, counts)
        for part, counts in ((right, None), (found, None), (truths, truths["counted"]))
    ]
    drawn = _drawn(by_block, blocks, sampling)
    tp, made, support = (_Counts(*both) for both in zip(by_block, drawn, strict=True))
    ratios = {
        "precision": _ratio(blocks, sampling, tp, (made,)),
        "recall": _ratio(blocks, sampling, tp, (support,)),
        "f1": _ratio(blocks, sampling, tp, (made, support)),
    }
    present = np.asarray(support.by_block.sum(axis=1)).ravel() > 0
    return [
        {key: values[number] for key, values in ratios.items()} if present[number] else dict(none)
        for number in range(num_classes + 1)
    ]


def _by_block(
    state: OverlapState,
    part: npt.NDArray[np.void],
    num_classes: int,
    blocks: Blocks,
    counts: Ints | None,
) -> Any:
    """Sum counts (1 each for None) by class and block; the last row is the sum of the classes."""
    from scipy.sparse import csr_array, vstack

    block = blocks.of_image[np.searchsorted(state.images, part["image"])]
    values = np.ones(len(part)) if counts is None else counts.astype(np.float64)
    cells = csr_array((values, (part["class_id"], block)), shape=(num_classes, blocks.count))
    whole = csr_array(cells.sum(axis=0)[None, :])
    return vstack([cells, whole], format="csr")


def _drawn(by_block: list[Any], blocks: Blocks, sampling: Sampling) -> list[Floats]:
    at_once = max(1, _CELLS_AT_ONCE // blocks.count)
    parts: list[list[Floats]] = [[] for _ in by_block]
    weights: list[Floats] = []
    for number, one in enumerate(blocks.each_draw(sampling.resamples, sampling.seed), start=1):
        weights.append(one)
        if len(weights) == at_once or number == sampling.resamples:
            stacked = np.stack(weights, axis=1)
            for part, cells in zip(parts, by_block, strict=True):
                part.append(np.asarray(cells @ stacked).T)
            weights = []
    return [np.concatenate(part) for part in parts]


def _ratio(
    blocks: Blocks, sampling: Sampling, tp: _Counts, totals: tuple[_Counts, ...]
) -> list[Interval]:
    """Return the interval of n tp / (sum of n totals) of each class; None where it is 0 / 0."""
    times = len(totals)
    whole = [np.asarray(one.by_block.sum(axis=1)).ravel() for one in (tp, *totals)]
    hits, total = times * whole[0], sum(whole[1:])
    cells = sum(one.by_block for one in totals)
    with_any = np.diff(cells.tocsr().indptr)
    drawn_total = sum(one.drawn for one in totals)
    with np.errstate(invalid="ignore", divide="ignore"):
        values, drawn = hits / total, times * tp.drawn / drawn_total
    return [
        proportion_interval(
            value, drawn[:, number], blocks, units=int(with_any[number]), level=sampling.level
        )
        for number, value in enumerate(values.tolist())
    ]
