"""COCO's metrics by hotcoco: evaluate parts, merge them and read the results.

hotcoco is a port of pycocotools with the same results to the last bit. This module converts its
input and names its results. Source of the formulas: https://cocodataset.org/#detection-eval.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from snellen.metrics.detection.annotations import box_results, results, true_annotations
from snellen.metrics.detection.options import DetectionOptions
from snellen.metrics.matching.instances import Images, num_keypoints
from snellen.metrics.matching.overlaps import Floats, Kind, keypoint_sigmas

if TYPE_CHECKING:
    from hotcoco import StreamingEval

AREAS: dict[Kind, tuple[str, ...]] = {
    "bbox": ("all", "small", "medium", "large"),
    "segm": ("all", "small", "medium", "large"),
    "keypoints": ("all", "medium", "large"),
}
"""COCO's areas, in its order: all, below 32^2, from 32^2 to 96^2 and above, in square pixels."""

_IOU50, _IOU75 = 0, 5


def evaluate(
    images: Images, kind: Kind, num_classes: int, options: DetectionOptions
) -> bytes | None:
    """Match one part by COCO's rules.

    Args:
        images: the part.
        kind: the overlap.
        num_classes: K.
        options: the limits on predictions and the falloffs of keypoints.

    Returns:
        The state of a `hotcoco.StreamingEval`; None for a part without instances, which adds
        nothing and, for poses, has no number of keypoints.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> from snellen.metrics.detection.options import options_of
        >>> state = evaluate(images, "bbox", 2, options_of(["bbox"]))
        >>> round(read_numbers(state, "bbox", 2, options_of(["bbox"])).metrics["mAP50"], 3)
        0.5
    """
    if not len(images.truths) and not len(images.predictions):
        return None
    evaluator = _evaluator(images, kind, num_classes, options)
    sizes = zip(*(a.tolist() for a in (images.index, images.height, images.width)), strict=True)
    evaluator.update(
        [{"id": index, "height": height, "width": width} for index, height, width in sizes],
        list(true_annotations(images, kind)),
        box_results(images) if kind == "bbox" else list(results(images)),
    )
    return evaluator.to_bytes()


def merge(states: Iterable[bytes | None]) -> bytes | None:
    """Merge the states of parts, with images in the order of their index.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> from snellen.metrics.detection.options import options_of
        >>> state = evaluate(images, "bbox", 2, options_of(["bbox"]))
        >>> merge([state, None]) == state
        True
    """
    some = [state for state in states if state is not None]
    if len(some) < 2:
        return some[0] if some else None
    from hotcoco import StreamingEval

    return StreamingEval.merge(StreamingEval.from_bytes(state) for state in some).to_bytes()


def _evaluator(
    images: Images, kind: Kind, num_classes: int, options: DetectionOptions
) -> StreamingEval:
    from hotcoco import Params, StreamingEval

    params = Params(kind)
    params.max_dets = list(options.limits(kind))
    if kind == "keypoints":
        points = num_keypoints(images)
        params.kpt_oks_sigmas = keypoint_sigmas(points, options.kpt_sigmas).tolist()
    categories = [{"id": number, "name": str(number)} for number in range(num_classes)]
    return StreamingEval(categories, kind, params=params)


@dataclass(frozen=True)
class CocoNumbers:
    """COCO's metrics of a set; None and NaN stand for COCO's -1, an undefined metric.

    Attributes:
        metrics: by key without prefix: ``mAP50-95``, ``mAR_100``, ...; with another last limit
            than 100 ``mAP50-95@500``, ``mAR_500``, ``mAR_small@500``, ...
        per_class: by key, float64, (K,), NaN for a class without truths.
        precision: float64, (K, 101): at the recalls 0, .01, ... 1 and IoU (OKS) .5.
    """

    metrics: dict[str, float | None]
    per_class: dict[str, Floats]
    precision: Floats


def read_numbers(
    state: bytes | None, kind: Kind, num_classes: int, options: DetectionOptions
) -> CocoNumbers:
    """Accumulate a merged state as pycocotools' ``accumulate`` and ``summarize`` do.

    Args:
        state: from `evaluate` or `merge`.
        kind: the overlap.
        num_classes: K.
        options: those of `evaluate`.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> from snellen.metrics.detection.options import options_of
        >>> state = evaluate(images, "bbox", 2, options_of(["bbox"]))
        >>> numbers = read_numbers(state, "bbox", 2, options_of(["bbox"]))
        >>> numbers.per_class["AP50"].round(3).tolist()
        [1.0, 0.0]
    """
    areas, limits = AREAS[kind], options.limits(kind)
    shape = (10, num_classes, len(areas), len(limits))
    if state is None:
        precision, recall = np.full((10, 101, *shape[1:]), -1.0), np.full(shape, -1.0)
    else:
        precision, recall = _accumulated(state)
    last, suffix = len(limits) - 1, options.suffix(kind)
    values: dict[str, npt.NDArray[np.float64]] = {
        f"AP50-95{suffix}": precision[:, :, :, 0, last],
        f"AP50{suffix}": precision[[_IOU50], :, :, 0, last],
        f"AP75{suffix}": precision[[_IOU75], :, :, 0, last],
    }
    for number, area in enumerate(areas[1:], start=1):
        values[f"AP_{area}{suffix}"] = precision[:, :, :, number, last]
    if kind == "keypoints":
        values["AR"] = recall[:, None, :, 0, last]
        values["AR50"] = recall[[_IOU50], None, :, 0, last]
        values["AR75"] = recall[[_IOU75], None, :, 0, last]
    else:
        for number, limit in enumerate(limits):
            values[f"AR_{limit}"] = recall[:, None, :, 0, number]
    for number, area in enumerate(areas[1:], start=1):
        values[f"AR_{area}{suffix}"] = recall[:, None, :, number, last]
    curve = precision[_IOU50, :, :, 0, last].T
    return CocoNumbers(
        {f"m{name}": _mean(array) for name, array in values.items()},
        {name: _class_means(array) for name, array in values.items()},
        np.where(curve < 0, np.nan, curve),
    )


def _accumulated(state: bytes) -> tuple[Floats, Floats]:
    from hotcoco import StreamingEval

    evaluation = StreamingEval.from_bytes(state).finalize()
    evaluation.accumulate()
    arrays = evaluation.eval
    if arrays is None:
        raise RuntimeError("hotcoco gave no result after accumulate()")
    return np.asarray(arrays["precision"]), np.asarray(arrays["recall"])


def _mean(array: Floats) -> float | None:
    known = array[array > -1]
    return float(known.mean()) if known.size else None


def _class_means(array: Floats) -> Floats:
    """Average (T, R, K) over thresholds and recalls, by class; NaN where COCO has -1."""
    known = (array > -1).all(axis=(0, 1))
    return np.where(known, np.where(known, array, 0.0).mean(axis=(0, 1)), np.nan)
