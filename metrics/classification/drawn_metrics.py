"""Classification metrics in each draw of a bootstrap, from the counts of the draws."""

from __future__ import annotations

import numpy as np

from snellen.metrics.statistics.draws import Floats


def drawn_averages(hits: Floats, support: Floats, made: Floats) -> dict[str, Floats]:
    """Compute the averages over classes that have images in a draw; 0 / 0 is 0.

    Args:
        hits, support, made: float64, (R, K): correct images, images and predictions of each
            class in each draw.

    Returns:
        ``macro_`` and ``weighted_`` precision, recall and f1: float64, (R,).

    Example:
        >>> hits, support, made = np.array([[1.0, 2.0]]), np.array([[2.0, 2.0]]), np.array([[1, 3]])
        >>> found = drawn_averages(hits, support, made)
        >>> found["macro_recall"].tolist(), found["weighted_precision"].round(3).tolist()
        ([0.75], [0.833])
    """
    present = support > 0
    total = support + made
    values = {
        "precision": np.divide(hits, made, out=np.zeros_like(hits), where=made > 0),
        "recall": np.divide(hits, support, out=np.zeros_like(hits), where=present),
        "f1": np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0),
    }
    count = np.maximum(present.sum(axis=1), 1)
    images = np.maximum(support.sum(axis=1), 1)
    macro = {f"macro_{key}": (of * present).sum(axis=1) / count for key, of in values.items()}
    weighted = {
        f"weighted_{key}": (of * support).sum(axis=1) / images for key, of in values.items()
    }
    return macro | weighted


def drawn_ece(seen: Floats, correct: Floats, confidence: Floats) -> Floats:
    """Compute the expected calibration error in each draw: float64, (R,).

    Args:
        seen, correct, confidence: float64, (R, bins): images, correct images and sum of the
            confidences.

    Example:
        >>> drawn_ece(np.array([[4.0]]), np.array([[3.0]]), np.array([[3.6]])).round(3).tolist()
        [0.15]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.abs(confidence - correct).sum(axis=1) / seen.sum(axis=1))
