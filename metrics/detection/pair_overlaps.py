"""The overlaps of lists of (prediction, truth) pairs of one part, whatever the kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from snellen.metrics.detection.assignment import Ints
from snellen.metrics.detection.instances import Images, num_keypoints
from snellen.metrics.detection.overlaps import Floats, Kind, box_iou, keypoint_sigmas, mask_iou, oks

OKS_AREA = 0.53
"""Ultralytics' area of a pose: this share of its box."""

Overlap = Callable[[Ints, Ints], Floats]
"""From the indices of n predictions and n truths, n overlaps; predictions rise."""


def pair_overlaps(
    images: Images, kind: Kind, kpt_sigmas: Sequence[float] | None
) -> tuple[Overlap, Overlap | None]:
    """The overlap of lists of pairs, and Ultralytics' own where that is another one.

    Args:
        images: the part; predictions and truths are counted through all its images.
        kind: which overlap.
        kpt_sigmas: see `snellen.metrics.detection.overlaps.keypoint_sigmas`.

    Raises:
        ValueError: sigmas or numbers of keypoints that do not fit.
    """
    truths, found = images.truths, images.predictions
    if kind == "keypoints":
        sigmas = keypoint_sigmas(num_keypoints(images), kpt_sigmas)
        size = truths.boxes[:, 2:] - truths.boxes[:, :2]

        def similarity(areas: Floats) -> Overlap:
            assert found.keypoints is not None and truths.keypoints is not None
            points, true_points = found.keypoints, truths.keypoints
            return lambda d, g: oks(points[d], true_points[g], truths.boxes[g], areas[g], sigmas)

        return similarity(truths.area), similarity(size.prod(axis=1) * OKS_AREA)
    if kind == "segm":
        return _mask_overlap(images), None
    return lambda d, g: box_iou(found.boxes[d], truths.boxes[g], truths.crowd[g]), None


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
            # of an image whose pairs come in two chunks, only the predictions of this one
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
