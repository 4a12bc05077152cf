"""The operating point of a detector, and precision, recall and F1 at any confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.detection.tide import IGNORED, RIGHT
from snellen.metrics.matching.assignment import Ints
from snellen.metrics.matching.overlaps import Bools, Floats
from snellen.metrics.matching.thresholds import Thresholds

CONFIDENCES: Floats = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The settings at which matches, true positives and misses of a run are counted.

    Attributes:
        confidence: predictions below it are ignored.
        overlap: minimum IoU (OKS for keypoints) of a match, in (0, 1].
        sigmas: falloff of each keypoint; None takes the defaults, see
            `snellen.metrics.matching.overlaps.keypoint_sigmas`.
        class_confidences: class ids, rising, with confidences of their own.
    """

    confidence: float
    overlap: float
    sigmas: tuple[float, ...] | None = None
    class_confidences: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> OperatingPoint:
        """Restore an operating point from the JSON of its attributes."""
        sigmas = stored["sigmas"]
        of_classes = stored.get("class_confidences") or ()
        return cls(
            stored["confidence"],
            stored["overlap"],
            tuple(sigmas) if sigmas else None,
            tuple((int(number), float(value)) for number, value in of_classes),
        )

    @property
    def thresholds(self) -> Thresholds:
        """The minimum confidence of the predictions of each class."""
        return Thresholds(self.confidence, self.class_confidences)


@dataclass(frozen=True)
class Ranked:
    """Predictions by falling confidence without ignored ones, and the number of truths.

    Attributes:
        confidence: float32, (n,).
        right: bool, (n,), true positives at the operating point's overlap. They do not depend on
            less confident predictions, so that every confidence can be the limit.
        support: number of truths.

    Example:
        >>> ranked = Ranked(np.array([0.9, 0.6], np.float32), np.array([True, False]), support=2)
        >>> ranked.counts(0.5)
        (1, 1, 1)
    """

    confidence: npt.NDArray[np.float32]
    right: Bools
    support: int

    @classmethod
    def of(cls, detections: npt.NDArray[np.void], support: int) -> Ranked:
        """Select from `snellen.metrics.detection.state.DETECTION` by falling confidence."""
        kept = detections[detections["tide"] != IGNORED]
        return cls(kept["confidence"], kept["tide"] == RIGHT, support)

    def counts(self, confidence: float) -> tuple[int, int, int]:
        """Return (tp, fp, fn) of the predictions at or above a confidence."""
        made = int(np.count_nonzero(self.confidence >= np.float32(confidence)))
        tp = int(np.count_nonzero(self.right[:made]))
        return tp, made - tp, self.support - tp

    def f1_curve(self) -> list[float] | None:
        """Compute F1 at each of `CONFIDENCES`; None without truths."""
        if not self.support:
            return None
        made = np.searchsorted(-self.confidence, -CONFIDENCES.astype(np.float32), side="right")
        hits = np.append(0, np.cumsum(self.right))[made]
        values: list[float] = (2 * hits / (made + self.support)).tolist()
        return values

    def best_f1(self) -> tuple[float | None, float | None]:
        """Find the largest F1 at any limit and the highest confidence that gives it.

        Returns:
            (F1, confidence): (None, None) without truths, (0, None) without a right prediction.
        """
        if not self.support:
            return None, None
        # a limit takes all predictions of equal confidence or none
        last = np.flatnonzero(np.append(self.confidence[1:] != self.confidence[:-1], True))
        if not len(self.confidence):
            return 0.0, None
        values = 2 * np.cumsum(self.right)[last] / (last + 1 + self.support)
        best = int(values.argmax())
        if values[best] == 0:
            return 0.0, None
        return float(values[best]), float(self.confidence[last[best]])


def scores(ranked: Ranked, counts: tuple[int, int, int]) -> dict[str, Any]:
    """Compute precision, recall and F1 of counts, and the best F1 at any one confidence.

    Precision is tp / (tp + fp), 0 without predictions; recall tp / (tp + fn); F1
    2 tp / (2 tp + fp + fn). Without truths all are None.

    Args:
        ranked: predictions of a class or of the whole set.
        counts: (tp, fp, fn) at the operating point.

    Example:
        >>> ranked = Ranked(np.array([0.9, 0.6], np.float32), np.array([True, False]), support=2)
        >>> found = scores(ranked, ranked.counts(0.5))
        >>> found["precision"], found["recall"], found["f1"]
        (0.5, 0.5, 0.5)
    """
    tp, fp, fn = counts
    present = ranked.support > 0
    best, at = ranked.best_f1()
    return {
        "support": ranked.support,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "precision": (tp / (tp + fp) if tp + fp else 0.0) if present else None,
        "recall": tp / ranked.support if present else None,
        "f1": 2 * tp / (2 * tp + fp + fn) if present else None,
        "best_f1": best,
        "best_f1_confidence": at,
    }


def ranked_classes(detections: npt.NDArray[np.void], support: Ints) -> tuple[Ranked, list[Ranked]]:
    """Rank the predictions of the whole set and of every class.

    Args:
        detections: `snellen.metrics.detection.state.DETECTION`, ordered by image.
        support: int64, (K,), number of truths of each class.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> whole, classes = ranked_classes(state.detections, state.by_class("counted", 2))
        >>> whole.counts(0.25), classes[0].counts(0.25)
        ((1, 2, 1), (1, 1, 0))
    """
    ordered = detections[np.argsort(-detections["confidence"], kind="stable")]
    by_class = ordered[np.argsort(ordered["class_id"], kind="stable")]
    edges = np.searchsorted(by_class["class_id"], np.arange(len(support) + 1))
    classes = [
        Ranked.of(by_class[edges[number] : edges[number + 1]], int(support[number]))
        for number in range(len(support))
    ]
    return Ranked.of(ordered, int(support.sum())), classes
