"""Outputs of each task as tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snellen.adapters.types import Box, ClassScore
from snellen.serve.api.predict_image import Predicted

Values = npt.NDArray[np.int64] | npt.NDArray[np.float32] | list[bytes]
BYTES, INT64, FP32 = "BYTES", "INT64", "FP32"


@dataclass(frozen=True, slots=True)
class Tensor:
    """Values of an output with their shape; BYTES are a flat list, row by row."""

    shape: list[int]
    values: Values


@dataclass(frozen=True, slots=True)
class Output:
    """An output of a task.

    Attributes:
        name: its name.
        datatype: of the protocol.
        shape: for the metadata; -1 stands for any size.
        build: returns it for the predictions of a request and ``top_k``.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    build: Callable[[Sequence[Predicted], int], Tensor]


def per_class(
    datatype: str, value: Callable[[ClassScore], object]
) -> Callable[[Sequence[Predicted], int], Tensor]:
    """Return a function that builds an output with one row per image, one column per class."""

    def build(found: Sequence[Predicted], top_k: int) -> Tensor:
        rows = [(image.result.top5_predictions or [])[:top_k] for image in found]
        values = [value(score) for row in rows for score in row]
        return _tensor(datatype, values, [len(rows), len(rows[0])])

    return build


def per_box(
    datatype: str, value: Callable[[Predicted, Box], object]
) -> Callable[[Sequence[Predicted], int], Tensor]:
    """Return a function that builds an output with one value per box of all images."""

    def build(found: Sequence[Predicted], _: int) -> Tensor:
        values = [
            value(image, box) for image in found for box in image.result.predicted_boxes or ()
        ]
        return _tensor(datatype, values, [len(values)])

    return build


def _tensor(datatype: str, values: Sequence[object], shape: list[int]) -> Tensor:
    if datatype == BYTES:
        return Tensor(shape, [_encoded(value) for value in values])
    if datatype == INT64:
        return Tensor(shape, np.asarray(values, np.int64).reshape(shape))
    return Tensor(shape, np.asarray(values, np.float32).reshape(shape))


def _encoded(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def boxes(found: Sequence[Predicted], _: int) -> Tensor:
    """Return [left, top, right, bottom] of each box, in pixels of the upright image."""
    corners = [
        [box["x1"], box["y1"], box["x2"], box["y2"]]
        for image in found
        for box in image.result.predicted_boxes or ()
    ]
    return _tensor(FP32, corners, [len(corners), 4])


def image_index(found: Sequence[Predicted], _: int) -> Tensor:
    """Return the index of the image of each box."""
    counts = [len(image.result.predicted_boxes or ()) for image in found]
    index = np.repeat(np.arange(len(found), dtype=np.int64), counts)
    return Tensor([len(index)], index)


def image_sizes(found: Sequence[Predicted], _: int) -> Tensor:
    """Return [width, height] of each upright image, in pixels."""
    sizes = [[image.result.width or 0, image.result.height or 0] for image in found]
    return _tensor(INT64, sizes, [len(sizes), 2])


def masks(found: Sequence[Predicted], _: int) -> Tensor:
    """Return the mask of each box as compressed run lengths (COCO)."""
    counts = [mask for image in found for mask in image.result.predicted_masks or ()]
    return _tensor(BYTES, counts, [len(counts)])


def keypoints(found: Sequence[Predicted], _: int) -> Tensor:
    """Return [x, y, confidence] of the keypoints of each box."""
    poses = [
        [[point["x"], point["y"], point["v"]] for point in pose]
        for image in found
        for pose in image.result.predicted_keypoints or ()
    ]
    return _tensor(FP32, poses, [len(poses), len(poses[0]) if poses else 0, 3])


def class_name(image: Predicted, box: Box) -> str:
    """Return the name of the class of a box."""
    return image.reply.labels.get(box["class_id"], str(box["class_id"]))
