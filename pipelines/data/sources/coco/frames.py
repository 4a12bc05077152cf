"""The picture that the coordinates of a COCO image refer to: upright, or as it is stored.

A tool that ignores EXIF writes the stored width and height of a photograph that was taken with the
camera on its side, and its labels may refer to either picture. Scored on the upright one, labels of
the stored one match nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snellen.adapters.errors import ErrorCode
from snellen.adapters.images.size import HeaderSize
from snellen.pipelines.data.sources.annotations import LabelProblem, Polygon
from snellen.pipelines.data.sources.casts import as_integer

_SIDEWAYS = frozenset({5, 6, 7, 8})
Size = tuple[int, int]
"""Width and height in pixels."""
_Turn = Callable[[float, float, int, int], tuple[float, float]]
_TURNS: dict[int, _Turn] = {
    2: lambda x, y, w, _h: (w - x, y),
    3: lambda x, y, w, h: (w - x, h - y),
    4: lambda x, y, _w, h: (x, h - y),
    5: lambda x, y, _w, _h: (y, x),
    6: lambda x, y, _w, h: (h - y, x),
    7: lambda x, y, w, h: (h - y, w - x),
    8: lambda x, y, w, _h: (y, w - x),
}
"""From a point of a stored picture of w x h pixels to the upright one, by EXIF orientation."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The picture that the coordinates of one image refer to.

    Attributes:
        size: width and height of the upright picture.
        orientation: EXIF orientation that coordinates still lack; 1 if they are upright.
        repair: reason for the dataset report, if the file states another size.
    """

    size: Size
    orientation: int = 1
    repair: str | None = None

    @property
    def labelled_size(self) -> Size:
        """Width and height of the picture that was labelled."""
        return self.size[::-1] if self.orientation in _SIDEWAYS else self.size

    def points(self, values: Sequence[float]) -> list[float]:
        """Return x1, y1, x2, y2, ... in pixels of the upright picture."""
        if self.orientation == 1:
            return list(values)
        turn, (width, height) = _TURNS[self.orientation], self.labelled_size
        pairs = zip(values[::2], values[1::2], strict=True)
        return [value for x, y in pairs for value in turn(x, y, width, height)]

    def corners(
        self, corners: tuple[float, float, float, float]
    ) -> tuple[float, float, float, float]:
        """Return the corners of a box in pixels of the upright picture."""
        x1, y1, x2, y2 = self.points(corners)
        return (x1, y1, x2, y2) if self.orientation == 1 else _sorted_corners(x1, y1, x2, y2)

    def polygons(self, polygons: Sequence[Polygon]) -> list[list[float]]:
        """Return outlines in pixels of the upright picture."""
        return [self.points(polygon) for polygon in polygons]

    def mask(self, counts: bytes) -> bytes:
        """Return the compressed RLE of a labelled mask for the upright picture."""
        if self.orientation == 1:
            return counts
        from hotcoco import mask

        width, height = self.labelled_size
        pixels = np.asarray(mask.decode({"size": [height, width], "counts": counts}))
        turned = pixels.T if self.orientation in _SIDEWAYS else pixels
        if self.orientation in (2, 3, 6, 7):
            turned = turned[:, ::-1]
        if self.orientation in (3, 4, 7, 8):
            turned = turned[::-1]
        return bytes(mask.encode(np.asfortranarray(turned))["counts"])


def _sorted_corners(
    x1: float, y1: float, x2: float, y2: float
) -> tuple[float, float, float, float]:
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def stated_size(image: dict[str, Any]) -> Size | None:
    """Return the width and height in a record of an image; None if they are missing or 0."""
    width, height = (as_integer(image.get(key)) for key in ("width", "height"))
    return (width, height) if width and height and width > 0 and height > 0 else None


def frames_of(
    stated: Sequence[Size | None],
    measured: Sequence[HeaderSize | None],
    objects: Sequence[Sequence[dict[str, Any]]],
) -> list[Frame | LabelProblem | None]:
    """Find the picture that was labelled, for each image.

    Where neither the size nor the coordinates of an image tell, it follows those images of the
    dataset that do; labels of a dataset without any are taken as upright.

    Args:
        stated: sizes in the file.
        measured: sizes in the headers of the pictures; None if unknown, as for remote ones.
        objects: annotations of each image.

    Returns:
        Per image a frame; None if no size is known; LABEL_SIZE_MISMATCH for a size that is not the
        picture's, or if the stored size is stated, the coordinates fit both pictures, and the
        dataset has labels of both.
    """
    found: list[Frame | LabelProblem | None] = []
    unsure: list[int] = []
    votes: Counter[bool] = Counter()
    for number, (size, header) in enumerate(zip(stated, measured, strict=True)):
        if header is None:
            found.append(None if size is None else Frame(size))
            continue
        if size not in (None, header.upright, header.stored if header.is_sideways else None):
            found.append(_mismatch(size, header))
            continue
        fits = None
        if header.is_sideways and size != header.upright and objects[number]:
            fits = _fits_upright(header, objects[number])
        if fits is not None:
            votes[fits] += 1
        elif header.orientation in _TURNS and objects[number] and not _is_told(size, header):
            unsure.append(number)
        found.append(_frame(size, header, upright=fits is not False, labelled=objects[number]))
    if votes[False]:
        for number in unsure:
            size, header = stated[number], measured[number]
            assert header is not None
            if not votes[True]:
                found[number] = _frame(size, header, upright=False, labelled=objects[number])
            elif size != header.upright:
                found[number] = _ambiguous()
    return found


def _is_told(size: Size | None, header: HeaderSize) -> bool:
    """Return True if the stated size is that of the upright picture alone."""
    return size == header.upright != header.stored


def _frame(
    size: Size | None, header: HeaderSize, *, upright: bool, labelled: Sequence[Any]
) -> Frame:
    if not upright:
        return Frame(header.upright, header.orientation, "rotated_by_exif")
    swapped = bool(labelled) and size not in (None, header.upright)
    return Frame(header.upright, repair="size_swapped_by_exif" if swapped else None)


def _mismatch(size: Size | None, header: HeaderSize) -> LabelProblem:
    width, height = size or (0, 0)
    return LabelProblem(
        ErrorCode.LABEL_SIZE_MISMATCH,
        f"the annotation file states {width} x {height} pixels, the image has "
        f"{header.upright[0]} x {header.upright[1]}",
    )


def _ambiguous() -> LabelProblem:
    return LabelProblem(
        ErrorCode.LABEL_SIZE_MISMATCH,
        "the labels fit the upright and the stored image, and the dataset has labels of both",
    )


def _fits_upright(header: HeaderSize, objects: Iterable[dict[str, Any]]) -> bool | None:
    """Return whether labels fit the upright picture alone; None if both pictures fit, or none."""
    upright = stored = True
    for one in objects:
        for size in _mask_sizes(one):
            upright, stored = upright and size == header.upright, stored and size == header.stored
        right, bottom = _extent(one)
        upright = upright and _inside(right, bottom, header.upright)
        stored = stored and _inside(right, bottom, header.stored)
    return None if upright == stored else upright


def _inside(right: float, bottom: float, size: Size) -> bool:
    """Return True for coordinates inside of a picture, with a tolerance of 1 % or a pixel."""
    return all(
        value <= side + max(1.0, side / 100)
        for value, side in zip((right, bottom), size, strict=True)
    )


def _mask_sizes(annotation: dict[str, Any]) -> list[Size]:
    outline = annotation.get("segmentation")
    size = outline.get("size") if isinstance(outline, dict) else None
    if not isinstance(size, list) or len(size) != 2:
        return []
    height, width = (as_integer(value) for value in size)
    return [(width, height)] if width is not None and height is not None else []


def _extent(annotation: dict[str, Any]) -> tuple[float, float]:
    """Return the largest x and y of an object; what is malformed is left to its own error."""
    rights, bottoms = [0.0], [0.0]
    box = _finite(annotation.get("bbox"))
    if len(box) == 4:
        rights.append(box[0] + box[2])
        bottoms.append(box[1] + box[3])
    outline = annotation.get("segmentation")
    for polygon in outline if isinstance(outline, list) else ():
        values = _finite(polygon)
        rights += values[::2]
        bottoms += values[1::2]
    points = _finite(annotation.get("keypoints"))
    rights += points[::3]
    bottoms += points[1::3]
    return max(rights), max(bottoms)


def _finite(values: Any) -> list[float]:
    if not isinstance(values, list) or not all(
        isinstance(value, int | float) and math.isfinite(value) for value in values
    ):
        return []
    return values
