"""Keep one page of a list that does not fit in memory, one part after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from snellen.metrics.errors.instance_views import Instance, Listed
from snellen.metrics.matching.assignment import Ints

Order = Literal["image", "confidence"]
ORDERS: tuple[Order, ...] = ("image", "confidence")
"""The orders of a list: that of the images, or the most confident prediction first."""


@dataclass(frozen=True, slots=True)
class InstancePage:
    """A page of instances, with the counts of the whole list.

    Attributes:
        total: number of instances in the list; for a cell, the count in the confusion matrix.
        images: number of images with an instance.
        instances: the instances of the page.
    """

    total: int
    images: int
    instances: list[Instance]


class Paging:
    """Counts instances and keeps those of one page.

    Example:
        >>> from snellen.metrics.detection.options import options_of
        >>> from snellen.metrics.examples import detection_rows
        >>> from snellen.metrics.errors.listing import confusion_listing
        >>> rows, paging = detection_rows(), Paging(0, 1, "confidence")
        >>> paging.add(confusion_listing(rows, 2, options_of(["bbox"])), rows, ["cat", "dog"])
        >>> page = paging.page()
        >>> page.total, page.images, page.instances[0].predicted.label
        (3, 2, 'cat')
    """

    def __init__(self, offset: int, limit: int, order: Order = "image") -> None:
        """Choose the page: ``limit`` instances after the first ``offset``.

        By confidence, instances without a prediction are last and equal ones keep the order of
        the images; ``offset + limit`` instances are held then.
        """
        self._first, self._last = offset, offset + limit
        self._by_confidence = order == "confidence"
        self._kept: list[tuple[float, int, Instance]] = []
        self._total = 0
        self._images = 0

    def add(self, listed: Listed, table: pa.Table, names: Sequence[str]) -> None:
        """Add the next part; see `snellen.metrics.errors.instance_views.Listed.instances`."""
        count = len(listed.image)
        keys = -np.nan_to_num(listed.confidence, nan=-1.0)
        places = self._wanted(keys)
        chosen = listed.take(places).instances(table, names) if len(places) else []
        self._kept += [
            (float(keys[place]), self._total + place, instance)
            for place, instance in zip(places.tolist(), chosen, strict=True)
        ]
        if self._by_confidence:
            self._kept = sorted(self._kept, key=lambda item: item[:2])[: self._last]
        self._total += count
        self._images += len(np.unique(listed.image))

    def _wanted(self, keys: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Ints:
        if not self._by_confidence:
            first, last = self._first - self._total, self._last - self._total
            return np.arange(max(first, 0), min(max(last, 0), len(keys)))
        places: Ints = np.argsort(keys, kind="stable")[: self._last]
        if len(self._kept) == self._last and self._kept:
            places = places[keys[places] < self._kept[-1][0]]
        return places

    def page(self) -> InstancePage:
        """Return the page in order, with the counts of everything that was added."""
        skip = self._first if self._by_confidence else 0
        kept = [instance for *_, instance in self._kept[skip:]]
        return InstancePage(self._total, self._images, kept)
