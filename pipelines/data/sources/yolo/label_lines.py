"""Reader of YOLO label files: one object per line, normalised to the upright image.

A file is accepted or rejected as Ultralytics does (``ultralytics.data.utils.verify_image_label``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from snellen.adapters.errors import ErrorCode
from snellen.adapters.text_files import lines_of
from snellen.pipelines.data.sources.annotations import (
    LabelProblem,
    Targets,
    TrueBox,
    keypoints_of,
    mask_area,
    mask_of_polygons,
)

_TOLERANCE = 0.01
"""How far a coordinate may be outside of 0 to 1."""


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """The format of the label files of a dataset.

    Attributes:
        classes: number of classes; ids are 0 to classes - 1.
        kpt_shape: number of keypoints and of values per keypoint (2 or 3); None without keypoints.
        masks: return the masks of polygons.
        keypoints: return the keypoints.
    """

    classes: int
    kpt_shape: tuple[int, int] | None = None
    masks: bool = True
    keypoints: bool = True

    @property
    def columns(self) -> int:
        """Number of columns of a line with a box and keypoints."""
        count, values = self.kpt_shape or (0, 0)
        return 5 + count * values


@dataclass(frozen=True, slots=True)
class _Line:
    where: str
    class_id: int
    values: list[float]


def parse_labels(
    text: str, size: tuple[int, int], label_format: LabelFormat
) -> tuple[Targets, int]:
    """Parse the objects of one image.

    Args:
        text: content of the label file.
        size: width and height of the upright image, in pixels.
        label_format: of the dataset.

    Returns:
        The ground truth, and the number of duplicate lines, which are dropped.

    Raises:
        LabelProblem: LABEL_RANGE or LABEL_INVALID, naming the line.
    """
    shape = label_format.kpt_shape if label_format.keypoints else None
    lines = _lines(text, label_format)
    polygons = shape is None and any(len(line.values) > 5 for line in lines)
    _check_columns(lines, polygons, None if shape is None else label_format.columns)
    unique = {_identity(line): line for line in reversed(lines)}
    kept = list(reversed(unique.values()))
    found = Targets(
        masks=[] if polygons and label_format.masks else None,
        keypoints=[] if shape else None,
        size=size,
    )
    for line in kept:
        if polygons:
            _add_polygon(found, line, size)
            continue
        corners = _corners(line.values[:4], size, line.where)
        found.boxes.append(TrueBox(line.class_id, corners).to_row(line.where))
        if shape is not None and found.keypoints is not None:
            found.keypoints.append(_keypoints(line.values[4:], shape, size, line.where))
    return found, len(lines) - len(kept)


def label_path(image: str) -> str:
    """Return the label file of an image: the last ``/images/`` becomes ``/labels/``, ``.txt``."""
    head, found, tail = image.rpartition("/images/")
    text = f"{head}/labels/{tail}" if found else image
    return text.removesuffix(PurePosixPath(text).suffix) + ".txt"


def _lines(text: str, label_format: LabelFormat) -> list[_Line]:
    found = []
    for number, line in enumerate(lines_of(text), 1):
        words = line.split()
        if not words:
            continue
        where = f"line {number}"
        if not label_format.keypoints and len(words) == label_format.columns:
            words = words[:5]  # keypoints that are not scored
        class_id, *values = _numbers(words, where)
        found.append(_Line(where, _class_id(class_id, label_format.classes, where), values))
    return found


def _numbers(words: list[str], where: str) -> list[float]:
    for mark, name in ((",", "commas"), (";", "semicolons")):
        if any(mark in word for word in words):
            raise _invalid(f"{where} is separated by {name}. Expected spaces: class xc yc w h")
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise _invalid(f"{where}: not numbers: {' '.join(words)[:60]!r}") from None
    if len(values) < 5 or not all(math.isfinite(value) for value in values):
        raise _invalid(f"{where}: fewer than five finite numbers")
    return values


def _class_id(value: float, classes: int, where: str) -> int:
    if value != int(value) or not 0 <= value < classes:
        raise LabelProblem(
            ErrorCode.LABEL_RANGE, f"{where}: class {value:g} is outside of 0..{classes - 1}"
        )
    return int(value)


def _check_columns(lines: Sequence[_Line], polygons: bool, columns: int | None) -> None:
    """Reject a file whose lines are not all boxes, all polygons or all poses."""
    boxes = [line.where for line in lines if len(line.values) == 4]
    if polygons and boxes:
        other = next(line.where for line in lines if len(line.values) > 5)
        raise _invalid(f"{boxes[0]} is a box and {other} a polygon. Expected one kind in a file")
    for line in lines:
        count = 1 + len(line.values)
        if columns is not None and count != columns:
            raise _invalid(
                f"{line.where}: {count} values. Expected {columns}: class xc yc w h and "
                f"{columns - 5} keypoint numbers, as kpt_shape says"
            )
        if columns is None and not polygons and count != 5:
            raise _invalid(
                f"{line.where}: {count} values. Expected 5: class xc yc w h. A sixth value, "
                "such as a confidence, makes a file of predictions"
            )


def _identity(line: _Line) -> bytes:
    """Return what makes two lines duplicates: class and numbers, in single precision."""
    return np.array([line.class_id, *line.values], np.float32).tobytes()


def _corners(
    values: Sequence[float], size: tuple[int, int], where: str
) -> tuple[float, float, float, float]:
    xc, yc, w, h = values
    if min(xc, yc) < -_TOLERANCE or min(w, h) < 0 or max(xc, yc, w, h) > 1 + _TOLERANCE:
        raise _invalid(f"{where}: box {list(values)} is not normalised to 0..1")
    width, height = size
    return (
        (xc - w / 2) * width,
        (yc - h / 2) * height,
        (xc + w / 2) * width,
        (yc + h / 2) * height,
    )


def _add_polygon(found: Targets, line: _Line, size: tuple[int, int]) -> None:
    width, height = size
    values = line.values
    if len(values) < 6 or len(values) % 2:
        raise _invalid(
            f"{line.where}: the polygon is malformed: {len(values)} coordinates. Expected pairs of "
            "x and y, at least three"
        )
    if min(values) < -_TOLERANCE or max(values) > 1 + _TOLERANCE:
        raise _invalid(f"{line.where}: the polygon is malformed: it is not normalised to 0..1")
    points = [v * (height if i % 2 else width) for i, v in enumerate(values)]
    mask = mask_of_polygons([points], height, width)
    xs, ys = points[::2], points[1::2]
    corners = (min(xs), min(ys), max(xs), max(ys))
    area = mask_area(mask, height, width)
    found.boxes.append(TrueBox(line.class_id, corners, area).to_row(line.where))
    if found.masks is not None:
        found.masks.append(mask)


def _keypoints(
    values: Sequence[float], shape: tuple[int, int], size: tuple[int, int], where: str
) -> list[dict[str, float]]:
    dims = shape[1]
    width, height = size
    flat: list[float] = []
    for point in (values[i : i + dims] for i in range(0, len(values), dims)):
        x, y = point[0], point[1]
        # Without visibilities every labelled point counts; negative coordinates mean unlabelled.
        seen = point[2] if dims == 3 else (0.0 if x < 0 or y < 0 else 2.0)
        if max(x, y) > 1 + _TOLERANCE or (seen > 0 and min(x, y) < -_TOLERANCE):
            raise _invalid(f"{where}: keypoint {[x, y]} is not normalised to 0..1")
        flat += [x * width, y * height, seen]
    return keypoints_of(flat, where=where)


def _invalid(message: str) -> LabelProblem:
    return LabelProblem(ErrorCode.LABEL_INVALID, message)
