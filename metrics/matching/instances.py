"""The objects of a result file (Arrow) as flat numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from snellen.metrics.matching.assignment import Ints
from snellen.metrics.matching.overlaps import Bools, Floats, Kind

EXTRA = {"segm": "masks", "keypoints": "keypoints"}
"""The columns ``true_...`` and ``predicted_...`` that an overlap needs beside the boxes."""


def instance_columns(kinds: Sequence[Kind]) -> tuple[str, ...]:
    """Return the columns of a result row that `read_images` reads."""
    names = ["image_index", "height", "width", "status", "true_boxes", "predicted_boxes"]
    for kind in kinds:
        if kind in EXTRA:
            names += [f"true_{EXTRA[kind]}", f"predicted_{EXTRA[kind]}"]
    return tuple(names)


@dataclass(frozen=True)
class Instances:
    """The truths or the predictions of a set of images, n in all, rising in ``row``.

    Attributes:
        row: int64, (n,), position of the image in `Images.index`.
        place: int64, (n,), position in the image's list.
        class_id: int64, (n,).
        boxes: float64, (n, 4), xyxy pixels.
        confidence: float32, (n,), falling inside a row; 1 for truths.
        area: float64, (n,), square pixels, the box's where none is given; truths only.
        crowd, ignore: bool, (n,); truths only.
        masks: n times COCO compressed RLE, or None.
        keypoints: float64, (n, K, 3), x, y, v, or None.
    """

    row: Ints
    place: Ints
    class_id: Ints
    boxes: Floats
    confidence: npt.NDArray[np.float32]
    area: Floats
    crowd: Bools
    ignore: Bools
    masks: list[bytes] | None = None
    keypoints: Floats | None = None

    def __len__(self) -> int:
        return len(self.row)

    @property
    def ignored(self) -> Bools:
        """Truths that are neither found nor missed: crowds, ignored ones, poses without points."""
        ignored = self.crowd | self.ignore
        if self.keypoints is not None:
            ignored = ignored | ~(self.keypoints[..., 2] > 0).any(axis=-1)
        return ignored

    def take(self, index: Ints) -> Instances:
        """Select instances in the order of ``index``."""
        return Instances(
            self.row[index],
            self.place[index],
            self.class_id[index],
            self.boxes[index],
            self.confidence[index],
            self.area[index],
            self.crowd[index],
            self.ignore[index],
            None if self.masks is None else [self.masks[i] for i in index.tolist()],
            None if self.keypoints is None else self.keypoints[index],
        )


@dataclass(frozen=True)
class Images:
    """The evaluated images of one part.

    Attributes:
        index: int64, (m,), their ``image_index``.
        height, width: int64, (m,), pixels.
        truths, predictions: their instances.
    """

    index: Ints
    height: Ints
    width: Ints
    truths: Instances
    predictions: Instances

    def of_classes(self, class_ids: Sequence[int] | None) -> Images:
        """Return the same images with the instances of some classes alone; None for all."""
        if class_ids is None:
            return self
        sides = [
            side.take(np.flatnonzero(np.isin(side.class_id, class_ids)))
            for side in (self.truths, self.predictions)
        ]
        return replace(self, truths=sides[0], predictions=sides[1])

    def with_predictions(self, predictions: Instances) -> Images:
        """Return the same images and truths with other predictions."""
        return replace(self, predictions=predictions)


def read_images(table: pa.Table, kind: Kind, num_classes: int | None = None) -> Images:
    """Read the rows that can be evaluated: status ``ok`` with ground truth of this kind.

    An empty list of true boxes is ground truth (nothing to find), null is none.

    Args:
        table: rows of a result file with `instance_columns`.
        kind: the overlap that will be measured; decides the columns beside the boxes.
        num_classes: K; None does not check the class ids.

    Raises:
        ValueError: a class id outside 0 to K - 1, masks or keypoints that are missing or not
            parallel to their boxes, or instances of different numbers of keypoints.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> images = read_images(detection_rows(), "bbox", 2)
        >>> images.predictions.row.tolist(), images.truths.class_id.tolist()
        ([0, 0, 1], [0, 1])
    """
    known = pc.and_(pc.equal(table["status"], "ok"), pc.is_valid(table["true_boxes"]))
    if kind in EXTRA:
        extra = table[f"true_{EXTRA[kind]}"]
        empty = pc.equal(pc.list_value_length(table["true_boxes"]), 0)
        known = pc.and_(known, pc.or_(pc.is_valid(extra), pc.fill_null(empty, False)))
    rows = table.filter(pc.fill_null(known, False))
    truths = _read(rows, "true", kind, num_classes)
    predictions = _read(rows, "predicted", kind, num_classes)
    # result rows are sorted already; a stable sort keeps their order among equal confidences
    order = np.lexsort((-predictions.confidence, predictions.row))
    return Images(
        _numbers(rows["image_index"], np.int64),
        _numbers(rows["height"], np.int64),
        _numbers(rows["width"], np.int64),
        truths,
        predictions.take(order),
    )


def num_keypoints(images: Images) -> int:
    """Return the number of keypoints of the instances of a part; 0 without any.

    Raises:
        ValueError: truths and predictions differ in it.
    """
    counts = {
        side.keypoints.shape[1]
        for side in (images.truths, images.predictions)
        if side.keypoints is not None and len(side)
    }
    if len(counts) > 1:
        raise ValueError(
            f"truths and predictions have {sorted(counts)} keypoints. Expected one number."
        )
    return counts.pop() if counts else 0


def _read(rows: pa.Table, side: str, kind: Kind, num_classes: int | None) -> Instances:
    lists = _whole(rows[f"{side}_boxes"])
    counts = _numbers(pc.fill_null(pc.list_value_length(lists), 0), np.int64)
    flat = pc.list_flatten(lists)
    size = len(flat)

    def field(name: str, dtype: Any) -> npt.NDArray[Any]:
        return _numbers(pc.struct_field(flat, name), dtype)

    class_id = field("class_id", np.int64)
    if num_classes is not None:
        _check_classes(class_id, num_classes, f"{side}_boxes")
    truth = side == "true"
    boxes = np.stack([field(name, np.float64) for name in ("x1", "y1", "x2", "y2")], axis=1)
    no = np.zeros(size, dtype=np.bool_)
    instances = Instances(
        np.repeat(np.arange(len(counts)), counts),
        np.arange(size) - np.repeat(np.cumsum(counts) - counts, counts),
        class_id,
        boxes,
        np.ones(size, dtype=np.float32) if truth else field("confidence", np.float32),
        _areas(flat, boxes) if truth else np.zeros(size),
        field("is_crowd", np.bool_) if truth else no,
        field("ignore", np.bool_) if truth else no,
    )
    if kind == "segm":
        return replace(instances, masks=_masks(rows, f"{side}_masks", counts))
    if kind == "keypoints":
        return replace(instances, keypoints=_keypoints(rows, f"{side}_keypoints", counts))
    return instances


def _check_classes(class_id: Ints, num_classes: int, name: str) -> None:
    wrong = class_id[(class_id < 0) | (class_id >= num_classes)]
    if len(wrong):
        raise ValueError(f"{name} have class id {int(wrong[0])}. Expected 0 to {num_classes - 1}.")


def _areas(flat: Any, boxes: Floats) -> Floats:
    given = pc.fill_null(pc.struct_field(flat, "area"), float("nan"))
    areas = _numbers(given, np.float64)
    return np.where(np.isnan(areas), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1), areas)


def _masks(rows: pa.Table, name: str, counts: Ints) -> list[bytes]:
    lists = _parallel(rows, name, counts)
    masks: list[bytes] = pc.list_flatten(lists).to_pylist()
    if None in masks:
        raise ValueError(f"{name} has a null. Expected a mask for every box.")
    return masks


def _keypoints(rows: pa.Table, name: str, counts: Ints) -> Floats:
    instances = pc.list_flatten(_parallel(rows, name, counts))
    points = np.unique(_numbers(pc.fill_null(pc.list_value_length(instances), 0), np.int64))
    if len(points) > 1 or 0 in points:
        raise ValueError(
            f"{name} has instances of {points.tolist()} keypoints. Expected one number above 0."
        )
    flat = pc.list_flatten(instances)
    values = [_numbers(pc.struct_field(flat, field), np.float64) for field in ("x", "y", "v")]
    count = int(points[0]) if len(points) else 0
    return np.stack(values, axis=1).reshape(len(instances), count, 3)


def _parallel(rows: pa.Table, name: str, counts: Ints) -> Any:
    lists = _whole(rows[name])
    lengths = _numbers(pc.fill_null(pc.list_value_length(lists), 0), np.int64)
    wrong = np.flatnonzero(lengths != counts)
    if len(wrong):
        image = rows["image_index"][int(wrong[0])].as_py()
        raise ValueError(
            f"{name} of image {image} has {int(lengths[wrong[0]])} entries. Expected "
            f"{int(counts[wrong[0]])}, one per box."
        )
    return lists


def _whole(column: Any) -> Any:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _numbers(column: Any, dtype: Any) -> npt.NDArray[Any]:
    empty = False if dtype is np.bool_ else 0
    filled = pc.fill_null(column, empty)
    chunked = isinstance(filled, pa.ChunkedArray)
    values = filled.to_numpy() if chunked else filled.to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=dtype)
