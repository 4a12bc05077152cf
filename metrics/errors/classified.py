"""The images behind a cell of a classifier's confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from snellen.adapters.finite import finite_or_none
from snellen.metrics.errors.instance_views import Instance, Side, image_ids
from snellen.metrics.matching.assignment import Ints
from snellen.metrics.matching.overlaps import Floats

CLASSIFIED_COLUMNS = (
    "image_index",
    "image_id",
    "status",
    "true_label_id",
    "predicted_label_id",
    "confidence",
    "true_confidence",
)
"""The columns of a result row that `Classified` reads."""


class Classified:
    """The scored images of one part; see `snellen.metrics.errors.instance_views.Listed`.

    Attributes:
        true_confidence: float64, (E,), probability of the true class, NaN where unknown.
    """

    def __init__(
        self,
        image: Ints,
        true_class: Ints,
        predicted_class: Ints,
        confidence: Floats,
        true_confidence: Floats,
    ) -> None:
        """Collect the images in their order."""
        self.image = image
        self.true_class, self.predicted_class = true_class, predicted_class
        self.confidence, self.true_confidence = confidence, true_confidence

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """The wrong images: bool, (E,)."""
        return np.asarray(self.true_class != self.predicted_class)

    def take(self, index: npt.NDArray[Any]) -> Classified:
        """Select images by a mask of shape (E,) or by their indices."""
        return Classified(
            self.image[index],
            self.true_class[index],
            self.predicted_class[index],
            self.confidence[index],
            self.true_confidence[index],
        )

    def instances(self, table: pa.Table, names: Sequence[str]) -> list[Instance]:
        """Convert to objects; see `snellen.metrics.errors.instance_views.Listed`."""
        ids = image_ids(table, self.image)
        sides = (
            (self.true_class.tolist(), self.true_confidence.tolist()),
            (self.predicted_class.tolist(), self.confidence.tolist()),
        )
        true, predicted = (
            [Side(c, names[c], confidence=finite_or_none(p)) for c, p in zip(*side, strict=True)]
            for side in sides
        )
        return [
            Instance(index, name, of_truth, of_prediction)
            for index, name, of_truth, of_prediction in zip(
                self.image.tolist(), ids, true, predicted, strict=True
            )
        ]


def classified(table: pa.Table, class_ids: Sequence[int] | None = None) -> Classified:
    """Select the images that the confusion matrix counts: status ``ok``, a label and a prediction.

    Args:
        table: rows of a result file with `CLASSIFIED_COLUMNS`.
        class_ids: the true classes whose images are scored; None for all.

    Example:
        >>> from snellen.metrics.examples import classification_rows
        >>> classified(classification_rows()).wrong.tolist()
        [False, True, False, False]
    """
    scored = pc.and_(
        pc.equal(table["status"], "ok"),
        pc.and_(pc.is_valid(table["true_label_id"]), pc.is_valid(table["predicted_label_id"])),
    )
    if class_ids is not None:
        chosen = pa.array(class_ids, table["true_label_id"].type)
        scored = pc.and_(scored, pc.is_in(table["true_label_id"], chosen))
    rows = table.filter(pc.fill_null(scored, False))

    def column(name: str, kind: pa.DataType) -> npt.NDArray[Any]:
        return np.asarray(rows[name].cast(kind).to_numpy())

    return Classified(
        column("image_index", pa.int64()),
        column("true_label_id", pa.int64()),
        column("predicted_label_id", pa.int64()),
        column("confidence", pa.float64()),
        column("true_confidence", pa.float64()),
    )
