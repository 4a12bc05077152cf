"""Conversion of COCO annotations to the ground truth of an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snellen.adapters.errors import ErrorCode
from snellen.pipelines.data.sources.annotations import (
    LabelProblem,
    Targets,
    TrueBox,
    keypoints_of,
    mask_area,
    mask_box,
    mask_of_polygons,
    mask_of_rle,
)
from snellen.pipelines.data.sources.casts import as_flag, as_integer, as_number, as_numbers
from snellen.pipelines.data.sources.coco.frames import Frame

Record = dict[str, Any]
Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """Reader of the objects of one dataset.

    Attributes:
        class_ids: from the id of a category to the position of its name.
        masks: read the outlines; a broken one makes a failed row of its image.
        keypoints: number of keypoints per object; None to read none.
    """

    class_ids: dict[int, int]
    masks: bool
    keypoints: int | None

    def read(
        self, annotations: Sequence[Record], frame: Frame | None
    ) -> tuple[Targets | LabelProblem, Counter[str]]:
        """Convert the annotations of one image.

        Args:
            annotations: of the image, all with a known category.
            frame: the picture that they refer to; None if its size is unknown.

        Returns:
            The ground truth, and the numbers of repaired annotations by reason. Its masks are
            None if any object has no outline.
        """
        repaired: Counter[str] = Counter()
        found = Targets(
            masks=[] if self.masks else None,
            keypoints=[] if self.keypoints else None,
            size=None if frame is None else frame.size,
        )
        try:
            for annotation in annotations:
                reading = _Annotation(annotation, frame, repaired)
                self._add(found, reading)
        except LabelProblem as problem:
            return problem, Counter()
        if frame is not None and frame.repair is not None:
            repaired[frame.repair] += len(annotations)
        return found, repaired

    def _add(self, found: Targets, one: _Annotation) -> None:
        category = as_integer(one.record.get("category_id"))
        if category is None:
            raise one.problem(f"category_id is {one.record.get('category_id')!r}")
        mask = one.mask() if self.masks else None
        found.boxes.append(one.box(self.class_ids[category]))
        if mask is None:
            found.masks = None
        elif found.masks is not None:
            found.masks.append(mask)
        if found.keypoints is not None and self.keypoints is not None:
            found.keypoints.append(one.keypoints(self.keypoints))


class _Annotation:
    """One annotation of an image; its outline is read once, and only if it is needed."""

    def __init__(self, record: Record, frame: Frame | None, repaired: Counter[str]) -> None:
        self.record = record
        self._frame = frame
        self._repaired = repaired
        self._where = f"annotation {record.get('id')}"
        self._mask: bytes | None = None
        self._outline: list[list[float]] = []
        self._is_read = False

    def problem(self, message: str) -> LabelProblem:
        return LabelProblem(ErrorCode.LABEL_INVALID, f"{self._where}: {message}")

    def mask(self) -> bytes | None:
        """Return the compressed RLE of the outline at the upright size; None without outline."""
        if not self._is_read:
            self._is_read = True
            self._mask = self._read_mask()
        return self._mask

    def _read_mask(self) -> bytes | None:
        outline = self.record.get("segmentation")
        if outline in (None, [], {}, ""):
            return None
        if self._frame is None:
            raise self.problem("the outline needs the width and the height of the image")
        width, height = self._frame.labelled_size
        try:
            if isinstance(outline, dict):
                return self._frame.mask(mask_of_rle(outline, height, width))
            self._outline = self._frame.polygons(self._polygons(outline))
            upright_width, upright_height = self._frame.size
            return mask_of_polygons(self._outline, upright_height, upright_width)
        except LabelProblem as problem:
            raise self.problem(str(problem)) from None

    def _polygons(self, outline: Any) -> list[list[float]]:
        if not isinstance(outline, list):
            raise LabelProblem(
                ErrorCode.LABEL_INVALID,
                f"segmentation is {outline!r}. Expected a list of polygons, or RLE",
            )
        if not any(isinstance(one, list) for one in outline):
            self._repaired["flat_outline"] += 1
            outline = [outline]
        polygons = [as_numbers(one, "a polygon of segmentation") for one in outline]
        if any(len(one) < 6 or len(one) % 2 for one in polygons):
            raise LabelProblem(
                ErrorCode.LABEL_INVALID,
                "a polygon has fewer than three points, or an odd number of values",
            )
        return polygons

    def box(self, class_id: int) -> dict[str, Any]:
        """Return the box as an element of the column ``true_boxes``."""
        record = self.record
        crowd, ignore = (
            as_flag(record.get(key), f"{self._where}: {key}") for key in ("iscrowd", "ignore")
        )
        area = self._stated_area()
        corners = self._corners()
        if area == 0 and corners[2] > corners[0] and corners[3] > corners[1]:
            area = None
        if area is None:
            area = self._area_of_outline()
        if area is None:
            self._repaired["area_from_box"] += 1
        return TrueBox(class_id, corners, area, crowd, ignore).to_row(self._where)

    def _stated_area(self) -> float | None:
        area = self.record.get("area")
        return None if area is None else as_number(area, f"{self._where}: area")

    def _area_of_outline(self) -> float | None:
        try:
            mask = self.mask()
        except LabelProblem:
            return None  # where masks are scored, the broken outline is an error already
        if mask is None or self._frame is None:
            return None
        self._repaired["area_from_outline"] += 1
        width, height = self._frame.size
        return mask_area(mask, height, width)

    def _corners(self) -> Corners:
        written = self.record.get("bbox")
        if written in (None, []):
            return self._corners_of_outline()
        values = as_numbers(written, f"{self._where}: bbox")
        if len(values) != 4:
            raise self.problem(f"bbox has {len(values)} values. Expected x, y, width, height")
        x, y, width, height = values
        if width < 0 or height < 0:
            raise self.problem("the box has a negative size")
        corners = (x, y, x + width, y + height)
        return corners if self._frame is None else self._frame.corners(corners)

    def _corners_of_outline(self) -> Corners:
        mask = self.mask()
        if mask is None or self._frame is None:
            raise self.problem("it has neither a box nor an outline. Expected bbox")
        self._repaired["box_from_outline"] += 1
        if not self._outline:
            width, height = self._frame.size
            return mask_box(mask, height, width)
        xs = [x for polygon in self._outline for x in polygon[::2]]
        ys = [y for polygon in self._outline for y in polygon[1::2]]
        return min(xs), min(ys), max(xs), max(ys)

    def keypoints(self, count: int) -> list[dict[str, float]]:
        """Return the keypoints; an object without any has zeros, which are not scored."""
        written = self.record.get("keypoints")
        if written in (None, []):
            self._repaired["keypoints_missing"] += 1
            return keypoints_of([0.0] * (3 * count))
        values = as_numbers(written, f"{self._where}: keypoints")
        if len(values) != 3 * count:
            raise self.problem(
                f"the keypoints are malformed: {len(values)} values. Expected {count} x 3"
            )
        points = keypoints_of(values, where=self._where)
        for point in points:
            if self._frame is not None and (point["x"], point["y"], point["v"]) != (0, 0, 0):
                point["x"], point["y"] = self._frame.points([point["x"], point["y"]])
        return points
