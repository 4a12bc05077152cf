"""The comparison of two classifiers' predictions for one image."""

from __future__ import annotations

from snellen.adapters.types import InferenceResult
from snellen.metrics.parity.differences import ImageDifference, Tolerance


def compare_classes(
    first: InferenceResult, second: InferenceResult, tolerance: Tolerance
) -> ImageDifference:
    """Compare the top five classes of two classifiers.

    A class outside the top five of the second result counts with the confidence of the fifth,
    which is the maximum it can have.
    """
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
