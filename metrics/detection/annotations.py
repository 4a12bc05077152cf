"""Truths and predictions as the annotations and results of a COCO dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from snellen.metrics.matching.instances import Images, Instances
from snellen.metrics.matching.overlaps import Floats, Kind, rles


def xywh(boxes: Floats) -> Floats:
    """Convert boxes from xyxy to COCO's left, top, width, height.

    Args:
        boxes: float64, (n, 4), pixels.

    Example:
        >>> xywh(np.array([[10.0, 20.0, 30.0, 60.0]])).tolist()
        [[10.0, 20.0, 20.0, 40.0]]
    """
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def box_results(images: Images) -> Floats:
    """Return the predicted boxes as COCO results.

    Returns:
        float64, (D, 7): image id, left, top, width, height, score, category.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> box_results(images)[2].round(2).tolist()
        [1.0, 40.0, 40.0, 10.0, 9.0, 0.6, 1.0]
    """
    found = images.predictions
    columns = [images.index[found.row], *xywh(found.boxes).T, found.confidence, found.class_id]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def true_annotations(images: Images, kind: Kind) -> Iterator[dict[str, Any]]:
    """Yield the truths as COCO annotations, numbered from 1; image ids are the image index.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> [one["bbox"] for one in true_annotations(images, "bbox")]
        [[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 10.0, 10.0]]
    """
    truths = images.truths
    boxes, ignored = xywh(truths.boxes).tolist(), truths.ignored.tolist()
    ignore = (truths.ignore & ~truths.crowd).tolist()
    for i, (row, class_id) in enumerate(_places(truths)):
        annotation: dict[str, Any] = {
            "id": i + 1,  # pycocotools treats a match with 0 as none
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
    """Yield the predicted masks or poses as COCO results.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.matching.instances import read_images
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> next(results(images))["category_id"]
        0
    """
    # without "bbox" COCO takes the area of a result from its mask or keypoints
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
