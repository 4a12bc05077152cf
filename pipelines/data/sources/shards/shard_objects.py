"""Objects of an image in a tar shard: a JSON document with boxes, masks and keypoints in pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.adapters.errors import ErrorCode
from snellen.pipelines.data.sources.annotations import (
    LabelProblem,
    Targets,
    TrueBox,
    keypoints_of,
    mask_area,
    mask_of_polygons,
)
from snellen.pipelines.data.sources.casts import as_flag, as_integer, as_number, as_numbers


@dataclass(frozen=True, slots=True)
class ObjectDocument:
    """A document with ``boxes`` as in the result rows, and optionally more.

    Attributes:
        document: ``boxes``; ``masks``, a list of polygons per box; ``keypoints``, a list of
            [x, y, v] per box; ``height`` and ``width`` of the image, which masks need.
    """

    document: Mapping[str, Any]

    def targets(self, reads: Callable[[str], bool]) -> Targets | LabelProblem:
        """Convert the document to the ground truth of the image, or say why it cannot be used.

        Args:
            reads: True for "masks" and "keypoints" if they have to be read.
        """
        try:
            return self._targets(reads)
        except LabelProblem as problem:
            return problem

    def _targets(self, reads: Callable[[str], bool]) -> Targets:
        boxes = self._list("boxes")
        width, height = (as_integer(self.document.get(key)) for key in ("width", "height"))
        found = Targets(size=(width, height) if width and height else None)
        if reads("masks") and self.document.get("masks") is not None:
            found.masks = self._masks(found.size)
        if reads("keypoints") and self.document.get("keypoints") is not None:
            found.keypoints = _keypoints(self._list("keypoints"))
        areas: list[float | None] = [None] * len(boxes)
        if found.masks is not None and found.size is not None and len(found.masks) == len(boxes):
            areas = [mask_area(mask, found.size[1], found.size[0]) for mask in found.masks]
        found.boxes = [
            _box(box, area, f"box {number}")
            for number, (box, area) in enumerate(zip(boxes, areas, strict=True))
        ]
        return found

    def _masks(self, size: tuple[int, int] | None) -> list[bytes] | None:
        outlines = self._list("masks")
        if any(outline is None for outline in outlines):
            return None  # boxes without outlines
        if size is None and outlines:
            raise _invalid("masks need the width and the height of the image")
        width, height = size or (0, 0)
        return [
            mask_of_polygons(_polygons(outline, f"mask {number}"), height, width)
            for number, outline in enumerate(outlines)
        ]

    def _list(self, key: str) -> list[Any]:
        values = self.document.get(key)
        if not isinstance(values, list):
            raise _invalid(f"{key} is {values!r}. Expected a list")
        return values


def _box(box: Any, area: float | None, where: str) -> dict[str, Any]:
    if not isinstance(box, dict):
        raise _invalid(f"{where} is {box!r}. Expected class_id, x1, y1, x2 and y2")
    class_id = as_integer(box.get("class_id"))
    if class_id is None:
        raise _invalid(f"{where}: class_id is {box.get('class_id')!r}. Expected an integer")
    x1, y1, x2, y2 = (
        as_number(box.get(key), f"{where}: {key}") for key in ("x1", "y1", "x2", "y2")
    )
    if box.get("area") is not None:
        area = as_number(box["area"], f"{where}: area")
    crowd, ignore = (as_flag(box.get(key), f"{where}: {key}") for key in ("is_crowd", "ignore"))
    return TrueBox(class_id, (x1, y1, x2, y2), area, crowd, ignore).to_row(where)


def _polygons(outline: Any, where: str) -> list[list[float]]:
    if not isinstance(outline, list):
        raise _invalid(f"{where} is {outline!r}. Expected a list of polygons")
    return [as_numbers(polygon, where) for polygon in outline]


def _keypoints(objects: Sequence[Any]) -> list[list[dict[str, float]]] | None:
    """Return the keypoints of each object; one without any has zeros, which are not scored."""
    flat = [
        [value for point in points or () for value in as_numbers(point, f"keypoints {number}")]
        for number, points in enumerate(objects)
    ]
    lengths = {len(values) for values in flat if values}
    if len(lengths) > 1:
        raise _invalid(
            f"objects have {sorted(n // 3 for n in lengths)} keypoints. Expected as many"
        )
    count = lengths.pop() if lengths else 0
    if objects and not count:
        return None
    return [
        keypoints_of(values or [0.0] * count, where=f"keypoints {number}")
        for number, values in enumerate(flat)
    ]


def _invalid(message: str) -> LabelProblem:
    return LabelProblem(ErrorCode.LABEL_INVALID, message)
