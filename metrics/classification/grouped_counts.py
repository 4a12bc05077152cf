"""Counts of classification metrics by group of dependent images, and the intervals they give.

With ``metrics.group`` whole groups of images (of a patient, clip or place) are drawn with
replacement, up to 400 of them as they are, more in 200 blocks. The interval of a metric is
value +- t * s at G - 1 degrees of freedom, see
`snellen.metrics.statistics.draws.student_half_width`; a proportion that does not vary between
draws has Wilson's interval over the groups.

Sums are integers (losses and confidences in units of 2^-32), so that any partition of the images
gives the same intervals. The counts of a million groups take about 150 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.classification.drawn_metrics import drawn_averages, drawn_ece
from snellen.metrics.statistics.draws import (
    Blocks,
    Floats,
    Ints,
    Sampling,
    blocks_of_keys,
)
from snellen.metrics.statistics.groups import Keys
from snellen.metrics.statistics.proportions import Interval, proportion_interval

UNIT = 2.0**-32
"""Unit of the integer sums of losses and confidences."""

SUMS = ("scored", "top5_correct", "top5_seen", "loss_count", "loss")
CELLS = ("support", "predicted", "right", "bin_count", "bin_right", "bin_confidence")

_ARRAYS: dict[str, type[np.generic]] = {
    "keys": np.uint64,
    "sums": np.int64,
    "cell_keys": np.uint64,
    "cell_numbers": np.int64,
    "cells": np.int64,
}


@dataclass(frozen=True, eq=False)
class GroupedCounts:
    """The counts of the scored images of one part, by group.

    Attributes:
        keys: uint64, (G,), rising.
        sums: int64, (G, 5), `SUMS`.
        cell_keys: uint64, (c,), the group of each cell; rising, then by number.
        cell_numbers: int64, (c,), class id; number of the confidence bin for the last counts.
        cells: int64, (c, 6), `CELLS`: of the class, and of the bin of the same number.
    """

    keys: Keys
    sums: Ints
    cell_keys: Keys
    cell_numbers: Ints
    cells: Ints

    @classmethod
    def merge_all(cls, parts: Sequence[GroupedCounts | None]) -> GroupedCounts | None:
        """Merge the counts of parts; None if one of them has none."""
        some = [part for part in parts if part is not None]
        if len(some) < len(parts):
            return None
        return cls.summed(
            *(np.concatenate([getattr(part, name) for part in some]) for name in _ARRAYS)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON types; `from_dict` restores them."""
        return {name: getattr(self, name).tolist() for name in _ARRAYS}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GroupedCounts:
        """Restore the counts that `to_dict` wrote."""
        arrays: dict[str, Any] = {name: np.array(data[name], of) for name, of in _ARRAYS.items()}
        return cls(**arrays)

    @classmethod
    def summed(
        cls, keys: Keys, sums: Ints, cell_keys: Keys, cell_numbers: Ints, cells: Ints
    ) -> GroupedCounts:
        """Add up the counts of equal groups and cells."""
        known, place = np.unique(keys, return_inverse=True)
        total = np.zeros((len(known), sums.shape[1]), np.int64)
        np.add.at(total, place, sums)
        order = np.lexsort((cell_numbers, cell_keys))
        of_cell, number, counts = cell_keys[order], cell_numbers[order], cells[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = (of_cell[1:] != of_cell[:-1]) | (number[1:] != number[:-1])
        starts = np.flatnonzero(first)
        merged = np.add.reduceat(counts, starts, axis=0) if len(starts) else counts
        return cls(known, total, of_cell[starts], number[starts], merged)


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """Inputs of the counts by group: arrays of n scored images.

    Attributes:
        keys: uint64, the groups.
        true, predicted: int64, class ids.
        top5_correct, top5_seen: bool.
        loss: float64; NaN for none.
        bins: int64, bin of the confidence; -1 without a confidence.
        confidence: float64; NaN for none.
    """

    keys: Keys
    true: Ints
    predicted: Ints
    top5_correct: npt.NDArray[np.bool_]
    top5_seen: npt.NDArray[np.bool_]
    loss: Floats
    bins: Ints
    confidence: Floats

    def counts(self) -> GroupedCounts:
        """Count the images by group."""
        known = np.isfinite(self.loss)
        sums = [
            np.ones(len(self.keys), np.int64),
            self.top5_correct,
            self.top5_seen,
            known,
            _integers(np.where(known, self.loss, 0.0)),
        ]
        binned = self.bins >= 0
        right = self.true == self.predicted
        parts = (
            (self.keys, self.true, ("support", "right"), (1, right)),
            (self.keys, self.predicted, ("predicted",), (1,)),
            (
                self.keys[binned],
                self.bins[binned],
                ("bin_count", "bin_right", "bin_confidence"),
                (1, right[binned], _integers(self.confidence[binned])),
            ),
        )
        cells = []
        for keys, _, names, values in parts:
            cell = np.zeros((len(keys), len(CELLS)), np.int64)
            for name, value in zip(names, values, strict=True):
                cell[:, CELLS.index(name)] = value
            cells.append(cell)
        return GroupedCounts.summed(
            self.keys,
            np.stack(sums, axis=1).astype(np.int64),
            np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts]),
            np.concatenate(cells),
        )


def _integers(values: Floats) -> Ints:
    return np.rint(values / UNIT).astype(np.int64)


@dataclass(frozen=True, eq=False)
class GroupIntervals:
    """Intervals from draws of groups.

    Attributes:
        metrics: by metric key.
        precision, recall: of each class, K.
    """

    metrics: dict[str, Interval]
    precision: list[Interval]
    recall: list[Interval]

    def of_class(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the numbers of a class with these intervals in place of Wilson's."""
        number = values["class_id"]
        found = {"precision": self.precision[number], "recall": self.recall[number]}
        return values | {f"{key}_interval": interval for key, interval in found.items()}


def group_intervals(
    counts: GroupedCounts, num_classes: int, bins: int, sampling: Sampling
) -> GroupIntervals:
    """Compute the intervals of all metrics of a classification run, and of its classes.

    Args:
        counts: of the whole set.
        num_classes: K.
        bins: number of bins of the calibration error.
        sampling: number, seed and level of the draws.

    Returns:
        [low, high]; None without draws, and where a metric is not defined.
    """
    none: list[Interval] = [None] * num_classes
    if sampling.resamples < 2 or not len(counts.keys):
        return GroupIntervals({}, none, none)
    drawn = _Drawn.of(counts, sampling)
    support, made, right = (drawn.cells(name, num_classes) for name in CELLS[:3])
    seen, correct, confidence = (drawn.cells(name, bins) for name in CELLS[3:])
    sums = dict(zip(SUMS, drawn.sums().T, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        metrics = {
            "accuracy": right.sum(axis=1) / sums["scored"],
            "top5_accuracy": sums["top5_correct"] / sums["top5_seen"],
            **drawn_averages(right, support, made),
            "loss": sums["loss"] * UNIT / sums["loss_count"],
            "ece": drawn_ece(seen, correct, confidence * UNIT),
        }
        precision, recall = right / made, right / support
    precision[:, support[0] == 0] = np.nan  # a class without images has no precision
    of_classes = (
        [
            drawn.interval(column, units)
            for column, units in zip(values.T, drawn.blocks_with(name, num_classes), strict=True)
        ]
        for values, name in ((precision, "predicted"), (recall, "support"))
    )
    return GroupIntervals(
        {
            key: drawn.interval(values, drawn.blocks.count, bounded=key != "loss")
            for key, values in metrics.items()
        },
        *of_classes,
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    """The counts in the set itself and in each draw of blocks.

    Attributes:
        weights: float64, (B, 1 + R); the first column is the set itself.
    """

    counts: GroupedCounts
    blocks: Blocks
    weights: Floats
    level: float

    @classmethod
    def of(cls, counts: GroupedCounts, sampling: Sampling) -> _Drawn:
        blocks = blocks_of_keys(counts.keys)
        draws = blocks.each_draw(sampling.resamples, sampling.seed)
        weights = np.stack([np.ones(blocks.count), *draws], axis=1)
        return cls(counts, blocks, weights, sampling.level)

    def sums(self) -> Floats:
        """Return the sums of `SUMS`: (1 + R, 5)."""
        by_block = np.zeros((self.blocks.count, len(SUMS)), np.int64)
        np.add.at(by_block, self.blocks.of_image, self.counts.sums)
        return self.weights.T @ by_block

    def cells(self, name: str, size: int) -> Floats:
        """Return one of `CELLS` by class or bin: (1 + R, size)."""
        return np.asarray(self._by_block(name, size) @ self.weights).T

    def blocks_with(self, name: str, size: int) -> list[int]:
        """Return the number of blocks that have a class."""
        found: list[int] = np.diff(self._by_block(name, size).indptr).tolist()
        return found

    def _by_block(self, name: str, size: int) -> Any:
        from scipy.sparse import csr_array

        values = self.counts.cells[:, CELLS.index(name)].astype(np.float64)
        some = values > 0
        group = np.searchsorted(self.counts.keys, self.counts.cell_keys[some])
        place = (self.counts.cell_numbers[some], self.blocks.of_image[group])
        return csr_array((values[some], place), shape=(size, self.blocks.count))

    def interval(self, values: Floats, units: int, *, bounded: bool = True) -> Interval:
        """Return the interval of a metric, given its value and those of the draws.

        Args:
            values: float64, (1 + R,).
            units: blocks that the metric depends on.
            bounded: the metric is a proportion.
        """
        value = float(values[0])
        if not np.isfinite(value):
            return None
        if bounded:
            return proportion_interval(
                value, values[1:], self.blocks, units=units, level=self.level
            )
        half = self.blocks.half_width(values[1:], self.level)
        return None if half is None else [max(0.0, value - half), value + half]
