"""The average precisions of one kind of overlap: COCO's, Ultralytics' and their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snellen.metrics.detection.coco import CocoNumbers, read_numbers
from snellen.metrics.detection.options import PREFIX, DetectionOptions
from snellen.metrics.detection.state import OverlapState
from snellen.metrics.detection.ultralytics_ap import ultralytics_ap
from snellen.metrics.finite import finite_or_none
from snellen.metrics.matching.overlaps import Kind
from snellen.metrics.statistics.bootstrap import bootstrap_intervals

_ULTRALYTICS_PREFIX: dict[Kind, str] = {
    "bbox": "ultralytics_",
    "segm": "ultralytics_mask_",
    "keypoints": "ultralytics_pose_",
}


@dataclass(frozen=True)
class KindNumbers:
    """What one kind of overlap gives: COCO's numbers, and metrics and intervals by their keys."""

    coco: CocoNumbers
    metrics: dict[str, float | None]
    intervals: dict[str, list[float] | None]


def kind_numbers(
    part: OverlapState, kind: Kind, num_classes: int, options: DetectionOptions
) -> KindNumbers:
    """Compute the numbers of a whole set, ordered by image."""
    coco = read_numbers(part.evaluator, kind, num_classes, options)
    prefix = PREFIX[kind]
    intervals = bootstrap_intervals(
        part,
        num_classes,
        resamples=options.resamples,
        level=options.confidence_level,
        seed=options.seed,
    )
    return KindNumbers(
        coco,
        {prefix + key: value for key, value in coco.metrics.items()}
        | _ultralytics(part, _ULTRALYTICS_PREFIX[kind], num_classes),
        {prefix + key: value for key, value in intervals.items()},
    )


def class_numbers(numbers: Mapping[Kind, KindNumbers], class_id: int) -> dict[str, float | None]:
    """AP and AR of one class: ``AP``, ``AP50``, ``AR_100``, ``mask_AP`` ...; None for absent."""
    result: dict[str, float | None] = {}
    for kind, of_kind in numbers.items():
        for key, values in of_kind.coco.per_class.items():
            name = "AP" if key == "AP50-95" else key
            result[PREFIX[kind] + name] = finite_or_none(float(values[class_id]))
    return result


def _ultralytics(part: OverlapState, prefix: str, num_classes: int) -> dict[str, float | None]:
    found = part.detections
    correct = ((found["ultralytics"][:, None] >> np.arange(10)) & 1).astype(np.bool_)
    support = part.by_class("labelled", num_classes)
    values = ultralytics_ap(correct, found["confidence"], found["class_id"], support)
    present = values[support > 0]
    return {
        f"{prefix}mAP50": float(present[:, 0].mean()) if len(present) else None,
        f"{prefix}mAP50-95": float(present.mean()) if len(present) else None,
    }
