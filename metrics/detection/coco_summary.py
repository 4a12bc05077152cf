"""The average precisions of one overlap: COCO's, Ultralytics' and their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snellen.adapters.finite import finite_or_none
from snellen.metrics.detection.coco import CocoNumbers, read_numbers
from snellen.metrics.detection.options import PREFIX, DetectionOptions
from snellen.metrics.detection.state import OverlapState
from snellen.metrics.detection.ultralytics_ap import ultralytics_ap
from snellen.metrics.matching.overlaps import Kind
from snellen.metrics.statistics.bootstrap import bootstrap_intervals, resampled

_ULTRALYTICS_PREFIX: dict[Kind, str] = {
    "bbox": "ultralytics_",
    "segm": "ultralytics_mask_",
    "keypoints": "ultralytics_pose_",
}


@dataclass(frozen=True)
class KindNumbers:
    """The results of one overlap: COCO's numbers, and metrics and intervals by key."""

    coco: CocoNumbers
    metrics: dict[str, float | None]
    intervals: dict[str, list[float] | None]


def kind_numbers(
    part: OverlapState, kind: Kind, num_classes: int, options: DetectionOptions
) -> KindNumbers:
    """Compute the average precisions of a whole set, ordered by image.

    Args:
        part: the set, measured by this overlap.
        kind: the overlap.
        num_classes: K.
        options: the settings of the metrics.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> numbers = kind_numbers(state, "bbox", 2, options_of(["bbox"], bootstrap=0))
        >>> round(numbers.metrics["mAP50"], 3), round(numbers.metrics["ultralytics_mAP50"], 4)
        (0.5, 0.4975)
    """
    coco = read_numbers(part.evaluator, kind, num_classes, options)
    prefix, suffix = PREFIX[kind], options.suffix(kind)
    sampling = options.sampling
    intervals = bootstrap_intervals(part, num_classes, resampled(part, sampling), sampling)
    return KindNumbers(
        coco,
        {prefix + key: value for key, value in coco.metrics.items()}
        | _ultralytics(part, _ULTRALYTICS_PREFIX[kind], num_classes),
        {prefix + key + suffix: value for key, value in intervals.items()},
    )


def class_numbers(numbers: Mapping[Kind, KindNumbers], class_id: int) -> dict[str, float | None]:
    """Return AP and AR of one class: ``AP``, ``AP50``, ``AR_100``, ``mask_AP`` ...

    Args:
        numbers: by overlap.
        class_id: 0 to K - 1.

    Returns:
        By key; None for a class without truths.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> numbers = kind_numbers(state, "bbox", 2, options_of(["bbox"], bootstrap=0))
        >>> round(class_numbers({"bbox": numbers}, 0)["AP50"], 3)
        1.0
    """
    result: dict[str, float | None] = {}
    for kind, of_kind in numbers.items():
        for key, values in of_kind.coco.per_class.items():
            name = key.replace("AP50-95", "AP")
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
