"""The mergeable state of classification metrics: counts and sums over a set of images.

Counts are integers and floating sums carry their rounding errors, so that any partition of the
images, merged, gives the metrics of one pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.classification.grouped_counts import GroupedCounts, ScoredImages
from snellen.metrics.statistics.groups import Keys
from snellen.metrics.statistics.sums import Sum

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.floating[Any]]

ECE_BINS = 15


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """The predictions and labels of n images; rows that are not ``scored`` may hold anything.

    Attributes:
        true_ids: integer, (n,), 0 <= id < K.
        predicted_ids: integer, (n,), 0 <= id < K.
        top5_ids: integer, (n, k), the most confident classes, padded with -1; a row of -1 alone
            is an image without such a list.
        confidence: float, (n,), probability of the predicted class in [0, 1]; NaN excludes the
            image from the calibration.
        true_confidence: float, (n,), probability of the true class; only checked.
        loss: float, (n,), cross-entropy (natural logarithm); NaN excludes the image from the
            mean loss.
        scored: bool, (n,), status ``ok`` and a label.
        groups: uint64, (n,), of `snellen.metrics.statistics.groups.group_keys`; None without.
    """

    true_ids: IntArray
    predicted_ids: IntArray
    top5_ids: IntArray
    confidence: FloatArray
    true_confidence: FloatArray
    loss: FloatArray
    scored: npt.NDArray[np.bool_]
    groups: Keys | None = None

    def __post_init__(self) -> None:
        """Check the shapes. Raises ValueError where they differ."""
        arrays = [getattr(self, name) for name in self.__dataclass_fields__]
        lengths = [len(array) for array in arrays if array is not None]
        if len(set(lengths)) != 1 or self.top5_ids.ndim != 2:
            raise ValueError(
                f"arrays have lengths {lengths} and top5_ids {self.top5_ids.ndim} dimensions. "
                "Expected arrays of one length and top5_ids of shape (n, k)."
            )


@dataclass(frozen=True, eq=False)
class ClassificationState:
    """Counts and sums of the scored images of one part.

    Attributes:
        num_classes: K.
        scored: number of images with a prediction and a label.
        top5_correct: number of scored images whose true class is among the top five.
        top5_seen: number of scored images that have a list of top classes.
        cells: int64, (n,), sorted: ``true * K + predicted`` of every pair that occurs.
        cell_counts: int64, (n,), the count of each. This is the confusion matrix, kept sparse
            because K = 21,841 would need 3.8 GB.
        bin_counts, bin_correct: int64, (bins,), images and correct images by confidence.
        bin_confidence: sum of the confidences, by bin.
        loss_count, loss_sum, loss_squares: number, sum and sum of squares of finite losses.
        excluded: number of images, failed ones included, whose true class is not scored.
        grouped: the counts by group; None without groups.
    """

    num_classes: int
    scored: int
    top5_correct: int
    top5_seen: int
    cells: npt.NDArray[np.int64]
    cell_counts: npt.NDArray[np.int64]
    bin_counts: npt.NDArray[np.int64]
    bin_correct: npt.NDArray[np.int64]
    bin_confidence: tuple[Sum, ...]
    loss_count: int
    loss_sum: Sum
    loss_squares: Sum
    excluded: int = 0
    grouped: GroupedCounts | None = None

    @classmethod
    def empty(cls, num_classes: int, ece_bins: int = ECE_BINS) -> ClassificationState:
        """Return the state of no images."""
        none = np.zeros(0, dtype=np.int64)
        bins = np.zeros(ece_bins, dtype=np.int64)
        sums = (Sum(),) * ece_bins
        return cls(num_classes, 0, 0, 0, none, none, bins, bins, sums, 0, Sum(), Sum())

    @classmethod
    def from_arrays(
        cls,
        num_classes: int,
        images: ImageArrays,
        *,
        ece_bins: int = ECE_BINS,
    ) -> ClassificationState:
        """Count the images of one part.

        Args:
            num_classes: K.
            images: predictions and labels.
            ece_bins: number of equal bins of the confidence.

        Raises:
            ValueError: a scored row has an id or a probability out of range.

        Example:
            >>> images = ImageArrays(
            ...     true_ids=np.array([0, 1]),
            ...     predicted_ids=np.array([0, 0]),
            ...     top5_ids=np.array([[0, 1], [0, 1]]),
            ...     confidence=np.array([0.9, 0.6]),
            ...     true_confidence=np.array([0.9, 0.4]),
            ...     loss=np.array([0.105, 0.916]),
            ...     scored=np.array([True, True]),
            ... )
            >>> state = ClassificationState.from_arrays(2, images)
            >>> state.scored, state.top5_correct, state.cells.tolist()
            (2, 2, [0, 2])
        """
        scored = images.scored
        true = _ids("true_ids", images.true_ids[scored], num_classes)
        predicted = _ids("predicted_ids", images.predicted_ids[scored], num_classes)
        best = np.asarray(images.top5_ids)[scored]
        _probabilities("true_confidence", images.true_confidence[scored])
        bins, place = _bin(images.confidence[scored], true == predicted, ece_bins)
        cells, counts = np.unique(true * num_classes + predicted, return_counts=True)
        every_loss = images.loss[scored].astype(np.float64)
        losses = every_loss[np.isfinite(every_loss)]
        in_top5 = np.asarray((best == true[:, None]).any(axis=1))
        listed = np.asarray((best >= 0).any(axis=1))
        confidence = images.confidence[scored].astype(np.float64)
        binned = (every_loss, place, confidence)
        grouped = images.groups is not None and ScoredImages(
            images.groups[scored], true, predicted, in_top5, listed, *binned
        )
        return cls(
            num_classes,
            len(true),
            int(in_top5.sum()),
            int(listed.sum()),
            cells,
            counts.astype(np.int64),
            *bins,
            len(losses),
            Sum.of(losses),
            Sum.of(losses**2),
            grouped=grouped.counts() if grouped else None,
        )

    def merge(self, other: ClassificationState) -> ClassificationState:
        """Return the state of both parts; see `merge_all`."""
        return ClassificationState.merge_all([self, other])

    @classmethod
    def merge_all(cls, states: Iterable[ClassificationState]) -> ClassificationState:
        """Merge the states of all parts; none of them is changed.

        Raises:
            ValueError: no states, or states of different K or number of bins.
        """
        parts = list(states)
        shapes = {(part.num_classes, len(part.bin_counts)) for part in parts}
        if len(shapes) != 1:
            raise ValueError(
                f"states of {sorted(shapes)}. Expected one number of classes and of bins."
            )
        cells, place = np.unique(np.concatenate([p.cells for p in parts]), return_inverse=True)
        counts = np.zeros(len(cells), dtype=np.int64)
        np.add.at(counts, place, np.concatenate([part.cell_counts for part in parts]))
        return cls(
            parts[0].num_classes,
            sum(part.scored for part in parts),
            sum(part.top5_correct for part in parts),
            sum(part.top5_seen for part in parts),
            cells,
            counts,
            np.sum([part.bin_counts for part in parts], axis=0),
            np.sum([part.bin_correct for part in parts], axis=0),
            tuple(
                Sum.merged(sums)
                for sums in zip(*(part.bin_confidence for part in parts), strict=True)
            ),
            sum(part.loss_count for part in parts),
            Sum.merged(part.loss_sum for part in parts),
            Sum.merged(part.loss_squares for part in parts),
            sum(part.excluded for part in parts),
            GroupedCounts.merge_all([part.grouped for part in parts]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON types; `from_dict` restores it exactly."""
        return {
            "num_classes": self.num_classes,
            "scored": self.scored,
            "top5_correct": self.top5_correct,
            "top5_seen": self.top5_seen,
            "cells": self.cells.tolist(),
            "cell_counts": self.cell_counts.tolist(),
            "bin_counts": self.bin_counts.tolist(),
            "bin_correct": self.bin_correct.tolist(),
            "bin_confidence": [[part.high, part.low] for part in self.bin_confidence],
            "loss_count": self.loss_count,
            "loss_sum": [self.loss_sum.high, self.loss_sum.low],
            "loss_squares": [self.loss_squares.high, self.loss_squares.low],
            "excluded": self.excluded,
            "grouped": self.grouped and self.grouped.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ClassificationState:
        """Restore the state that `to_dict` wrote."""
        arrays = {
            name: np.asarray(data[name], dtype=np.int64)
            for name in ("cells", "cell_counts", "bin_counts", "bin_correct")
        }
        sums = {name: Sum(*data[name]) for name in ("loss_sum", "loss_squares")}
        bins = tuple(Sum(*pair) for pair in data["bin_confidence"])
        grouped = data["grouped"] and GroupedCounts.from_dict(data["grouped"])
        return cls(**{**data, **arrays, **sums, "bin_confidence": bins, "grouped": grouped})


def _ids(name: str, ids: IntArray, num_classes: int) -> npt.NDArray[np.int64]:
    wrong = ids[(ids < 0) | (ids >= num_classes)]
    if len(wrong):
        raise ValueError(
            f"{name} of a scored row is {int(wrong[0])}. Expected 0 to {num_classes - 1}."
        )
    return ids.astype(np.int64)


def _probabilities(name: str, values: FloatArray) -> None:
    wrong = values[(values < 0) | (values > 1)]
    if len(wrong):
        raise ValueError(f"{name} of a scored row is {float(wrong[0])}. Expected 0 to 1.")


_Bins = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], tuple[Sum, ...]]


def _bin(
    confidence: FloatArray, correct: npt.NDArray[np.bool_], bins: int
) -> tuple[_Bins, npt.NDArray[np.int64]]:
    """Count the images by bin of their confidence, and return the bin of each, -1 for none."""
    _probabilities("confidence", confidence)
    known = np.isfinite(confidence)
    values, right = confidence[known].astype(np.float64), correct[known]
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.minimum(np.searchsorted(edges, values, side="right") - 1, bins - 1)
    of_image = np.full(len(confidence), -1, dtype=np.int64)
    of_image[known] = place
    counted = (
        np.bincount(place, minlength=bins).astype(np.int64),
        np.bincount(place[right], minlength=bins).astype(np.int64),
        tuple(Sum.of(values[place == number]) for number in range(bins)),
    )
    return counted, of_image
