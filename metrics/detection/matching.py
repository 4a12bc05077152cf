"""From result rows to the mergeable state of detection, segmentation and pose metrics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from snellen.metrics.detection import coco
from snellen.metrics.detection.annotations import ignored_truths
from snellen.metrics.detection.assignment import (
    IOU_THRESHOLDS,
    Ints,
    Pairs,
    greedy,
    image_pairs,
    ranks,
)
from snellen.metrics.detection.instances import Images, Instances, read_images
from snellen.metrics.detection.options import DetectionOptions
from snellen.metrics.detection.overlaps import Bools, Kind
from snellen.metrics.detection.pair_overlaps import pair_overlaps
from snellen.metrics.detection.state import DETECTION, TRUTH, DetectionState, OverlapState
from snellen.metrics.detection.tide import BACKGROUND, TideErrors, tide_errors


@dataclass(frozen=True)
class Matched:
    """One part, matched by all rules for one overlap.

    Attributes:
        images: the part.
        ignored: bool, (G,), truths that are neither found nor missed.
        order: (D,), position by falling confidence in the image.
        rank: (D,), the same in the image and class.
        pairs: all pairs of an image that overlap enough for any rule.
        same_class: bool, (P,): whether the two of a pair have one class.
        coco: (D, 10), the truth matched at COCO's thresholds, -1 for none.
        operating: (D,), the same at the operating point's overlap.
        ultralytics: bool, (D, 10).
        tide: at the operating point's overlap.
    """

    images: Images
    ignored: Bools
    order: Ints
    rank: Ints
    pairs: Pairs
    same_class: Bools
    coco: Ints
    operating: Ints
    ultralytics: Bools
    tide: TideErrors


def count(table: pa.Table, num_classes: int, options: DetectionOptions) -> DetectionState:
    """Count one part: the rows of a result file that have status ``ok`` and a truth.

    Args:
        table: with the columns of `snellen.metrics.detection.instances.instance_columns`.
        num_classes: K.
        options: what to measure.

    Raises:
        ValueError: see `snellen.metrics.detection.instances.read_images`.
    """
    overlaps = {}
    for kind in options.kinds:
        matched = match(read_images(table, kind, num_classes), kind, options)
        evaluator = coco.evaluate(matched.images, kind, num_classes, options)
        overlaps[kind] = _overlap_state(matched, evaluator, options.limits(kind)[-1], num_classes)
    # the last kind is the task's own
    cells = confusion_cells(matched, num_classes, options)
    values, counts = np.unique(cells, return_counts=True)
    return DetectionState(num_classes, overlaps, values, counts.astype(np.int64))


def match(images: Images, kind: Kind, options: DetectionOptions) -> Matched:
    """Match the predictions of a part with its truths, by COCO's, Ultralytics' and TIDE's rules."""
    truths, found = images.truths, images.predictions
    ignored = ignored_truths(truths)
    overlap, plain = pair_overlaps(images, kind, options.kpt_sigmas)
    floor = min(BACKGROUND, options.operating_iou)
    pairs = image_pairs(found.row, truths.row, overlap, floor)
    same = found.class_id[pairs.prediction] == truths.class_id[pairs.truth]
    of_class = pairs.where(same)
    classes = 1 + int(max(found.class_id.max(initial=0), truths.class_id.max(initial=0)))
    rank = ranks(found.row * classes + found.class_id)
    thresholds = np.append(IOU_THRESHOLDS, options.operating_iou)
    matched = greedy(of_class, rank, thresholds, ignored, truths.crowd)
    operating, order = matched[:, -1], ranks(found.row)
    errors = tide_errors(
        pairs, same, operating, order, truths.class_id, ignored, options.operating_iou
    )
    if plain is not None:
        of_class = image_pairs(found.row, truths.row, plain, IOU_THRESHOLDS[0] - 1e-3)
        of_class = of_class.where(
            found.class_id[of_class.prediction] == truths.class_id[of_class.truth]
        )
    return Matched(
        images,
        ignored,
        order,
        rank,
        pairs,
        same,
        matched[:, :-1],
        operating,
        _ultralytics(of_class, rank, truths),
        errors,
    )


def _ultralytics(pairs: Pairs, rank: Ints, truths: Instances) -> Bools:
    findable = ~(truths.crowd | truths.ignore)
    if truths.keypoints is not None:
        # it counts a pose without visible points, and finds it overlapped by nothing
        findable = findable & (truths.keypoints[..., 2] > 0).any(axis=-1)
    pairs = pairs.where(findable[pairs.truth])
    # float32, and the first of equal overlaps: the truths are presented in reverse
    order = np.lexsort((-pairs.truth, pairs.prediction))
    overlap = pairs.overlap[order].astype(np.float32)
    turned = Pairs(pairs.prediction[order], pairs.truth[order], overlap)
    none = np.zeros(len(truths), dtype=np.bool_)
    matched = greedy(turned, rank, IOU_THRESHOLDS.astype(np.float32), none, none)
    return np.asarray(matched >= 0)


def _overlap_state(
    matched: Matched, evaluator: bytes | None, limit: int, num_classes: int
) -> OverlapState:
    images, found = matched.images, matched.images.predictions
    bits = 1 << np.arange(len(IOU_THRESHOLDS), dtype=np.uint16)
    skipped = (matched.coco >= 0) & np.append(matched.ignored, False)[matched.coco]
    detections = np.zeros(len(found), dtype=DETECTION)
    detections["image"] = images.index[found.row]
    detections["class_id"] = found.class_id
    detections["confidence"] = found.confidence
    detections["hit"] = ((matched.coco >= 0) * bits).sum(axis=1)
    detections["skip"] = (skipped * bits).sum(axis=1)
    detections["ultralytics"] = (matched.ultralytics * bits).sum(axis=1)
    detections["within"] = matched.rank < limit
    detections["tide"] = matched.tide.bucket
    detections["tide_class"] = matched.tide.fixed_class
    return OverlapState(evaluator, images.index, detections, _truths(matched, num_classes))


def _truths(matched: Matched, num_classes: int) -> npt.NDArray[np.void]:
    images, truths = matched.images, matched.images.truths
    groups, place = np.unique(truths.row * num_classes + truths.class_id, return_inverse=True)
    row, class_id = np.divmod(groups, num_classes)
    result = np.zeros(len(groups), dtype=TRUTH)
    result["image"], result["class_id"] = images.index[row], class_id
    np.add.at(result["counted"], place, ~matched.ignored)
    np.add.at(result["labelled"], place, ~(truths.crowd | truths.ignore))
    np.add.at(result["missed"], place, matched.tide.missed)
    return result


def confusion_cells(matched: Matched, num_classes: int, options: DetectionOptions) -> Ints:
    """The cells of the confusion matrix of a part, by the rule of `matching.confusion_pairs`.

    Returns:
        int64, (c,): ``true * (K + 1) + predicted`` of each pair, with K the background.
    """
    truths, found = matched.images.truths, matched.images.predictions
    sure = found.confidence >= np.float32(options.operating_confidence)
    first = np.where(sure, matched.operating, -1)
    taken = matched.ignored.copy()
    taken[first[first >= 0]] = True
    free = sure & (first < 0)
    rest = matched.pairs.where(free[matched.pairs.prediction] & ~taken[matched.pairs.truth])
    threshold = np.array([options.operating_iou])
    second = greedy(rest, matched.order, threshold, taken, np.zeros_like(taken))[:, 0]
    partner = np.where(first >= 0, first, second)
    counted = sure & ~((first >= 0) & np.append(matched.ignored, False)[first])
    true = np.where(partner >= 0, np.append(truths.class_id, -1)[partner], num_classes)
    missed = ~matched.ignored
    missed[partner[partner >= 0]] = False
    return np.concatenate(
        [
            true[counted] * (num_classes + 1) + found.class_id[counted],
            truths.class_id[missed] * (num_classes + 1) + num_classes,
        ]
    )
