"""Count result rows: from a result file to the mergeable state of detection metrics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from snellen.metrics.detection import coco
from snellen.metrics.detection.confusion import confusion_cells
from snellen.metrics.detection.options import DetectionOptions
from snellen.metrics.detection.rules import Matched, match
from snellen.metrics.detection.state import DETECTION, TRUTH, DetectionState, OverlapState
from snellen.metrics.matching.assignment import IOU_THRESHOLDS, Ints
from snellen.metrics.matching.instances import read_images
from snellen.metrics.matching.overlaps import Kind
from snellen.metrics.statistics.groups import Keys, group_keys


def count(table: pa.Table, num_classes: int, options: DetectionOptions) -> DetectionState:
    """Count the rows of one result file that have status ``ok`` and ground truth.

    Args:
        table: with the columns of `snellen.metrics.matching.instances.instance_columns`, and with
            groups also ``image_id`` and the column of the groups.
        num_classes: K.
        options: the settings of the metrics.

    Raises:
        ValueError: see `snellen.metrics.matching.instances.read_images`.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.detection.options import options_of
        >>> state = count(detection_rows(), 2, options_of(["bbox"]))
        >>> state.scored, state.cells.tolist()
        (2, [0, 3, 7])
    """
    images = {kind: read_images(table, kind, num_classes) for kind in options.kinds}
    chosen = {kind: part.of_classes(options.class_ids) for kind, part in images.items()}
    matched = {kind: match(part, kind, options) for kind, part in chosen.items()}
    overlaps = {
        kind: _overlap_state(matched[kind], kind, num_classes, options) for kind in options.kinds
    }
    if options.group is not None:
        overlaps = {
            kind: replace(part, groups=_groups(table, part.images, options.group))
            for kind, part in overlaps.items()
        }
    cells = confusion_cells(matched[options.own], num_classes, options)
    values, counts = np.unique(cells, return_counts=True)
    excluded = len(images["bbox"].truths) - len(chosen["bbox"].truths)
    return DetectionState(num_classes, overlaps, values, counts.astype(np.int64), excluded)


def _groups(table: pa.Table, images: Ints, column: str) -> Keys:
    """Return the group of each evaluated image of a part."""
    index = table["image_index"].to_numpy()
    order = np.argsort(index)
    return group_keys(table, column)[order[np.searchsorted(index, images, sorter=order)]]


def _overlap_state(
    matched: Matched, kind: Kind, num_classes: int, options: DetectionOptions
) -> OverlapState:
    evaluator = coco.evaluate(matched.candidates.images, kind, num_classes, options)
    return replace(error_state(matched, kind, num_classes, options), evaluator=evaluator)


def error_state(
    matched: Matched, kind: Kind, num_classes: int, options: DetectionOptions
) -> OverlapState:
    """Count matched predictions for TIDE alone, without COCO's evaluator.

    Args:
        matched: a part.
        kind: the overlap that it was matched by.
        num_classes: K.
        options: those that it was matched with.
    """
    return OverlapState(
        None,
        matched.candidates.images.index,
        _detections(matched, options.limits(kind)[-1]),
        _truths(matched, num_classes),
    )


def _detections(matched: Matched, limit: int) -> npt.NDArray[np.void]:
    candidates = matched.candidates
    images, found = candidates.images, candidates.images.predictions
    bits = 1 << np.arange(len(IOU_THRESHOLDS), dtype=np.uint16)
    skipped = (matched.coco >= 0) & np.append(candidates.ignored, False)[matched.coco]
    detections = np.zeros(len(found), dtype=DETECTION)
    detections["image"] = images.index[found.row]
    detections["class_id"] = found.class_id
    detections["confidence"] = found.confidence
    detections["hit"] = ((matched.coco >= 0) * bits).sum(axis=1)
    detections["skip"] = (skipped * bits).sum(axis=1)
    detections["ultralytics"] = (matched.ultralytics * bits).sum(axis=1)
    detections["within"] = candidates.rank < limit
    detections["tide"] = matched.tide.bucket
    detections["tide_class"] = matched.tide.fixed_class
    return detections


def _truths(matched: Matched, num_classes: int) -> npt.NDArray[np.void]:
    candidates = matched.candidates
    images, truths = candidates.images, candidates.images.truths
    groups, place = np.unique(truths.row * num_classes + truths.class_id, return_inverse=True)
    row, class_id = np.divmod(groups, num_classes)
    result = np.zeros(len(groups), dtype=TRUTH)
    result["image"], result["class_id"] = images.index[row], class_id
    np.add.at(result["counted"], place, ~candidates.ignored)
    np.add.at(result["labelled"], place, ~(truths.crowd | truths.ignore))
    np.add.at(result["missed"], place, matched.tide.missed)
    return result
