"""Precision-recall curves, F1 curves and TIDE's errors of a detection run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snellen.metrics.classification.confusion import DENSE_CLASSES
from snellen.metrics.detection.coco import CocoNumbers
from snellen.metrics.detection.operating_point import CONFIDENCES, Ranked
from snellen.metrics.detection.state import OverlapState
from snellen.metrics.detection.tide import tide_report
from snellen.metrics.matching.overlaps import Bools, Floats


def details(
    part: OverlapState,
    names: Sequence[str],
    whole: Ranked,
    classes: Sequence[Ranked],
    numbers: CocoNumbers,
) -> dict[str, Any]:
    """Compute the curves and TIDE of a set; see `snellen.metrics.detection.metrics`.

    Args:
        part: by the task's own overlap, ordered by image.
        names: of the classes, unique.
        whole: all predictions.
        classes: those of each class.
        numbers: COCO's.

    Returns:
        ``pr_curve``, ``f1_curve`` and ``tide``; the curve of a class without truths is None, and
        above `snellen.metrics.classification.confusion.DENSE_CLASSES` classes there are no curves
        by class.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> from snellen.metrics.detection.coco import read_numbers
        >>> from snellen.metrics.detection.operating_point import ranked_classes
        >>> whole, classes = ranked_classes(state.detections, state.by_class("counted", 2))
        >>> numbers = read_numbers(state.evaluator, "bbox", 2, options_of(["bbox"]))
        >>> found = details(state, ["cat", "dog"], whole, classes, numbers)
        >>> found["f1_curve"]["all"][0], found["tide"]["counts"]["Cls"]
        (0.4, 1)
    """
    shown = names if len(names) <= DENSE_CLASSES else ()
    return {
        "pr_curve": _pr_curve(numbers.precision, shown),
        "f1_curve": {
            "confidence": CONFIDENCES.tolist(),
            "all": whole.f1_curve(),
            "classes": {
                name: ranked.f1_curve() for name, ranked in zip(shown, classes, strict=False)
            },
        },
        "tide": tide_of(part, len(names)),
    }


def tide_of(part: OverlapState, num_classes: int) -> dict[str, Any]:
    """Compute TIDE of a set; see `snellen.metrics.detection.tide.tide_report`.

    Args:
        part: by the task's own overlap, ordered by image; its evaluator is not read.
        num_classes: K.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> tide_of(state, 2)["counts"]["Cls"]
        1
    """
    by_confidence = part.detections[np.argsort(-part.detections["confidence"], kind="stable")]
    support, missed = (part.by_class(name, num_classes) for name in ("counted", "missed"))
    return tide_report(by_confidence, support, missed)


def _pr_curve(curves: Floats, shown: Sequence[str]) -> dict[str, Any]:
    present: Bools = np.asarray(~np.isnan(curves).any(axis=1))
    return {
        "recall": [step / 100 for step in range(curves.shape[1])],
        "mean": curves[present].mean(axis=0).tolist() if present.any() else None,
        "classes": {
            name: curves[number].tolist() if present[number] else None
            for number, name in enumerate(shown)
        },
    }
