"""COCO's average precision from lists of correct and wrong predictions, with weighted images.

Source: pycocotools' ``accumulate``, here in numpy. The stored metrics are hotcoco's; this form
serves TIDE and the bootstrap, which compute AP many times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.metrics.matching.assignment import IOU_THRESHOLDS, Ints
from snellen.metrics.matching.overlaps import Bools, Floats

RECALLS: Floats = np.linspace(0.0, 1.0, 101)

_TINY = np.spacing(1)


def class_precision(right: Bools, support: int) -> Floats:
    """Compute the interpolated precision of one class at one threshold.

    Args:
        right: bool, (n,), correct predictions by falling confidence, without ignored ones.
        support: number of truths of the class, above 0.

    Returns:
        float64, (101,): at the recalls 0, .01, ... 1.

    Example:
        >>> precision = class_precision(np.array([True, False, True]), support=2)
        >>> precision[[0, 50, 100]].round(3).tolist()
        [1.0, 1.0, 0.667]
    """
    places = np.flatnonzero(right)
    hits = np.arange(1, len(places) + 1, dtype=np.float64)
    return _interpolated(hits, (places + 1).astype(np.float64), float(support))


def _interpolated(hits: Floats, made: Floats, support: float) -> Floats:
    # precision falls between hits, so that only the positions of hits matter
    precision = hits / (made + _TINY)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    index = np.searchsorted(hits / support, RECALLS, side="left")
    return np.append(envelope, 0.0)[np.minimum(index, len(envelope))]


@dataclass(frozen=True)
class _ClassList:
    """The predictions of one class within max_dets, by falling confidence."""

    image: Ints
    places: tuple[Ints, ...]
    skipped: tuple[Ints, ...]
    true_image: Ints
    true_count: Floats


class WeightedPrecision:
    """AP at the ten thresholds under any weights of the images; sorts once, then reweights.

    A weight of n equals n copies of the image. One `mean` takes about 50 ms for 250,000
    predictions of 80 classes.

    Example:
        >>> from snellen.metrics.detection.counting import count
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> state = count(detection_rows(), 2, options_of(["bbox"])).overlaps["bbox"]
        >>> precision = WeightedPrecision(state.images, state.detections, state.truths, 2)
        >>> precision.mean(np.ones(2))[:2].round(3).tolist()
        [0.5, 0.5]
    """

    def __init__(
        self,
        images: Ints,
        detections: npt.NDArray[np.void],
        truths: npt.NDArray[np.void],
        num_classes: int,
    ) -> None:
        """Sort the predictions of a set that is ordered by image.

        Args:
            images: int64, (m,), rising ``image_index``.
            detections: `snellen.metrics.detection.state.DETECTION`.
            truths: `snellen.metrics.detection.state.TRUTH`.
            num_classes: K.
        """
        kept = detections[detections["within"]]
        order = np.lexsort((-kept["confidence"], kept["class_id"]))
        kept = kept[order]
        edges = np.searchsorted(kept["class_id"], np.arange(num_classes + 1))
        row, true_row = (np.searchsorted(images, part["image"]) for part in (kept, truths))
        self._classes = []
        for number in np.unique(truths["class_id"][truths["counted"] > 0]).tolist():
            part = slice(edges[number], edges[number + 1])
            of_class = truths["class_id"] == number
            self._classes.append(
                _class_list(row[part], kept[part], true_row[of_class], truths[of_class])
            )

    def mean(self, weights: Floats) -> Floats:
        """Compute AP at each threshold, the mean over classes that have truths under the weights.

        Args:
            weights: float64, (m,), one per image; all 1 is the set itself.

        Returns:
            float64, (10,); NaN if no class has truths.
        """
        values = [
            value for part in self._classes if (value := _class_ap(part, weights)) is not None
        ]
        return np.mean(values, axis=0) if values else np.full(len(IOU_THRESHOLDS), np.nan)


def _class_list(row: Ints, kept: Any, true_row: Ints, truths: Any) -> _ClassList:
    bits = np.arange(len(IOU_THRESHOLDS))
    skip = (kept["skip"][:, None] >> bits) & 1
    hit = ((kept["hit"][:, None] >> bits) & 1) & ~skip
    return _ClassList(
        row,
        tuple(np.flatnonzero(column) for column in hit.T),
        tuple(np.flatnonzero(column) for column in skip.T),
        true_row,
        truths["counted"].astype(np.float64),
    )


def _class_ap(part: _ClassList, weights: Floats) -> Floats | None:
    support = float((weights[part.true_image] * part.true_count).sum())
    if support == 0:
        return None
    weight = weights[part.image]
    made = np.cumsum(weight)
    values = np.empty(len(IOU_THRESHOLDS))
    for number, (places, skipped) in enumerate(zip(part.places, part.skipped, strict=True)):
        total = made
        if len(skipped):
            counted = weight.copy()
            counted[skipped] = 0.0
            total = np.cumsum(counted)
        drawn = places[weight[places] > 0]
        hits = np.cumsum(weight[drawn])
        values[number] = _interpolated(hits, total[drawn], support).mean()
    return values
