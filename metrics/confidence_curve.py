"""Counts of predictions at every confidence threshold, and the choice of a threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConfidenceCurve:
    """The predictions of a class or of a set at each of their confidences.

    Attributes:
        confidence: float32, (n,), distinct confidences, falling: the thresholds that differ.
        right: int64, (n,), correct predictions at or above each.
        made: int64, (n,), predictions at or above each.
        total: number of objects to find, or of images.

    Example:
        >>> confidence = np.array([0.9, 0.6, 0.6], np.float32)
        >>> curve = ConfidenceCurve.of(confidence, np.array([True, False, True]), total=4)
        >>> curve.made.tolist(), curve.counts(0.7), curve.values("precision").round(2).tolist()
        ([1, 3], (1, 1), [1.0, 0.67])
    """

    confidence: npt.NDArray[np.float32]
    right: Ints
    made: Ints
    total: int

    @classmethod
    def of(
        cls, confidence: npt.NDArray[np.float32], right: npt.NDArray[np.bool_], total: int
    ) -> ConfidenceCurve:
        """Count predictions that are ordered by falling confidence."""
        # a threshold takes all predictions of equal confidence or none
        last = np.flatnonzero(np.append(confidence[1:] != confidence[:-1], True))
        last = last[: len(confidence)]
        hits = np.cumsum(right, dtype=np.int64)
        return cls(confidence[last], hits[last], last + 1, total)

    def counts(self, threshold: float) -> tuple[int, int]:
        """Return the correct predictions and all predictions at or above a threshold."""
        taken = int(np.count_nonzero(self.confidence >= np.float32(threshold)))
        return (int(self.right[taken - 1]), int(self.made[taken - 1])) if taken else (0, 0)

    def values(self, key: str) -> Floats:
        """Compute a metric of `RATIOS` at each confidence: float64, (n,).

        It is NaN where nothing is to be found.
        """
        if not self.total:
            return np.full(len(self.confidence), np.nan)
        return np.asarray(RATIOS[key](self.right, self.made, self.total), dtype=np.float64)

    def value(self, key: str, threshold: float) -> float | None:
        """Compute a metric of `RATIOS` at a threshold; None where nothing is to be found.

        Precision without predictions is 0, as in the metrics of a run; the accuracy of no images
        is None.
        """
        right, made = self.counts(threshold)
        if not self.total or (key == "accuracy" and not made):
            return None
        return float(RATIOS[key](right, made, self.total)) if made else 0.0


RATIOS: dict[str, Callable[[Any, Any, int], Any]] = {
    "precision": lambda right, made, total: right / made,
    "recall": lambda right, made, total: right / total,
    "f1": lambda right, made, total: 2 * right / (made + total),
    "accuracy": lambda right, made, total: right / made,
    "coverage": lambda right, made, total: made / total,
}
"""From the correct predictions, all predictions and the total to a metric."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that chooses a threshold.

    Attributes:
        key: a metric of `RATIOS`.
        least: its required value; None for the largest value.
    """

    key: str
    least: float | None = None

    def __str__(self) -> str:
        return f"best {self.key}" if self.least is None else f"{self.key} >= {self.least:g}"


def choose_threshold(curve: ConfidenceCurve, rule: Rule) -> float | None:
    """Return the threshold that a rule chooses, or None if no threshold meets it.

    The largest value of a metric has the highest threshold among equals. A required precision (or
    accuracy) is met with the most correct predictions (or images), a required recall (or coverage)
    with the highest threshold.

    Example:
        >>> confidence = np.array([0.9, 0.8, 0.6], np.float32)
        >>> curve = ConfidenceCurve.of(confidence, np.array([True, False, True]), total=2)
        >>> [choose_threshold(curve, Rule("precision", least)) for least in (0.9, 0.6, 1.1)]
        [0.9, 0.6, None]
    """
    values = curve.values(rule.key)
    if rule.least is None:
        known = values > 0
        gain = values
    else:
        known = values >= rule.least
        rising = rule.key in ("precision", "accuracy")
        kept = curve.made if rule.key == "accuracy" else curve.right
        gain = (kept if rising else curve.confidence).astype(np.float64)
    if not known.any():
        return None
    best = int(np.where(known, gain, -np.inf).argmax())
    # the shortest text that is this float32, so that a file holds what is compared
    return float(str(curve.confidence[best]))
