"""The tables of errors: TIDE's buckets with their images, and who is confused with whom."""

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
    "Cls": "on an object, but of another class",
    "Loc": "the right class, but not well enough placed",
    "Both": "near an object, but of another class and badly placed",
    "Dupe": "on an object that a more confident prediction has found",
    "Bkg": "on nothing",
    "Miss": "an object not found, not even by a Cls or Loc error",
}
"""What a bucket holds, in words; see `snellen.metrics.detection.tide` for the rules."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of errors.

    Attributes:
        bucket: its name.
        count: errors in it.
        images: images that have one.
        delta_ap: by how much AP rises when all of them are mended; None where it is not known.
        meaning: in words.
    """

    bucket: str
    count: int
    images: int
    delta_ap: float | None
    meaning: str


class BucketCounts:
    """Counts TIDE's buckets, fed with one part after another."""

    def __init__(self) -> None:
        self._counts = np.zeros((len(BUCKETS), 2), dtype=np.int64)

    def add(self, listing: Listing) -> None:
        """Count a part; see `snellen.metrics.errors.listing.tide_listing`."""
        assert listing.bucket is not None
        for number in range(len(BUCKETS)):
            images = listing.image[listing.bucket == number]
            self._counts[number] += (len(images), len(np.unique(images)))

    def buckets(self, delta_ap: Mapping[str, float | None] | None = None) -> list[Bucket]:
        """All buckets, in the order of `BUCKETS`; ``delta_ap`` is the run's, by bucket."""
        gains = delta_ap or {}
        return [
            Bucket(name, count, images, gains.get(name), MEANINGS[name])
            for name, (count, images) in zip(BUCKETS, self._counts.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Images of one class that were taken for another.

    Attributes:
        true, predicted: names of the classes, unique.
        true_id, predicted_id: their ids.
        count: images.
        share: of the images of the true class.
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
    """The most frequent mistakes of a classifier, falling; equal ones by class id.

    Args:
        matrix: a run's confusion matrix as `snellen.metrics.classification.confusion.matrix` gives
        it, of either form. names: K unique class names.
        limit: at most so many pairs.
    """
    true, predicted, counts = _cells(matrix)
    support = np.zeros(len(names), dtype=np.int64)
    np.add.at(support, true, counts)
    wrong = np.flatnonzero((true != predicted) & (counts > 0))
    order = wrong[np.lexsort((predicted[wrong], true[wrong], -counts[wrong]))][:limit]
    found = np.stack([true[order], predicted[order], counts[order]], axis=1).tolist()
    return [ConfusedPair(names[t], names[p], t, p, n, n / int(support[t])) for t, p, n in found]


def _cells(matrix: Any) -> tuple[Ints, Ints, Ints]:
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
        ap: at the overlap of the operating point; None where it is not known.
        min_confidence: less confident predictions are left out.
        buckets: in the order of `snellen.metrics.detection.tide.BUCKETS`.
    """

    ap: float | None
    min_confidence: float
    buckets: list[Bucket]


@dataclass(frozen=True, slots=True)
class MistakeSummary:
    """The errors of a classification run.

    Attributes:
        mistakes: wrong images.
        most_confused: pairs of classes, the most frequent first.
        most_confident: wrong images, the surest first.
    """

    mistakes: int
    most_confused: list[ConfusedPair]
    most_confident: list[Instance]
