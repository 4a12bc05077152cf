"""The curves of a detection, segmentation or pose run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snellen.analysis.plots.curves import Curve, RunCurves, reliability, stored_curves
from snellen.metrics.detection.operating_point import CONFIDENCES, Ranked
from snellen.metrics.detection.options import PREFIX, DetectionOptions

_LABELS = {"bbox": "AP50-95", "segm": "mask AP50-95", "keypoints": "OKS AP50-95"}


def object_curves(
    details: dict[str, Any],
    names: Sequence[str],
    whole: Ranked,
    settings: tuple[DetectionOptions, float | None],
) -> RunCurves:
    """Compute the curves of a run.

    Args:
        details: of the run; ``pr_curve`` has COCO's precision at the recalls 0, .01, ... 1.
        names: K unique class names.
        whole: every stored prediction of the run.
        settings: those of the run's metrics, and the confidence of the operating point.
    """
    options, confidence = settings
    kind = options.own
    overlap = "OKS" if kind == "keypoints" else "IoU"
    return RunCurves(
        precision_recall=stored_curves(details.get("pr_curve"), names),
        precision_recall_note=f"{overlap} 0.5",
        by_confidence=threshold_curves(whole),
        by_confidence_title="F1 by confidence",
        operating_confidence=confidence,
        reliability=reliability(whole.confidence.astype(np.float64), whole.right, bins=15),
        reliability_label="Precision",
        class_metric=f"{PREFIX[kind]}AP{options.suffix(kind)}",
        class_label=f"{_LABELS[kind]}{options.suffix(kind)}",
    )


def threshold_curves(whole: Ranked) -> list[Curve]:
    """Compute F1, precision and recall at the confidences 0, .01, ... 1; none without objects.

    Precision has no value where nothing is predicted.

    Example:
        >>> ranked = Ranked(np.array([0.9, 0.6], np.float32), np.array([True, False]), support=2)
        >>> [curve.y[50] for curve in threshold_curves(ranked)]
        [0.5, 0.5, 0.5]
    """
    if not whole.support:
        return []
    made = np.searchsorted(-whole.confidence, -CONFIDENCES.astype(np.float32), side="right")
    hits = np.append(0, np.cumsum(whole.right))[made].astype(np.float64)
    some = made > 0
    return [
        Curve("F1", CONFIDENCES, 2 * hits / (made + whole.support)),
        Curve("Precision", CONFIDENCES[some], hits[some] / made[some]),
        Curve("Recall", CONFIDENCES, hits / whole.support),
    ]
