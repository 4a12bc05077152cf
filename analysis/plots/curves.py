"""The data of a run's charts: curves over recall and confidence, and the reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snellen.metrics.matching.overlaps import Floats

CLASSES_DRAWN = 60
"""Maximum number of classes with a curve of their own."""
_POINTS = 400
"""Maximum number of points of a drawn curve."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A line.

    Attributes:
        name: class name; None for all classes together.
        x, y: float64, (n,), in the order in which they are connected.
    """

    name: str | None
    x: Floats
    y: Floats

    @property
    def area(self) -> float:
        """Area under the line by the trapezoidal rule."""
        return float(np.trapezoid(self.y, self.x)) if len(self.x) else 0.0

    def thinned(self, points: int = _POINTS) -> Curve:
        """Return at most that many of the points, evenly spaced by number, with both ends."""
        if len(self.x) <= points:
            return self
        places = np.unique(np.linspace(0, len(self.x) - 1, points).round().astype(np.int64))
        return Curve(self.name, self.x[places], self.y[places])


@dataclass(frozen=True, eq=False)
class RunCurves:
    """The curves of one run.

    Attributes:
        precision_recall: the curve of all classes first, then one per class; empty without objects.
        precision_recall_note: how the curves were computed.
        by_confidence: lines over the confidence threshold, the main one first; their names are for
            people.
        by_confidence_title: title of the chart with these lines.
        operating_confidence: the threshold of the run; None for a task without one, and for
            thresholds by class.
        reliability: dicts of low, high, count, confidence and accuracy, see
            `snellen.metrics.classification.calibration.reliability_bins`.
        reliability_label: meaning of ``accuracy`` in the diagram.
        class_metric: key in ``per_class_metrics`` of the metric that classes are ranked by.
        class_label: its name for people.
    """

    precision_recall: list[Curve]
    precision_recall_note: str
    by_confidence: list[Curve]
    by_confidence_title: str
    operating_confidence: float | None
    reliability: list[dict[str, Any]]
    reliability_label: str
    class_metric: str
    class_label: str

    def drawn_classes(self) -> list[Curve]:
        """Return the curves of classes that are drawn: those with the smallest area, if many."""
        classes = [curve for curve in self.precision_recall if curve.name is not None]
        return sorted(classes, key=lambda curve: curve.area)[:CLASSES_DRAWN]


def ranked_curve(name: str | None, scores: Floats, right: Any, support: int) -> Curve:
    """Compute precision over recall at every distinct score.

    Args:
        name: of the curve.
        scores: (n,), in any order.
        right: bool, (n,).
        support: number of positives, found or not.

    Example:
        >>> curve = ranked_curve(None, np.array([0.9, 0.6, 0.6]), np.array([1, 0, 1]), 2)
        >>> curve.x.tolist(), curve.y.round(3).tolist()
        ([0.5, 1.0], [1.0, 0.667])
    """
    if not support:
        return Curve(name, np.empty(0), np.empty(0))
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(np.asarray(right)[order])
    # Equal scores are all above a threshold or all below it.
    differs = scores[1:] != scores[:-1]
    last = np.flatnonzero(np.append(differs, True))[: len(scores)]
    found = hits[last].astype(np.float64)
    return Curve(name, found / support, found / (last + 1))


def reliability(confidence: Floats, right: Any, bins: int) -> list[dict[str, Any]]:
    """Compute a reliability diagram of predictions that are right or wrong.

    A bin holds ``low <= confidence < high``; the last one holds 1.0 as well.

    Example:
        >>> found = reliability(np.array([0.2, 0.9, 1.0]), np.array([0, 1, 0]), bins=2)
        >>> [(one["count"], one["accuracy"]) for one in found]
        [(1, 0.0), (2, 0.5)]
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(place, minlength=bins)
    means = [
        np.bincount(place, weights=np.asarray(values, np.float64), minlength=bins)
        for values in (confidence, right)
    ]
    return [
        {
            "low": number / bins,
            "high": (number + 1) / bins,
            "count": int(counts[number]),
            "confidence": float(means[0][number] / counts[number]) if counts[number] else None,
            "accuracy": float(means[1][number] / counts[number]) if counts[number] else None,
        }
        for number in range(bins)
    ]


def stored_curves(stored: dict[str, Any] | None, names: Sequence[str]) -> list[Curve]:
    """Return the curves of ``details["pr_curve"]``: the mean first, then classes with objects."""
    if not stored or stored["mean"] is None:
        return []
    recall = np.asarray(stored["recall"], dtype=np.float64)
    lines: list[tuple[str | None, Any]] = [(None, stored["mean"])]
    lines += [(name, stored["classes"].get(name)) for name in names]
    return [
        Curve(name, recall, np.asarray(values, dtype=np.float64))
        for name, values in lines
        if values is not None
    ]
