"""One correct or wrong prediction or missed object, and the interface of a list of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from snellen.metrics.matching.assignment import Ints
from snellen.metrics.matching.overlaps import Floats


@dataclass(frozen=True, slots=True)
class Side:
    """The true or the predicted side of an instance.

    Attributes:
        class_id, label: the class; a name that several classes share has its id appended.
        index: position in the row's ``true_boxes`` or ``predicted_boxes``; None where the class
            is that of the whole image.
        box: x1, y1, x2, y2, pixels of the upright image; None likewise.
        confidence: of the class; None for the true object of a detection.
    """

    class_id: int
    label: str
    index: int | None = None
    box: tuple[float, ...] | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """One object or one image, correct or wrong, with its position.

    Attributes:
        image_index, image_id: of its result row.
        true: None is background: no object belongs to the prediction.
        predicted: None is background: the object was missed.
        overlap: of the two (IoU of boxes or masks, OKS of poses); None without both.
        bucket: one of `snellen.metrics.detection.tide.BUCKETS` in a list of errors, else None.
    """

    image_index: int
    image_id: str
    true: Side | None
    predicted: Side | None
    overlap: float | None = None
    bucket: str | None = None


class Listed(Protocol):
    """E instances of one part (a result file) as flat arrays, which are counted without objects.

    Attributes:
        image: int64, (E,), ``image_index``; the instances of an image are adjacent.
        true_class, predicted_class: int64, (E,), -1 for background.
        confidence: float64, (E,), NaN where nothing was predicted.
    """

    image: Ints
    true_class: Ints
    predicted_class: Ints
    confidence: Floats

    def take(self, index: npt.NDArray[Any]) -> Self:
        """Select instances by a mask of shape (E,) or by their indices."""

    def instances(self, table: pa.Table, names: Sequence[str]) -> list[Instance]:
        """Convert to objects.

        Args:
            table: the rows of the part, with ``image_index`` and ``image_id``.
            names: K unique class names.
        """


def of_cell(listed: Listed, true: int | None, predicted: int | None) -> npt.NDArray[np.bool_]:
    """Select the instances of a cell of the confusion matrix: bool, (E,).

    Args:
        listed: of one part.
        true: a class id, -1 for background, None for any.
        predicted: likewise.

    Example:
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.errors.listing import confusion_listing
        >>> listing = confusion_listing(detection_rows(), 2, options_of(["bbox"]))
        >>> of_cell(listing, -1, 1).tolist()
        [False, False, True]
    """
    chosen = np.ones(len(listed.image), dtype=np.bool_)
    if true is not None:
        chosen &= listed.true_class == true
    if predicted is not None:
        chosen &= listed.predicted_class == predicted
    return chosen


def image_ids(table: pa.Table, images: Ints) -> list[str]:
    """Look up the ``image_id`` of each ``image_index``.

    Example:
        >>> from snellen.metrics.examples import detection_rows
        >>> image_ids(detection_rows(), np.array([1, 0]))
        ['1.png', '0.png']
    """
    places = pc.index_in(pa.array(images, pa.int64()), value_set=table["image_index"])
    ids: list[str] = table["image_id"].take(places).to_pylist()
    return ids
