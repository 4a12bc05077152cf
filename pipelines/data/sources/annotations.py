"""Ground truth boxes, masks and keypoints of an image, in the shapes of the manifest's columns.

Coordinates are absolute pixels of the upright image; class ids are the dataset's own, positions in
``DatasetInfo.classes``. Unusable labels raise a ``LabelProblem``, which becomes the failed row of
the image: excluded from the metrics and counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from snellen.adapters.errors import ErrorCode

Polygon = Sequence[float]
"""x1, y1, x2, y2, ... in absolute pixels, at least three points."""


class LabelProblem(Exception):  # noqa: N818 - a problem of the data
    """Labels of an image that cannot be used."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.text = f"{code}: {message}"


@dataclass(slots=True)
class Targets:
    """The ground truth of one image, in the shapes of the manifest's columns.

    Attributes:
        boxes: from `TrueBox.to_row`.
        masks: COCO compressed RLE at (height, width), parallel to the boxes; None without masks.
        keypoints: lists of dicts of x, y, v (0, 1, 2), parallel to the boxes; None without.
        size: width and height of the upright image that the coordinates refer to, in pixels;
            None if unknown.
    """

    boxes: list[dict[str, Any]] = field(default_factory=list)
    masks: list[bytes] | None = None
    keypoints: list[list[dict[str, float]]] | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class TrueBox:
    """A ground truth box.

    Attributes:
        class_id: position in the dataset's classes.
        corners: x1, y1, x2, y2.
        area: in pixels; None for the area of the box itself.
        is_crowd, ignore: as COCO defines them.
    """

    class_id: int
    corners: tuple[float, float, float, float]
    area: float | None = None
    is_crowd: bool = False
    ignore: bool = False

    def to_row(self, where: str) -> dict[str, Any]:
        """Return the box as an element of the column ``true_boxes``.

        Args:
            where: name of the annotation, for messages.

        Raises:
            LabelProblem: LABEL_INVALID for coordinates that are not finite, or a negative size.
        """
        x1, y1, x2, y2 = self.corners
        if not all(math.isfinite(value) for value in self.corners):
            raise LabelProblem(ErrorCode.LABEL_INVALID, f"{where}: a coordinate is not finite")
        if x2 < x1 or y2 < y1:
            raise LabelProblem(ErrorCode.LABEL_INVALID, f"{where}: the box has a negative size")
        area = (x2 - x1) * (y2 - y1) if self.area is None else self.area
        if not math.isfinite(area) or area < 0:
            raise LabelProblem(ErrorCode.LABEL_INVALID, f"{where}: the area is {area}")
        return {
            "class_id": self.class_id,
            "x1": x1,
            "y1": y1,
            "x2": x2,
            "y2": y2,
            "area": area,
            "is_crowd": self.is_crowd,
            "ignore": self.ignore,
        }


def mask_of_polygons(polygons: Sequence[Polygon], height: int, width: int) -> bytes:
    """Return the COCO compressed RLE of the union of polygons, at (height, width).

    Raises:
        LabelProblem: LABEL_INVALID for a polygon with fewer than three points, or a coordinate
            that is not finite.
    """
    from hotcoco import mask

    if not polygons or any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise LabelProblem(ErrorCode.LABEL_INVALID, "a polygon has fewer than three points")
    numbers = [[float(v) for v in polygon] for polygon in polygons]
    if not all(math.isfinite(value) for polygon in numbers for value in polygon):
        raise LabelProblem(ErrorCode.LABEL_INVALID, "a polygon's coordinate is not finite")
    parts = mask.frPyObjects(numbers, height, width)
    merged = parts[0] if len(parts) == 1 else mask.merge(parts)
    return _counts(merged)


def mask_of_rle(segmentation: dict[str, Any], height: int, width: int) -> bytes:
    """Return the COCO compressed RLE of a compressed or an uncompressed one.

    Raises:
        LabelProblem: LABEL_INVALID if its size is not (height, width), or its runs do not fill
            the image.
    """
    from hotcoco import mask

    if list(segmentation.get("size", [])) != [height, width]:
        raise LabelProblem(
            ErrorCode.LABEL_INVALID,
            f"the mask has the size {segmentation.get('size')}, the image {[height, width]}",
        )
    counts = segmentation.get("counts")
    if isinstance(counts, str) and counts.isascii():
        counts = counts.encode()
    runs = _runs(counts) if isinstance(counts, bytes) else counts
    if (
        not isinstance(runs, list)
        or not all(isinstance(run, int) and run >= 0 for run in runs)
        or sum(runs) != height * width
    ):
        raise LabelProblem(ErrorCode.LABEL_INVALID, "the mask's runs do not fill the image")
    if isinstance(counts, bytes):
        return counts
    return _counts(mask.frPyObjects(segmentation, height, width))


def _runs(counts: bytes) -> list[int]:
    """Decode a compressed RLE: five bits per character, differences from the third run on."""
    runs: list[int] = []
    value = shift = 0
    for char in counts:
        bits = char - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs


def mask_area(counts: bytes, height: int, width: int) -> float:
    """Count the pixels of a mask."""
    from hotcoco import mask

    return float(mask.area({"size": [height, width], "counts": counts}))


def mask_box(counts: bytes, height: int, width: int) -> tuple[float, float, float, float]:
    """Return the corners x1, y1, x2, y2 of the smallest box around a mask."""
    from hotcoco import mask

    x, y, w, h = (float(v) for v in mask.toBbox({"size": [height, width], "counts": counts}))
    return x, y, x + w, y + h


def _counts(rle: Any) -> bytes:
    counts = rle["counts"]
    return counts.encode() if isinstance(counts, str) else bytes(counts)


def keypoints_of(values: Sequence[float], *, where: str = "") -> list[dict[str, float]]:
    """Return keypoints from x, y, v triples.

    Raises:
        LabelProblem: LABEL_INVALID for a number of values that is not a multiple of three, or for
            values that are not finite.
    """
    if len(values) % 3 or not all(math.isfinite(value) for value in values):
        raise LabelProblem(ErrorCode.LABEL_INVALID, f"{where}: the keypoints are malformed")
    return [
        {"x": float(x), "y": float(y), "v": float(v)}
        for x, y, v in zip(values[::3], values[1::3], values[2::3], strict=True)
    ]


def target_columns(found: Sequence[Targets | LabelProblem]) -> dict[str, list[Any]]:
    """Return the label columns of the manifest for a batch of images."""
    good = [one if isinstance(one, Targets) else None for one in found]
    sizes = [one.size if one is not None and one.size else (None, None) for one in good]
    return {
        "true_boxes": [None if one is None else one.boxes for one in good],
        "true_masks": [None if one is None else one.masks for one in good],
        "true_keypoints": [None if one is None else one.keypoints for one in good],
        "label_width": [width for width, _ in sizes],
        "label_height": [height for _, height in sizes],
        "label_error": [one.text if isinstance(one, LabelProblem) else None for one in found],
    }
