"""Calibration: the agreement of confidence and accuracy."""

from __future__ import annotations

import math
from typing import Any

from snellen.metrics.classification.state import ClassificationState


def reliability_bins(state: ClassificationState) -> list[dict[str, Any]]:
    """Compute the reliability diagram: one entry per bin of equal width, by rising confidence.

    A bin holds ``low <= confidence < high``; the last one holds 1.0 as well. ``confidence`` and
    ``accuracy`` are means over the images of the bin, None in an empty bin.

    Returns:
        Dicts of low, high, count, confidence and accuracy.

    Example:
        >>> from snellen.metrics.classification.tables import classification_state
        >>> from snellen.metrics.examples import classification_rows
        >>> state = classification_state(classification_rows(), 2)
        >>> [(one["count"], one["accuracy"]) for one in reliability_bins(state) if one["count"]]
        [(1, 0.0), (1, 1.0), (1, 1.0), (1, 1.0)]
    """
    bins = len(state.bin_counts)
    return [
        {
            "low": number / bins,
            "high": (number + 1) / bins,
            "count": count,
            "confidence": total.value / count if count else None,
            "accuracy": correct / count if count else None,
        }
        for number, (count, correct, total) in enumerate(
            zip(
                state.bin_counts.tolist(),
                state.bin_correct.tolist(),
                state.bin_confidence,
                strict=True,
            )
        )
    ]


def expected_calibration_error(state: ClassificationState) -> float | None:
    """Compute the ECE: sum over bins of (n_bin / n) * abs(accuracy - confidence).

    Source: Guo et al., On calibration of modern neural networks (2017), with the right-open bins
    of torchmetrics' MulticlassCalibrationError (norm "l1"). One difference: torchmetrics counts a
    confidence of exactly 1.0 in an extra bin, here it is in the last bin.

    Returns:
        A number in [0, 1]; None without images.

    Example:
        >>> from snellen.metrics.classification.tables import classification_state
        >>> from snellen.metrics.examples import classification_rows
        >>> state = classification_state(classification_rows(), 2)
        >>> round(expected_calibration_error(state), 3)
        0.3
    """
    total = int(state.bin_counts.sum())
    if total == 0:
        return None
    return math.fsum(
        item["count"] / total * abs(item["accuracy"] - item["confidence"])
        for item in reliability_bins(state)
        if item["count"]
    )
