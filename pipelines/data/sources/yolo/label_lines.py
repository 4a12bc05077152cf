"""Reader of YOLO label files: one object per line, normalised to the upright image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath

from snellen.adapters.errors import ErrorCode
from snellen.pipelines.data.sources.annotations import (
    LabelProblem,
    Targets,
    TrueBox,
    keypoints_of,
    mask_area,
    mask_of_polygons,
)


def parse_labels(
    text: str, classes: int, size: tuple[int, int], kpt_shape: Sequence[int] | None
) -> Targets:
    """Parse the objects of one image.

    Args:
        text: content of the label file.
        classes: number of classes; ids are 0 to classes - 1.
        size: width and height of the upright image, in pixels.
        kpt_shape: number of keypoints and of values per keypoint (2 or 3); None without keypoints.

    Raises:
        LabelProblem: LABEL_RANGE or LABEL_INVALID, naming the line.
    """
    rows = [(n, line.split()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    parsed = [_numbers(words, f"line {n}") for n, words in rows]
    polygons = kpt_shape is None and any(len(values) > 5 for values in parsed)
    found = Targets(masks=[] if polygons else None, keypoints=[] if kpt_shape else None)
    for (n, _), values in zip(rows, parsed, strict=True):
        where = f"line {n}"
        class_id = _class_id(values[0], classes, where)
        if polygons:
            _add_polygon(found, class_id, values[1:], size, where)
            continue
        found.boxes.append(TrueBox(class_id, _corners(values[1:5], size, where)).to_row(where))
        if kpt_shape is not None and found.keypoints is not None:
            found.keypoints.append(_keypoints(values[5:], kpt_shape, size, where))
    return found


def label_path(image: str) -> str:
    """Return the label file of an image: the last ``/images/`` becomes ``/labels/``, ``.txt``."""
    head, found, tail = image.rpartition("/images/")
    text = f"{head}/labels/{tail}" if found else image
    return text.removesuffix(PurePosixPath(text).suffix) + ".txt"


def _numbers(words: list[str], where: str) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise LabelProblem(ErrorCode.LABEL_INVALID, f"{where}: not numbers") from None
    if len(values) < 5 or not all(math.isfinite(value) for value in values):
        raise LabelProblem(ErrorCode.LABEL_INVALID, f"{where}: fewer than five finite numbers")
    return values


def _class_id(value: float, classes: int, where: str) -> int:
    if value != int(value) or not 0 <= value < classes:
        raise LabelProblem(
            ErrorCode.LABEL_RANGE, f"{where}: class {value:g} is outside of 0..{classes - 1}"
        )
    return int(value)


def _corners(
    values: Sequence[float], size: tuple[int, int], where: str
) -> tuple[float, float, float, float]:
    xc, yc, w, h = values
    if min(xc, yc, w, h) < 0 or max(xc, yc, w, h) > 1.01:
        raise LabelProblem(
            ErrorCode.LABEL_INVALID, f"{where}: box {list(values)} is not normalised to 0..1"
        )
    width, height = size
    return (
        (xc - w / 2) * width,
        (yc - h / 2) * height,
        (xc + w / 2) * width,
        (yc + h / 2) * height,
    )


def _add_polygon(
    found: Targets, class_id: int, values: Sequence[float], size: tuple[int, int], where: str
) -> None:
    width, height = size
    if len(values) == 4:  # a box among polygons
        x1, y1, x2, y2 = _corners(values, size, where)
        points = [x1, y1, x1, y2, x2, y2, x2, y1]
    elif len(values) < 6 or len(values) % 2 or min(values) < -0.01 or max(values) > 1.01:
        raise LabelProblem(ErrorCode.LABEL_INVALID, f"{where}: the polygon is malformed")
    else:
        points = [v * (height if i % 2 else width) for i, v in enumerate(values)]
    mask = mask_of_polygons([points], height, width)
    xs, ys = points[::2], points[1::2]
    corners = (min(xs), min(ys), max(xs), max(ys))
    area = mask_area(mask, height, width)
    found.boxes.append(TrueBox(class_id, corners, area).to_row(where))
    if found.masks is not None:
        found.masks.append(mask)


def _keypoints(
    values: Sequence[float], shape: Sequence[int], size: tuple[int, int], where: str
) -> list[dict[str, float]]:
    count, dims = int(shape[0]), int(shape[1])
    if len(values) != count * dims:
        raise LabelProblem(
            ErrorCode.LABEL_INVALID,
            f"{where}: {len(values)} keypoint numbers, expected {count} x {dims}",
        )
    width, height = size
    flat: list[float] = []
    for point in (values[i : i + dims] for i in range(0, len(values), dims)):
        x, y = point[0] * width, point[1] * height
        # Without visibilities every labelled point counts; negative coordinates mean unlabelled.
        seen = point[2] if dims == 3 else (0.0 if x < 0 or y < 0 else 2.0)
        flat += [x, y, seen]
    return keypoints_of(flat, where=where)
