"""Truths and predictions as the annotations and results of a COCO data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from snellen.metrics.matching.instances import Images, Instances
from snellen.metrics.matching.overlaps import Floats, Kind, rles


def xywh(boxes: Floats) -> Floats:
    """Boxes (n, 4) from xyxy to COCO's left, top, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def box_results(images: Images) -> Floats:
    """Predicted boxes as rows of image id, left, top, width, height, score, category: (D, 7)."""
    found = images.predictions
    columns = [images.index[found.row], *xywh(found.boxes).T, found.confidence, found.class_id]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def true_annotations(images: Images, kind: Kind) -> Iterator[dict[str, Any]]:
    """Truths as COCO annotations, numbered from 1; image ids are the image index."""
    truths = images.truths
    boxes, ignored = xywh(truths.boxes).tolist(), truths.ignored.tolist()
    ignore = (truths.ignore & ~truths.crowd).tolist()
    for i, (row, class_id) in enumerate(_places(truths)):
        annotation: dict[str, Any] = {
            "id": i + 1,  # pycocotools takes a match with 0 for none
            "image_id": int(images.index[row]),
            "category_id": class_id,
            "bbox": boxes[i],
            # pycocotools overwrites the field "ignore"; an area outside every range is what
            # it ignores (for poses: no keypoints)
            "area": -1.0 if ignore[i] and kind != "keypoints" else float(truths.area[i]),
            "iscrowd": int(truths.crowd[i]),
        }
        if truths.masks is not None:
            annotation["segmentation"] = _mask(images, row, truths.masks[i])
        if truths.keypoints is not None:
            annotation["keypoints"] = truths.keypoints[i].ravel().tolist()
            seen = int((truths.keypoints[i, :, 2] > 0).sum())
            annotation["num_keypoints"] = 0 if ignored[i] else seen
        yield annotation


def results(images: Images) -> Iterator[dict[str, Any]]:
    """Predicted masks or poses as COCO results."""
    # without "bbox": COCO's area of a result is that of its mask or keypoints then
    found = images.predictions
    for i, (row, class_id) in enumerate(_places(found)):
        result: dict[str, Any] = {
            "image_id": int(images.index[row]),
            "category_id": class_id,
            "score": float(found.confidence[i]),
        }
        if found.masks is not None:
            result["segmentation"] = _mask(images, row, found.masks[i])
        if found.keypoints is not None:
            result["keypoints"] = found.keypoints[i].ravel().tolist()
        yield result


def _places(instances: Instances) -> Iterator[tuple[int, int]]:
    return zip(instances.row.tolist(), instances.class_id.tolist(), strict=True)


def _mask(images: Images, row: int, mask: bytes) -> dict[str, Any]:
    return rles([mask], int(images.height[row]), int(images.width[row]))[0]
