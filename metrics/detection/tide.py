"""TIDE: the kind of error of each wrong prediction and missed truth, and its cost in AP.

Source: Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors (2020), in
the rules and the order of its own code (tidecv): with t the threshold of a match and b = 0.1, a
prediction that matched nothing is

1. ``Loc`` if its best overlap with a truth of its class is from b to t;
2. ``Cls`` if its best overlap with a truth of another class is at least t;
3. ``Dupe`` if it overlaps a truth of its class by at least t that another prediction took;
4. ``Bkg`` if it overlaps no truth by more than b;
5. ``Both`` otherwise;

and a truth that nothing matched is ``Miss``, unless a Loc or Cls error points to it. Crowds and
ignored truths do not count as truths here, and ignored predictions are no errors.

Two differences from tidecv: matches follow COCO's rule (`snellen.metrics.matching.assignment`),
and AP is the mean over the classes that have truths, where tidecv counts a class that is only
predicted as AP 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.detection.average_precision import RECALLS, class_precision
from snellen.metrics.matching.assignment import Ints, Pairs
from snellen.metrics.matching.candidates import Candidates
from snellen.metrics.matching.overlaps import Bools, Floats

BUCKETS = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
"""The order in which tidecv reports them."""

CLS, LOC, BOTH, DUPE, BKG = range(5)
RIGHT, IGNORED = 6, 7
"""Codes of predictions that are not errors."""

BACKGROUND = 0.1


@dataclass(frozen=True)
class TideErrors:
    """The errors of one part.

    Attributes:
        bucket: uint8, (D,): 0 to 4 as in `BUCKETS`, 6 correct, 7 ignored.
        fixed_class: int32, (D,): the class in which a Cls or Loc error would be a true positive
            if it were fixed; -1 where it would be removed (another prediction has the true object).
        target: int64, (D,): the true object that a Cls or Loc error points to, else -1.
        missed: bool, (G,).
    """

    bucket: npt.NDArray[np.uint8]
    fixed_class: npt.NDArray[np.int32]
    target: Ints
    missed: Bools


def tide_errors(candidates: Candidates, matched: Ints, threshold: float) -> TideErrors:
    """Assign every prediction and every truth of a part to its bucket.

    Args:
        candidates: D predictions, G truths and their pairs that overlap by 0.1 or more.
        matched: int64, (D,), the true object that each prediction matched at the threshold, -1 for
            none.
        threshold: t, minimum overlap of a match.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> from snellen.metrics.matching.candidates import find_candidates
        >>> candidates = find_candidates(images, "bbox", None, BACKGROUND)
        >>> errors = tide_errors(candidates, np.array([0, -1, -1]), 0.5)
        >>> [BUCKETS[bucket] for bucket in errors.bucket[1:]]
        ['Cls', 'Bkg']
    """
    pairs, ignored = candidates.pairs, candidates.ignored
    found = np.zeros(len(ignored), dtype=np.bool_)
    found[matched[matched >= 0]] = True
    of_truth = pairs.where(~ignored[pairs.truth])
    same = candidates.same_class[~ignored[pairs.truth]]
    size = len(matched)
    own, own_truth = _best(of_truth.where(same), size)
    other, other_truth = _best(of_truth.where(~same), size)
    used, _ = _best(of_truth.where(same & found[of_truth.truth]), size)
    loc = (own >= BACKGROUND) & (own <= threshold)
    bucket = np.select(
        [matched >= 0, loc, other >= threshold, used >= threshold, other <= BACKGROUND],
        [RIGHT, LOC, CLS, DUPE, BKG],
        BOTH,
    ).astype(np.uint8)
    right = np.flatnonzero(matched >= 0)
    bucket[right[ignored[matched[right]]]] = IGNORED
    target = np.where(bucket == LOC, own_truth, np.where(bucket == CLS, other_truth, -1))
    pointed = np.zeros(len(ignored), dtype=np.bool_)
    pointed[target[target >= 0]] = True
    return TideErrors(
        bucket, _fixed_class(candidates, target, found), target, ~found & ~pointed & ~ignored
    )


def _best(pairs: Pairs, size: int) -> tuple[Floats, Ints]:
    """Find each prediction's largest overlap, 0 without any, and the first truth that has it."""
    best, truth = np.zeros(size), np.full(size, -1, dtype=np.int64)
    order = np.lexsort((pairs.truth, -pairs.overlap, pairs.prediction))
    first = order[np.flatnonzero(np.diff(pairs.prediction[order], prepend=-1))]
    best[pairs.prediction[first]] = pairs.overlap[first]
    truth[pairs.prediction[first]] = pairs.truth[first]
    return best, truth


def _fixed_class(candidates: Candidates, target: Ints, found: Bools) -> npt.NDArray[np.int32]:
    order, true_class = candidates.order, candidates.images.truths.class_id
    # of all errors that point to a free truth, the most confident one would find it
    points = np.flatnonzero(target >= 0)
    points = points[~found[target[points]]]
    points = points[np.lexsort((order[points], target[points]))]
    first = points[np.flatnonzero(np.diff(target[points], prepend=-1))]
    fixed = np.full(len(target), -1, dtype=np.int32)
    fixed[first] = true_class[target[first]]
    return fixed


def tide_report(detections: npt.NDArray[np.void], support: Ints, missed: Ints) -> dict[str, Any]:
    """Count the errors of a set and compute the gain of AP when all of one bucket are fixed.

    Fixing makes the most confident Cls or Loc error of a free truth a true positive, removes
    other wrong predictions, and takes missed truths out of the count.

    Args:
        detections: `snellen.metrics.detection.state.DETECTION`, by falling confidence.
        support: int64, (K,), number of truths of each class.
        missed: int64, (K,), number of truths in the bucket Miss.

    Returns:
        ``counts`` and ``delta_ap`` by bucket, and ``ap``, the AP at the threshold; AP None
        without truths.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> support, missed = (state.by_class(name, 2) for name in ("counted", "missed"))
        >>> report = tide_report(state.detections, support, missed)
        >>> round(report["ap"], 3), round(report["delta_ap"]["Cls"], 3)
        (0.5, 0.5)
    """
    bucket = detections["tide"]
    counts = {name: int((bucket == number).sum()) for number, name in enumerate(BUCKETS[:5])}
    counts["Miss"] = int(missed.sum())
    class_id, known = detections["class_id"].astype(np.int64), bucket != IGNORED
    right = bucket == RIGHT
    base = _mean_ap(class_id[known], right[known], support)
    gains: dict[str, float | None] = {}
    for number, name in enumerate(BUCKETS):
        these = bucket == number
        fixed = detections["tide_class"] >= 0
        kept = known & (~these | fixed)
        classes = np.where(these & fixed, detections["tide_class"], class_id)
        rest = support - missed if name == "Miss" else support
        value = _mean_ap(classes[kept], (right | these)[kept], rest)
        gains[name] = None if base is None or value is None else max(value - base, 0.0)
    return {"ap": base, "counts": counts, "delta_ap": gains}


def _mean_ap(class_id: Ints, right: Bools, support: Ints) -> float | None:
    values = [
        class_precision(right[class_id == number], int(support[number])).sum() / len(RECALLS)
        for number in np.flatnonzero(support).tolist()
    ]
    return float(np.mean(values)) if values else None
