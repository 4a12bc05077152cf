"""The tables of errors: TIDE's buckets with their images, and confused pairs of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snellen.metrics.detection.tide import BUCKETS
from snellen.metrics.errors.instance_views import Instance
from snellen.metrics.errors.listing import Listing
from snellen.metrics.matching.assignment import Ints

MEANINGS = {
    "Cls": "wrong class, well localized",
    "Loc": "correct class, poorly localized",
    "Both": "wrong class and poorly localized",
    "Dupe": "duplicate of a more confident prediction",
    "Bkg": "false positive on background",
    "Miss": "missed object without a Cls or Loc error",
}
"""The meaning of each bucket; see `snellen.metrics.detection.tide` for the rules."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of errors.

    Attributes:
        bucket: its name.
        count: number of errors.
        images: number of images with such an error.
        delta_ap: gain of AP when all of them are fixed; None without objects.
        meaning: see `MEANINGS`.
    """

    bucket: str
    count: int
    images: int
    delta_ap: float | None
    meaning: str


class BucketCounts:
    """Counts TIDE's buckets, one part after another.

    Example:
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.errors.listing import tide_listing
        >>> counts = BucketCounts()
        >>> counts.add(tide_listing(detection_rows(), 2, options_of(["bbox"])))
        >>> [(one.bucket, one.count) for one in counts.buckets() if one.count]
        [('Cls', 1), ('Bkg', 1)]
    """

    def __init__(self) -> None:
        self._counts = np.zeros((len(BUCKETS), 2), dtype=np.int64)

    def add(self, listing: Listing) -> None:
        """Count a part; see `snellen.metrics.errors.listing.tide_listing`."""
        assert listing.bucket is not None
        for number in range(len(BUCKETS)):
            images = listing.image[listing.bucket == number]
            self._counts[number] += (len(images), len(np.unique(images)))

    def buckets(self, delta_ap: Mapping[str, float | None] | None = None) -> list[Bucket]:
        """Return all buckets in the order of `BUCKETS`; ``delta_ap`` is the run's, by bucket."""
        gains = delta_ap or {}
        return [
            Bucket(name, count, images, gains.get(name), MEANINGS[name])
            for name, (count, images) in zip(BUCKETS, self._counts.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Images of one class that were predicted as another.

    Attributes:
        true, predicted: names of the classes, unique.
        true_id, predicted_id: their ids.
        count: number of images.
        share: of the images of the true class, 0 to 1.
        examples: the most confident of these mistakes.
    """

    true: str
    predicted: str
    true_id: int
    predicted_id: int
    count: int
    share: float
    examples: list[Instance] = field(default_factory=list)


def confused_pairs(matrix: Any, names: Sequence[str], limit: int) -> list[ConfusedPair]:
    """List the most frequent mistakes of a classifier, falling; equal ones by class id.

    Args:
        matrix: the confusion matrix of a run, dense or sparse, see
            `snellen.metrics.classification.confusion.matrix`.
        names: K unique class names.
        limit: maximum number of pairs.

    Example:
        >>> (pair,) = confused_pairs([[1, 1], [0, 2]], ["cat", "dog"], limit=5)
        >>> pair.true, pair.predicted, pair.count, pair.share
        ('cat', 'dog', 1, 0.5)
    """
    true, predicted, counts = matrix_cells(matrix)
    support = np.zeros(len(names), dtype=np.int64)
    np.add.at(support, true, counts)
    wrong = np.flatnonzero((true != predicted) & (counts > 0))
    order = wrong[np.lexsort((predicted[wrong], true[wrong], -counts[wrong]))][:limit]
    found = np.stack([true[order], predicted[order], counts[order]], axis=1).tolist()
    return [ConfusedPair(names[t], names[p], t, p, n, n / int(support[t])) for t, p, n in found]


def matrix_cells(matrix: Any) -> tuple[Ints, Ints, Ints]:
    """Return the cells of a stored confusion matrix that are not zero: rows, columns and counts.

    Args:
        matrix: dense or sparse, see `snellen.metrics.classification.confusion.matrix`.

    Returns:
        int64, (n,) each.

    Example:
        >>> [values.tolist() for values in matrix_cells([[5, 0], [0, 7]])]
        [[0, 1], [0, 1], [5, 7]]
    """
    if isinstance(matrix, Mapping):
        rows, columns, counts = (
            np.asarray(matrix[key], dtype=np.int64) for key in ("rows", "cols", "counts")
        )
        return rows, columns, counts
    dense = np.asarray(matrix, dtype=np.int64)
    rows, columns = np.nonzero(dense)
    return rows, columns, dense[rows, columns]


@dataclass(frozen=True, slots=True)
class BucketSummary:
    """The errors of a detection, segmentation or pose run.

    Attributes:
        ap: at the overlap of the operating point, of these predictions; None without objects.
        min_confidence: less confident predictions are ignored.
        class_confidences: minimum confidences of classes that have their own.
        buckets: in the order of `snellen.metrics.detection.tide.BUCKETS`.
    """

    ap: float | None
    min_confidence: float
    class_confidences: dict[str, float]
    buckets: list[Bucket]


@dataclass(frozen=True, slots=True)
class MistakeSummary:
    """The errors of a classification run.

    Attributes:
        mistakes: number of wrong images.
        most_confused: pairs of classes, the most frequent first.
        most_confident: wrong images, the most confident first.
    """

    mistakes: int
    most_confused: list[ConfusedPair]
    most_confident: list[Instance]
