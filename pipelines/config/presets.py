"""What ``auto`` means for detections: evaluation keeps almost all, prediction the sure ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings of detectors that a configuration leaves open.

    Attributes:
        min_confidence: what ``model.min_confidence: auto`` is.
        multi_label: a box may count for several classes, as average precision wants it, or for
            its best one only.
    """

    min_confidence: float
    multi_label: bool


EVALUATION = Preset(min_confidence=0.001, multi_label=True)
PREDICTION = Preset(min_confidence=0.25, multi_label=False)
