"""The overlaps of lists of (prediction, truth) pairs of one part, of any kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from snellen.metrics.matching.assignment import Ints
from snellen.metrics.matching.instances import Images, num_keypoints
from snellen.metrics.matching.overlaps import Floats, Kind, box_iou, keypoint_sigmas, mask_iou, oks

ULTRALYTICS_AREA = 0.53
"""Ultralytics' area of a pose as a share of its box."""

Overlap = Callable[[Ints, Ints], Floats]
"""From the indices of n predictions (rising) and n truths to their n overlaps."""


def pair_overlap(images: Images, kind: Kind, sigmas: Sequence[float] | None) -> Overlap:
    """Return the function that computes the overlaps of pairs, by COCO's definitions.

    Args:
        images: the part; predictions and truths are indexed through all its images.
        kind: the overlap.
        sigmas: see `snellen.metrics.matching.overlaps.keypoint_sigmas`.

    Raises:
        ValueError: sigmas or numbers of keypoints that do not fit.
    """
    truths, found = images.truths, images.predictions
    if kind == "keypoints":
        return _similarity(images, truths.area, sigmas)
    if kind == "segm":
        return _mask_overlap(images)
    return lambda d, g: box_iou(found.boxes[d], truths.boxes[g], truths.crowd[g])


def ultralytics_pose_overlap(images: Images, sigmas: Sequence[float] | None) -> Overlap:
    """Return the function that computes OKS with Ultralytics' area; see `pair_overlap`."""
    boxes = images.truths.boxes
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * ULTRALYTICS_AREA
    return _similarity(images, areas, sigmas)


def _similarity(images: Images, areas: Floats, sigmas: Sequence[float] | None) -> Overlap:
    points, true_points = images.predictions.keypoints, images.truths.keypoints
    assert points is not None and true_points is not None
    boxes, falloff = images.truths.boxes, keypoint_sigmas(num_keypoints(images), sigmas)
    return lambda d, g: oks(points[d], true_points[g], boxes[g], areas[g], falloff)


def _mask_overlap(images: Images) -> Overlap:
    truths, found = images.truths, images.predictions
    rows = np.arange(len(images.index) + 1)
    edges = np.searchsorted(truths.row, rows)

    def overlap(d: Ints, g: Ints) -> Floats:
        values = np.zeros(len(d))
        assert found.masks is not None and truths.masks is not None
        starts = np.flatnonzero(np.diff(found.row[d], prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(d)], strict=True):
            row = int(found.row[d[start]])
            # the pairs of an image may come in two chunks: take only the predictions of this one
            first, last = int(d[start]), int(d[stop - 1]) + 1
            low, high = int(edges[row]), int(edges[row + 1])
            matrix = mask_iou(
                found.masks[first:last],
                truths.masks[low:high],
                truths.crowd[low:high],
                int(images.height[row]),
                int(images.width[row]),
            )
            values[start:stop] = matrix[d[start:stop] - first, g[start:stop] - low]
        return values

    return overlap
