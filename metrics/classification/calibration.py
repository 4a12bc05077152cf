"""How far confidence and accuracy agree."""

from __future__ import annotations

import math
from typing import Any

from snellen.metrics.classification.state import ClassificationState


def reliability_bins(state: ClassificationState) -> list[dict[str, Any]]:
    """The reliability diagram: one entry a bin of equal width, from low to high confidence.

    A bin holds ``low <= confidence < high``; the last one holds 1.0 as well. ``confidence`` and
    ``accuracy`` are means over the bin's images, None in an empty bin.
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
    """ECE, L1: sum over bins of (n_bin / n) * abs(accuracy - confidence); None without images.

    Source: Guo et al., On calibration of modern neural networks (2017), with right-open bins as
    torchmetrics' MulticlassCalibrationError (norm "l1") has them. One difference: torchmetrics
    counts a confidence of exactly 1.0 in an extra bin of its own, here it is in the last bin.
    """
    total = int(state.bin_counts.sum())
    if total == 0:
        return None
    return math.fsum(
        item["count"] / total * abs(item["accuracy"] - item["confidence"])
        for item in reliability_bins(state)
        if item["count"]
    )
